"""The daemon with crash points: it kills itself (-9) the n-th time it reaches a named point.

    CRASH=begin:committed:1 python -m tests.e2e.crashing run --config alerts.toml

A job of the journal (insert, begin, settle, replay, gather, finish, release_delayed, again; silence-add, silence-end, silence-reported;
expect-save) has two points: `done`, after the job and before its commit, and `committed`, before any caller gets the result. The
confirmation of outboxes (confirm) and a destination's `deliver` have `before` and `after`; a scan of outboxes that found records (look)
has `after`. All else is the real daemon.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from unittest.mock import patch

from tocsind.__main__ import main
from tocsind.config import DestinationOptions
from tocsind.delivery import supervisor
from tocsind.destinations import Destination
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.journal import attempts, expectations, held, queue, repeats, silences, writer
from tocsind.journal.commit_mark import CommitCounter
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Report
from tocsind.spool import importer as spool
from tocsind.spool.folder import Folder, ScanResult
from tocsind.spool.outboxes import Outbox, Reading, Sequences

T = TypeVar("T")
P = ParamSpec("P")


class CrashPoint:
    """Counts the passes of one point."""

    def __init__(self, order: str) -> None:
        self._act, self._moment, number = order.split(":")
        self._left = int(number)

    def __call__(self, act: str, moment: str) -> None:
        """Called at each point."""
        if (act, moment) == (self._act, self._moment):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


crash_at = CrashPoint(os.environ["CRASH"])


ran: list[str] = []  # the jobs of the group in the current commit


def crashable(
    job: Callable[Concatenate[sqlite3.Connection, P], T], name: str
) -> Callable[Concatenate[sqlite3.Connection, P], T]:
    """Wrap a job so that it has crash points under this name."""

    def run(connection: sqlite3.Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = job(connection, *args, **kwargs)
        ran.append(name)
        crash_at(name, "done")
        return result

    return run


def in_one_commit(connection: sqlite3.Connection, waiters: Sequence[Any], commits: CommitCounter) -> list[Any]:
    """Commit a group of jobs, with crash points."""
    ran.clear()
    results = commit(connection, waiters, commits)
    for name in ran:
        crash_at(name, "committed")
    return results


commit = writer._in_one_commit


class CrashingFolder(Folder):
    """A spool folder with crash points."""

    def scan(self, names: Sequence[str], known: dict[str, Outbox], sequences: Sequences) -> ScanResult:
        looked = super().scan(names, known, sequences)
        if any(reading.records for reading in looked.readings):
            crash_at("look", "after")
        return looked

    def confirm(self, readings: Sequence[Reading]) -> None:
        if any(reading.records for reading in readings):
            crash_at("confirm", "before")
        super().confirm(readings)
        if any(reading.records for reading in readings):
            crash_at("confirm", "after")


class CrashingDestination:
    """A destination with crash points."""

    def __init__(self, crashable: Destination) -> None:
        self._crashable = crashable

    @property
    def max_items(self) -> int:
        return self._crashable.max_items

    @property
    def editing(self) -> Editing:
        return self._crashable.editing

    @property
    def repeatable(self) -> bool:
        return self._crashable.repeatable

    @property
    def max_chars(self) -> float:
        return self._crashable.max_chars

    @property
    def max_bytes(self) -> float:
        return self._crashable.max_bytes

    def footprint(self, delivery: Delivery) -> Footprint:
        return self._crashable.footprint(delivery)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        return self._crashable.preview(batch)

    async def discover(self) -> ChannelInfo:
        return await self._crashable.discover()

    async def aclose(self) -> None:
        await self._crashable.aclose()

    async def check(self) -> ChannelInfo:
        return await self._crashable.check()

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        crash_at("deliver", "before")
        report = await self._crashable.deliver(batch)
        crash_at("deliver", "after")
        return report


def build_crashing(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    """Build a destination as the registry does, with crash points."""
    return CrashingDestination(build(options, client, state_folder))


JOBS = (
    (queue, "insert"),
    (attempts, "begin"),
    (attempts, "settle"),
    (attempts, "replay"),
    (held, "gather"),
    (held, "finish"),
    (held, "release_delayed"),
    (repeats, "again"),
)

if __name__ == "__main__":
    with ExitStack() as stack:
        stack.enter_context(patch.object(spool, "Folder", CrashingFolder))
        for room, name in JOBS:
            stack.enter_context(patch.object(room, name, crashable(getattr(room, name), name)))
        for name in ("add", "end", "reported"):
            stack.enter_context(patch.object(silences, name, crashable(getattr(silences, name), f"silence-{name}")))
        stack.enter_context(patch.object(expectations, "save", crashable(expectations.save, "expect-save")))
        stack.enter_context(patch.object(writer, "_in_one_commit", in_one_commit))
        stack.enter_context(patch.object(supervisor, "build", build_crashing))
        sys.exit(main())
