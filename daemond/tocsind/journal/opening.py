"""Opens the journal's file: settings of SQLite, and the migrations (`schema`) that the file has not seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tocsin import disk_errors
from tocsind.errors import CannotWrite

from .schema import MIGRATIONS

FILE_NAME = "journal.db"
CHECKPOINT = 2000  # pages of the write-ahead log, 4 MiB
SQLITE_VERSION = sqlite3.sqlite_version
_SHAPE = (  # of the file; both must precede the first table, and an older file keeps its own
    "page_size = 2048",  # the cost of a sync depends on bytes: a tenth less than with 4096, measured
    "auto_vacuum = INCREMENTAL",  # retention gives space back
)


def open_journal(folder: Path, look: Callable[[sqlite3.Connection], None] | None = None) -> sqlite3.Connection:
    """The journal in `folder`, at the newest version. Raises CannotWrite with what to do about it.

    `look` calls `prepare` and may examine the journal before anything is written. What it raises, other than sqlite3.Error and OSError,
    passes through.
    """
    path = folder / FILE_NAME
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        try:
            (look or prepare)(connection)
            path.chmod(0o600)
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise CannotWrite(f"the journal {path} cannot be opened: {disk_errors.reason(error, str(folder))}") from error
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Configure the connection. Nothing is written to a file that has tables."""
    # first of all: a second connection could corrupt the WAL (SQLite before 3.51.3); and a read of the file before this would make a -shm
    # file beside it, for which a full disk has no room
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    for pragma in (
        *(() if pages else _SHAPE),  # auto_vacuum writes, even when the file has the same setting
        "journal_mode = WAL",
        "synchronous = FULL",  # in WAL mode: every commit is synced before it returns
        f"wal_autocheckpoint = {CHECKPOINT}",
        "journal_size_limit = 16777216",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def create(connection: sqlite3.Connection) -> None:
    """Create all tables of a fresh journal, in an empty database."""
    for pragma in _SHAPE:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    _migrate_from(connection, 0)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    known = version(connection)
    if known > len(MIGRATIONS):
        raise CannotWrite(f"{path} was written by a newer tocsind (version {known}); this one knows {len(MIGRATIONS)}")
    _migrate_from(connection, known)


def _migrate_from(connection: sqlite3.Connection, known: int) -> None:
    for number, script in enumerate(MIGRATIONS[known:], known + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
