"""The commit mark: a small file with the number of commits that the journal has seen, so that a journal that lost some is recognised.

SQLite uses its write-ahead log up to the first frame that does not fit, and does without a missing log. That is right after a power cut,
where no one was promised the rest; but it hides that a log was deleted, truncated, or hit by a flipped bit. So each commit has a number
(table `commits`). After the synced commit the journal thread writes the number here, into the same bytes each time and without a sync of
its own. Whatever happens to the machine, the mark is never ahead of an intact journal.

    tocsin mark 1 ID NUMBER STATE       STATE is `good`, or `suspect` when the journal's content made a job fail: the next start checks it
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FILE_NAME = "mark"
_FORMAT = "tocsin mark 1"


class Mark(NamedTuple):
    """The id (hex) of the journal, and its number of commits."""

    id: str
    commits: int
    is_suspect: bool = False


def read(folder: Path) -> Mark | None:
    """The content of the file; None without a file, or without readable content."""
    with suppress(OSError, ValueError):
        descriptor = os.open(folder / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            words = os.read(descriptor, 256).decode().split()
        finally:
            os.close(descriptor)
        if " ".join(words[:3]) == _FORMAT and len(words) == 6:
            return Mark(words[3], int(words[4]), words[5] == "suspect")
    return None


class CommitCounter:
    """Numbers the commits of an open journal that change anything: in the journal, and after the commit in the mark."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        id_, self._n = connection.execute("SELECT hex(id), n FROM commits").fetchone()
        self._changes = connection.total_changes
        self._file = MarkFile(folder, Mark(id_.lower(), self._n))

    def begin(self, connection: sqlite3.Connection) -> None:
        """Call at the beginning of a transaction."""
        self._changes = connection.total_changes

    def count(self, connection: sqlite3.Connection) -> bool:
        """Call at its end: numbers it, unless it changed nothing. Returns whether it did."""
        if connection.total_changes == self._changes:
            return False
        connection.execute("UPDATE commits SET n = ?", (self._n + 1,))
        return True

    def committed(self) -> None:
        """Call after the synced commit of a numbered transaction."""
        self._n += 1
        self._file.write(self._n)

    def suspect(self) -> None:
        """A job failed on the journal's content: the next start checks every row."""
        self._file.suspect()

    def close(self) -> None:
        """No more commits follow."""
        self._file.close()


def write_test(connection: sqlite3.Connection) -> None:
    """A job that changes nothing but is written all the same: it fails where the journal cannot be written."""
    connection.execute("UPDATE commits SET n = n")


class MarkFile:
    """The file, open for writing. On a disk without room for it nothing is written."""

    def __init__(self, folder: Path, mark: Mark) -> None:
        self._mark = mark
        self._descriptor: int | None = None
        with suppress(OSError):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._descriptor = os.open(folder / FILE_NAME, flags, 0o600)
            self._write_out()
            os.fsync(self._descriptor)

    def write(self, commits: int) -> None:
        """So many commits are on disk."""
        self._mark = self._mark._replace(commits=commits)
        self._write_out()

    def suspect(self) -> None:
        """The next start must check every row."""
        if not self._mark.is_suspect:
            self._mark = self._mark._replace(is_suspect=True)
            self._write_out()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write_out(self) -> None:
        if self._descriptor is not None:
            state = "suspect" if self._mark.is_suspect else "good   "
            text = f"{_FORMAT} {self._mark.id} {self._mark.commits:020d} {state}\n"
            with suppress(OSError):
                os.pwrite(self._descriptor, text.encode(), 0)
