"""The daemon, with an assassin inside: it kills itself (-9) the n-th time it comes to a named point.

    CRASH=begin:committed:1 python -m tests.e2e.crashing run --config alerts.toml

Around a job of the journal (enter, begin, settle, replay) there are two points: `done`, when the job ran and its commit did not, and
`committed`, when nobody heard of it yet. Around the confirmation of outboxes (confirm) and a destination's `deliver` there are `before` and
`after`; behind a reading of outboxes that found something (look) there is `after`. All else is the real daemon.
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
from tocsind.journal import attempts, queue, writer
from tocsind.journal.commit_mark import CommitCounter
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import ChannelInfo, Report
from tocsind.spool import importer as spool
from tocsind.spool.folder import Folder, ScanResult
from tocsind.spool.outboxes import Outbox, Reading, Sequences

T = TypeVar("T")
P = ParamSpec("P")


class Assassin:
    """Counts how often the one point is passed."""

    def __init__(self, order: str) -> None:
        self._act, self._moment, number = order.split(":")
        self._left = int(number)

    def __call__(self, act: str, moment: str) -> None:
        """We are at this point."""
        if (act, moment) == (self._act, self._moment):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


strike = Assassin(os.environ["CRASH"])


ran: list[str] = []  # the jobs of the group that is being committed


def watched(job: Callable[Concatenate[sqlite3.Connection, P], T]) -> Callable[Concatenate[sqlite3.Connection, P], T]:
    """A job that is watched, whoever asks for it."""

    def run(connection: sqlite3.Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = job(connection, *args, **kwargs)
        ran.append(job.__name__)
        strike(job.__name__, "done")
        return result

    return run


def in_one_commit(connection: sqlite3.Connection, waiters: Sequence[Any], commits: CommitCounter) -> list[Any]:
    """A group's commit, watched."""
    ran.clear()
    results = commit(connection, waiters, commits)
    for name in ran:
        strike(name, "committed")
    return results


commit = writer._in_one_commit


class CrashingFolder(Folder):
    """A spool that is watched."""

    def scan(self, names: Sequence[str], known: dict[str, Outbox], sequences: Sequences) -> ScanResult:
        looked = super().scan(names, known, sequences)
        if any(reading.records for reading in looked.readings):
            strike("look", "after")
        return looked

    def confirm(self, readings: Sequence[Reading]) -> None:
        if any(reading.records for reading in readings):
            strike("confirm", "before")
        super().confirm(readings)
        if any(reading.records for reading in readings):
            strike("confirm", "after")


class CrashingDestination:
    """A destination that is watched."""

    def __init__(self, watched: Destination) -> None:
        self._watched = watched

    @property
    def max_items(self) -> int:
        return self._watched.max_items

    @property
    def edits(self) -> bool:
        return self._watched.edits

    @property
    def max_chars(self) -> float:
        return self._watched.max_chars

    @property
    def max_bytes(self) -> float:
        return self._watched.max_bytes

    def footprint(self, delivery: Delivery) -> Footprint:
        return self._watched.footprint(delivery)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        return self._watched.preview(batch)

    async def discover(self) -> ChannelInfo:
        return await self._watched.discover()

    async def aclose(self) -> None:
        await self._watched.aclose()

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        strike("deliver", "before")
        report = await self._watched.deliver(batch)
        strike("deliver", "after")
        return report


def build_crashing(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    """What the registry builds, watched."""
    return CrashingDestination(build(options, client, state_folder))


if __name__ == "__main__":
    with ExitStack() as stack:
        stack.enter_context(patch.object(spool, "Folder", CrashingFolder))
        for room, name in ((queue, "enter"), (attempts, "begin"), (attempts, "settle"), (attempts, "replay")):
            stack.enter_context(patch.object(room, name, watched(getattr(room, name))))
        stack.enter_context(patch.object(writer, "_in_one_commit", in_one_commit))
        stack.enter_context(patch.object(supervisor, "build", build_crashing))
        sys.exit(main())
