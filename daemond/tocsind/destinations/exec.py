"""A program of the operator's: a batch is one run, with a line of JSON for each signal on its standard input.

Its exit code says what became of the batch, in the words of sysexits.h. A run that does not end in time is killed with all its children; it
may have done its work, so the signals come again, marked as possible duplicates, whatever their priority. No shell is involved, and no
text of a signal is in the arguments or in the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import EACCES, ENOENT, ENOEXEC
from math import inf
from typing import Any, Final

import msgspec
import trio

from tocsind.clock import Clock, SystemClock
from tocsind.config.kinds.exec import ExecOptions
from tocsind.config.trusted_program import problem_with
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import MAX_BATCH, Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Deferred, Outcome, Refused, Report
from tocsind.rendering import json_line
from tocsind.secret import Secret

from .child import ChildResponse, Ended, clean_environment, run
from .http import Answer
from .rejections import Rejection, verdicts
from .table import EVERY, Row, content_blocked, delivered, failed, failed_before, gone, judge, strike

_NO_PROGRAM: Final = {
    ENOEXEC: "it is a script whose first line does not begin with #!, such as #!/bin/sh, or a program for another machine",
    EACCES: "it, or the program in its first line (#!), must not be executed",
}


class ExecResponse(ChildResponse):
    """An exit code of the command, and its last line."""

    service = "the command"


TABLE: Final[tuple[Row[ExecResponse], ...]] = (
    Row({0}, None, delivered),
    Row({68, 69, 75}, None, failed_before),
    Row({65}, None, content_blocked),
    Row({64, 66, 67, 73, 76}, None, strike),
    Row({77, 78, 126, 127}, None, gone),
    Row(EVERY, None, failed),
)


class ExecDestination:
    """One program."""

    max_items: Final = MAX_BATCH
    max_chars: Final = inf
    max_bytes: Final = inf  # a line names the attachment, no more
    editing: Final = Editing.NONE
    repeatable: Final = False

    def __init__(self, options: ExecOptions, clock: Clock | None = None) -> None:
        self._options = options
        self._clock = clock or SystemClock()

    def footprint(self, delivery: Delivery) -> Footprint:
        return Footprint(max_batch=delivery.max_batch)

    async def discover(self) -> ChannelInfo:
        """Check the program, which may have changed since the configuration was read."""
        return ChannelInfo(problem=await self._problem())

    async def check(self) -> ChannelInfo:
        """As `discover`: nothing is started."""
        return ChannelInfo(
            problem=await self._problem(), shows="the command can be started; only a signal can show more"
        )

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        found = await self._problem() or await self._run(b"".join(self._lines(batch)))
        if not isinstance(found, Ended):
            return Report((found,) * len(batch))
        if found.code is None:
            killed = Deferred(f"killed after {self._options.deadline:g} s", ambiguous=True)
            return Report((killed,) * len(batch))
        return Report(_outcomes(found.code, found.output, batch))

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        payload = {
            "command": list(self._options.command),
            "lines": [msgspec.json.decode(line) for line in self._lines(batch)],
        }
        return {"payload": payload, "limits": [], "notes": []}

    async def aclose(self) -> None:
        """Do nothing: no process outlives `deliver`."""

    async def _problem(self) -> Refused | None:
        problem = await trio.to_thread.run_sync(problem_with, self._options.command[0])
        return Refused(f"{self._options.command[0]} cannot be used: {problem}", disable=True) if problem else None

    async def _run(self, given: bytes) -> Ended | Deferred | Refused:
        own = {
            name: each.reveal() if isinstance(each, Secret) else each
            for name, each in self._options.environment.items()
        }
        try:
            return await run(self._options.command, given, clean_environment() | own, self._options.deadline)
        except OSError as error:
            return _not_started(self._options.command[0], error)

    def _lines(self, batch: Sequence[Delivery]) -> list[bytes]:
        wall = self._clock.wall()
        return [json_line(delivery, wall) for delivery in batch]


def _not_started(program: str, error: OSError) -> Deferred | Refused:
    """A file that is no program stays one. No memory, no process left, and a program behind #! that is not there now may pass."""
    if error.errno in _NO_PROGRAM:
        return Refused(f"{program} cannot be started: {_NO_PROGRAM[error.errno]}", disable=True)
    reason = "the program in its first line (#!) does not exist" if error.errno == ENOENT else error.strerror
    return Deferred(f"the command cannot be started: {reason}", unsent=True)


def _outcomes(code: int, output: bytes, batch: Sequence[Delivery]) -> tuple[Outcome, ...]:
    verdict = judge(ExecResponse(Answer(code, {}, output)), TABLE)
    return verdicts(verdict, batch, code) if isinstance(verdict, Rejection) else (verdict,) * len(batch)
