"""Who asks the journal for something: a task of the loop that waits for its answer, or somebody on the journal's own thread.

Each brings a job. `told` hears the answer first, on the journal's thread, behind the synced commit; `answer` hears it afterwards, on the
loop. An answer is a value or an error, so that one failed job takes nobody else's answer along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import outcome
import trio

from .intake import append
from .records import Arrival

if TYPE_CHECKING:
    from .writer import Connection

Answer = outcome.Value[Any] | outcome.Error
Job = Callable[["Connection"], Any]


class Haste(Enum):
    """When a job is done: at once, all three, when nobody has asked for a while. See `inbox` for what happens when somebody has."""

    URGENT = "at once, with all that was asked before"
    HAND_OFF = "at once"
    PATIENT = "within milliseconds"


class Asker:
    """A job, and who wants to know what came of it."""

    __slots__ = ("haste", "job")

    def __init__(self, job: Job, haste: Haste) -> None:
        self.job = job
        self.haste = haste

    def told(self, answer: Answer) -> Answer:
        """On the journal's thread; must not wait for anything, and must not raise. Gives the answer that the loop gets."""
        return answer

    def answer(self, answer: Answer) -> None:
        """On the loop."""


class Waiter(Asker):
    """A task that waits for its job; None once it was cancelled: the job is done all the same.

    `tell` is called with the result on the journal's thread; what it raises becomes the answer.
    """

    __slots__ = ("_tell", "task")

    def __init__(self, job: Job, tell: Callable[[Any], object] | None, haste: Haste) -> None:
        super().__init__(job, haste)
        self._tell = tell
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """For trio, when the task is cancelled."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def told(self, answer: Answer) -> Answer:
        if self._tell is None or isinstance(answer, outcome.Error):
            return answer
        told = outcome.capture(self._tell, answer.value)
        return told if isinstance(told, outcome.Error) else answer

    def answer(self, answer: Answer) -> None:
        if self.task is not None:
            trio.lowlevel.reschedule(self.task, answer)


class Order(Asker):
    """Placed on the journal's own thread by whoever reads there: `tell` hears the answer there, `after` hears it on the loop."""

    __slots__ = ("_after", "_tell")

    def __init__(
        self, job: Job, tell: Callable[[Answer], None], after: Callable[[Answer], None], haste: Haste = Haste.HAND_OFF
    ) -> None:
        super().__init__(job, haste)
        self._tell = tell
        self._after = after

    def told(self, answer: Answer) -> Answer:
        self._tell(answer)
        return answer

    def answer(self, answer: Answer) -> None:
        self._after(answer)


class HandOff(Order):
    """Signals of one frame whose sender waits for them to be safe: entered by a commit, or promised before it (`promises`)."""

    __slots__ = ("arrivals",)

    def __init__(
        self, arrivals: Sequence[Arrival], tell: Callable[[Answer], None], after: Callable[[Answer], None]
    ) -> None:
        super().__init__(lambda connection: append(connection, arrivals), tell, after)
        self.arrivals = arrivals
