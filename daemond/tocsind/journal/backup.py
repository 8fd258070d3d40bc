"""A consistent copy of the journal while it is in use, at the price of one checkpoint.

Between two checkpoints SQLite writes to the log alone. So one checkpoint moves the log into the database, and further ones are put off. The
database file then stays the journal as it was at that moment, until the reader has finished. The log grows in the meantime, up to MAX_LOG.
The file is read through the descriptor that is open anyway (`files`): to open and close another would drop SQLite's locks.

In the copy, and only there, `commits.copied` says that it is one. A start on it then knows that waiting deliveries may have arrived since.
"""

from __future__ import annotations

import os
import sqlite3

import trio

CHUNK = 256 * 1024  # bytes per read
MAX_LOG = 512 * 2**20  # bytes of the log at which the reader has taken too long


class CopyFailed(Exception):  # noqa: N818 - names the event
    """There is no copy: another one is being made, or its reader took too long. The text says which."""


class Copy:
    """The journal's file as it was at one moment; `size` in bytes."""

    def __init__(self, database: int, log: int | None, size: int) -> None:
        self._database = database
        self._log = log
        self.size = size

    async def read(self, at: int) -> bytes:
        """The chunk at this offset, read in a thread because the disk may be slow. Raises CopyFailed."""
        if self._log is not None and os.fstat(self._log).st_size > MAX_LOG:
            raise CopyFailed("the copy was read too slowly: the journal cannot put off its checkpoint any longer")
        return await trio.to_thread.run_sync(os.pread, self._database, min(CHUNK, self.size - at), at)


def freeze(connection: sqlite3.Connection, now: float) -> None:
    """Stop changes of the database file until `thaw`. Must not run in a transaction. Raises sqlite3.Error."""
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    connection.execute("UPDATE commits SET copied = ?", (now,))
    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy, "no other connection reads"
    connection.execute("UPDATE commits SET copied = NULL")


def thaw(connection: sqlite3.Connection, checkpoint: int) -> None:
    """Permit changes of the file again: a checkpoint after this many pages of the log. Raises sqlite3.Error."""
    connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}").fetchall()
    connection.execute("UPDATE commits SET copied = NULL WHERE copied IS NOT NULL")
