"""A journal in the test's own folder."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tocsind.journal import Journal
from tocsind.journal.opening import open_journal


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """A folder on the disk: these tests are about it."""
    return on_disk


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The connection alone: a job is a function of the connection, so most tests need no thread."""
    with closing(open_journal(tmp_path)) as connection:
        connection.execute("PRAGMA synchronous = OFF").fetchall()  # these tests check jobs, not disks
        yield connection


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """The journal with its thread."""
    async with Journal(tmp_path) as journal:
        yield journal
