"""A journal in this test's own folder."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tocsind.journal import Journal
from tocsind.journal.schema import open_journal


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The file alone: a job is a function of the connection, and needs no thread to be looked at."""
    with closing(open_journal(tmp_path)) as connection:
        connection.execute("PRAGMA synchronous = OFF").fetchall()  # what a job does is looked at, not what a disk does
        yield connection


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """The journal with its thread."""
    async with Journal(tmp_path) as journal:
        yield journal
