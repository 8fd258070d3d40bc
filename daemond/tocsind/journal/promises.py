"""Hand-offs that were answered on the strength of the redo log, until they are in the tables.

Whoever asks the journal for anything asks behind them: they are the first job of every commit, and if that fails, one of their own. Should
it fail for want of room they stay promised, for the log has them, and no more is promised until they are in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import outcome

from tocsind.errors import StorageFailed, StorageFull

from .askers import Answer, Asker, HandOff, Haste
from .intake import append, known
from .records import Arrival
from .redo import RedoLog

_NONE: frozenset[str] = frozenset()


class Promises(Asker):
    """What was promised and not entered, in order. It is a job itself, the one that enters it; without a log nothing is promised."""

    __slots__ = ("_answered", "_arrivals", "_connection", "_known", "_log", "_newest", "_promised", "is_stuck")

    def __init__(self, connection: sqlite3.Connection, log: RedoLog | None) -> None:
        super().__init__(self._enter, Haste.PATIENT)
        self._connection = connection
        self._log = log
        self._arrivals: list[Arrival] = []
        self._promised: set[str] = set()
        self._known: AbstractSet[str] = _NONE
        self._newest: str | None = None  # the greatest id in the tables; None: to be asked
        self._answered: list[tuple[Asker, Answer]] = []
        self.is_stuck = False

    def __len__(self) -> int:
        return len(self._answered)

    def make(self, hand_offs: Sequence[HandOff]) -> list[Answer] | None:
        """Answers, behind a sync; None when they have to wait for a commit. Raises OSError or sqlite3.Error when the disk fails."""
        if self._log is None or self.is_stuck:
            return None
        self._look_up([arrival.id for hand_off in hand_offs for arrival in hand_off.arrivals])
        new: dict[str, Arrival] = {}
        answers: list[Answer] = [
            outcome.Value([self._is_new(arrival, new) for arrival in each.arrivals]) for each in hand_offs
        ]
        if new and not self._log.append(list(new.values())):
            return None
        self._arrivals += new.values()
        self._promised |= new.keys()
        self._answered += zip(hand_offs, answers, strict=True)
        return answers

    def _look_up(self, ids: Sequence[str]) -> None:
        """Which of them the tables know. Ids begin with their time, so most are newer than all that is there, and need no look."""
        if self._newest is None:
            (self._newest,) = self._connection.execute("SELECT coalesce(max(id), '') FROM signals").fetchone()
        self._known = known(self._connection, ids) if ids and min(ids) <= self._newest else _NONE

    def _is_new(self, arrival: Arrival, new: dict[str, Arrival]) -> bool:
        """Whether nobody handed this over before, in this very group or earlier."""
        if arrival.id in new or arrival.id in self._promised or arrival.id in self._known:
            return False
        new[arrival.id] = arrival
        return True

    def others_committed(self) -> None:
        """The tables are not what they were."""
        self._newest = None

    def _enter(self, connection: sqlite3.Connection) -> None:
        append(connection, self._arrivals)
        if self._log is not None:
            self._log.note_applied(connection)

    def told(self, answer: Answer) -> Answer:
        """The answers that their senders have had, for the loop: it hears of a signal behind its commit."""
        if isinstance(answer, outcome.Error):
            if not isinstance(answer.error, StorageFull | StorageFailed):
                raise answer.error  # a bug: nothing may be promised any more, and the next start will say the same
            self.is_stuck = True
            return answer
        answered, self._answered = self._answered, []
        self._arrivals.clear()
        self._promised.clear()
        self.is_stuck = False
        if self._log is not None:
            self._log.restart()
        return outcome.Value(answered)

    def answer(self, answer: Answer) -> None:
        if isinstance(answer, outcome.Value):
            for asker, its_own in answer.value:
                asker.answer(its_own)

    def close(self, *, healthy: bool) -> None:
        """Nothing is promised any more. The log goes, unless it is still needed: it is empty on a healthy disk that is not full."""
        if self._log is not None:
            self._log.close(remove=healthy and not self)
