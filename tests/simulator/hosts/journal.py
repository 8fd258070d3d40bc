"""The real journal's jobs on an SQLite database in memory, without a thread, so that virtual time can pass.

A job runs at once, in a transaction of its own, and its answer takes as long as a sync might. A kill meanwhile leaves what was committed,
as a power cut after the sync does. The database is the disk: it outlives the daemon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Concatenate, ParamSpec, Self, TypeVar

from tocsind.journal import Journal
from tocsind.journal.opening import create

from .life import Life

T = TypeVar("T")
P = ParamSpec("P")
SYNC = 0.0005, 0.003  # s


def new_disk() -> sqlite3.Connection:
    """An empty journal."""
    found = _disk_with(_empty())
    found.execute("UPDATE commits SET id = randomblob(16)")
    return found


def copy_of(disk: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of a journal, as of a cloned machine."""
    return _disk_with(disk.serialize())


def _disk_with(content: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
    connection.deserialize(content)
    return connection


@cache
def _empty() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection)
    return connection.serialize()


class InlineJournal(Journal):
    """The journal of one life of a host, on its disk."""

    def __init__(self, folder: Path, disk: sqlite3.Connection, life: Life, chance: Random) -> None:
        super().__init__(folder)
        self._disk = disk
        self._life = life
        self._chance = chance

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The disk stays."""

    async def run(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self._life.check()
        if self._life.is_stopped:
            await self._life.step()
        self._disk.execute("BEGIN")
        try:
            changes = self._disk.total_changes
            found = job(self._disk, *args, **kwargs)
            if self._disk.total_changes > changes:
                self._disk.execute("UPDATE commits SET n = n + 1")
        except BaseException:
            self._disk.execute("ROLLBACK")
            raise
        self._disk.execute("COMMIT")
        await self._life.step(self._chance.uniform(*SYNC))
        return found
