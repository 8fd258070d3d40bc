"""Each start looks for damage, and the daemon starts all the same: damaged files are moved aside, and what can be read is used.

    damage                                                  found by
    journal deleted or emptied                              the mark (`commit_mark`) has commits
    write-ahead log deleted, cut, or hit by a flipped bit   the mark has more commits than the journal
    no database, an invalid page, a wrong index             SQLite: at opening, or by integrity_check
    a missing table, index or trigger                       comparison with a fresh journal
    a row that its readers cannot read                      `row_recovery.count_unreadable`
    another journal, or a backup, in its place              the mark has another id; a backup says that it is one

Integrity_check and the check of every row read the whole file. A journal above MAX_CHECKED, or MAX_READ, is checked only when a job of the
last run failed on its content (`MarkFile.suspect`), which ended that run.

The recovery: a database is rebuilt from database and log (`write_ahead_log`), its rows go into `journal.fresh` (`row_recovery`); then the
old files are moved aside (`tocsind.host.damaged_files`), and the new one gets the journal's name. If the daemon is killed

    before `journal.fresh` has its name     the next start finds the old files as they were, and begins again
    before that gets the journal's name     it is whole, because it was filled and synced under another name: the next start goes on

The old files are never written. SQLite's own log is copied first, because closing a database removes it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tocsind.errors import CannotWrite
from tocsind.host.damaged_files import quarantine_files

from . import commit_mark as marks
from .commit_mark import Mark
from .opening import FILE_NAME, create, open_journal, prepare, version
from .row_recovery import Tally, count_unreadable, salvage, supplement
from .schema import MIGRATIONS
from .write_ahead_log import broken_frames, rebuild, transplant

WAL_NAME = f"{FILE_NAME}-wal"
MAX_CHECKED = 64 * 2**20  # bytes; SQLite reads and compares a journal of this size in a third of a second
MAX_READ = 16 * 2**20  # bytes; the check of every row of a journal of this size takes as long
_COPY = "journal.log-copy"  # the log as it was found, until the journal is known to be intact
_REBUILT = "journal.rebuilt"
_FILLING, _FRESH, _EMPTY = "journal.filling", "journal.fresh", "journal.empty"
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA})


class Recovered(NamedTuple):
    """What was wrong, where the old files are, and what became of their content."""

    reason: str
    folder: Path
    kept: Tally


class Replaced(NamedTuple):
    """The journal is intact, but not the one of the last run: a backup, or another one. Waiting deliveries may have arrived."""

    reason: str
    waiting: int


class Opened(NamedTuple):
    """The journal, and what was found on opening it."""

    connection: sqlite3.Connection
    finding: Recovered | Replaced | None = None


class _Damaged(Exception):  # noqa: N818 - a condition, and the text says which
    """`in_doubt`: deliveries that are open in the journal may have arrived."""

    def __init__(self, reason: str, *, in_doubt: bool = True) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


def open_intact(folder: Path, now: float) -> Opened:
    """The journal in `folder`, recovered if it was damaged. `now` is Unix time. Raises CannotWrite."""
    mark = marks.read(folder)
    try:
        _finish(folder)
        found = _open(folder, mark)
    except _Damaged as damaged:
        found = _recover(folder, damaged, now)
    except OSError as error:
        raise CannotWrite(f"the journal in {folder} cannot be read: {error}") from error
    (folder / _COPY).unlink(missing_ok=True)
    return found


def _open(folder: Path, mark: Mark | None) -> Opened:
    _must_be_there(folder, mark)
    _copy_log(folder)
    try:
        connection = open_journal(folder, lambda opened: _examine_untouched(opened, folder, mark))
    except CannotWrite as error:
        if isinstance(error.__cause__, sqlite3.Error) and is_damage(error.__cause__):
            raise _Damaged(str(error.__cause__)) from error
        raise
    except UnicodeError as error:  # SQLite's message quotes the file's content
        raise _Damaged("the journal's schema is malformed") from error
    return Opened(connection, _replaced(connection, mark))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the content of the file is wrong, and not the disk or its space."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _DAMAGE


def _must_be_there(folder: Path, mark: Mark | None) -> None:
    path, log = folder / FILE_NAME, folder / WAL_NAME
    if path.exists() and path.stat().st_size:
        return
    if (mark and mark.commits) or (log.exists() and log.stat().st_size):
        raise _Damaged("the journal is empty" if path.exists() else "the journal is missing")


def _copy_log(folder: Path) -> None:
    """The log as a killed run left it; none after a clean stop. On a full disk there is no copy."""
    log, copy = folder / WAL_NAME, folder / _COPY
    if log.exists() and log.stat().st_size:
        try:
            shutil.copyfile(log, copy, follow_symlinks=False)
        except OSError:
            copy.unlink(missing_ok=True)
    else:
        copy.unlink(missing_ok=True)


def _examine_untouched(connection: sqlite3.Connection, folder: Path, mark: Mark | None) -> None:
    """Examine the journal. When something is wrong the file stays as it is: closing would write the log into it, but the log was copied."""
    try:
        prepare(connection)
        _examine(connection, folder, mark)
    except BaseException:
        if (folder / _COPY).exists():
            os.truncate(folder / WAL_NAME, 0)
        raise


def _examine(connection: sqlite3.Connection, folder: Path, mark: Mark | None) -> None:
    """Check before anything is written. Raises _Damaged, or sqlite3.Error."""
    known = version(connection)
    if known == 0 and mark and mark.commits:
        raise _Damaged("the journal is empty")
    if mark and mark.commits:
        _check_commits(connection, folder, mark)
    if known != len(MIGRATIONS):
        return  # an older version runs its migrations without this check
    if missing := _expected(MIGRATIONS) - _objects(connection):
        raise _Damaged(f"the journal has no {', '.join(sorted(missing))}")
    size = 0 if mark and mark.is_suspect else (folder / FILE_NAME).stat().st_size
    if size <= MAX_CHECKED:
        _check_structure(connection)
    if size <= MAX_READ and (rows := count_unreadable(connection)):
        raise _Damaged(f"{rows} rows of the journal cannot be read", in_doubt=False)


def _check_commits(connection: sqlite3.Connection, folder: Path, mark: Mark) -> None:
    """Compare with the mark: a log that ends early leaves a journal that looks like an older one, of an earlier schema or number.

    Raises _Damaged.
    """
    if "table commits" not in _objects(connection):
        raise _Damaged("the journal has lost its newest tables")
    id_, commits, copied = connection.execute("SELECT hex(id), n, copied FROM commits").fetchone() or ("", 0, None)
    if copied is None and id_.lower() == mark.id:
        if commits < mark.commits:
            raise _Damaged(f"the last {mark.commits - commits} commits of the journal are missing")
    elif broken_frames(folder / FILE_NAME, folder / _COPY):
        raise _Damaged("the journal is not the one that was here, and its log breaks off")


def _check_structure(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise _Damaged(f"the journal is malformed: {' '.join(str(verdict).split())}")


@cache
def _expected(_migrations: tuple[str, ...]) -> frozenset[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create(connection)
        return _objects(connection)


def _objects(connection: sqlite3.Connection) -> frozenset[str]:
    rows = connection.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
    return frozenset(f"{kind} {name}" for kind, name in rows)


def _replaced(connection: sqlite3.Connection, mark: Mark | None) -> Replaced | None:
    """Mark the waiting deliveries of a journal that is not the one of the last run: they may have arrived since it was copied."""
    row = connection.execute("SELECT hex(id), copied FROM commits").fetchone()
    if row is None:
        return None
    id_, copied = row
    if copied is None and (mark is None or not mark.commits or id_.lower() == mark.id):
        return None
    connection.execute("BEGIN IMMEDIATE")
    waiting = connection.execute(
        "UPDATE deliveries SET doubt = 1 WHERE state IN ('held', 'queued', 'sending')"
    ).rowcount
    connection.execute("UPDATE commits SET id = randomblob(16), copied = NULL")
    connection.execute("COMMIT")
    return Replaced("another journal took its place" if copied is None else "it was restored from a backup", waiting)


def _recover(folder: Path, damaged: _Damaged, now: float) -> Opened:
    path, log, copy = folder / FILE_NAME, folder / WAL_NAME, folder / _COPY
    reason = str(damaged)
    if copy.exists():
        if log.exists():
            log.unlink()  # what SQLite made of it; the copy is what was found
        copy.rename(log)
    try:
        broken, kept = _read_out(folder, now, in_doubt=damaged.in_doubt)
    except (OSError, sqlite3.OperationalError) as error:  # the disk: full, or broken
        raise CannotWrite(f"the journal in {folder} is damaged ({reason}) and cannot be recovered: {error}") from error
    if broken:
        reason += f"; {broken} pages of its log are broken"
    text = f"{reason}\n{describe(kept)}"
    aside = quarantine_files(folder, (log, path), text, copies=(folder / marks.FILE_NAME, folder / "journal.redo"))
    _finish(folder)
    return Opened(open_journal(folder), Recovered(reason, aside, kept))


def describe(kept: Tally) -> str:
    """What became of a damaged journal's content, as a sentence."""
    again = f", {kept.owed_again} signals that lost their deliveries are delivered again" if kept.owed_again else ""
    return (
        f"{kept.signals} signals and {kept.deliveries} deliveries were read out of it, "
        f"{kept.unreadable} rows could not be read{again}"
    )


def _read_out(folder: Path, now: float, *, in_doubt: bool) -> tuple[int, Tally]:
    """Make the fresh journal. Returns the broken pages of the log, and what was kept. Content that cannot be read at all leaves it
    empty.
    """
    try:
        broken = rebuild(folder / FILE_NAME, folder / WAL_NAME, folder / _REBUILT)
        kept = _filled(folder, now, in_doubt=in_doubt)
        if broken:
            kept = _supplemented(folder, now, kept, in_doubt=in_doubt)
    except (OSError, sqlite3.OperationalError):
        raise
    except Exception:  # noqa: BLE001 - damage may look like anything, and must not keep the daemon from starting
        (folder / _REBUILT).write_bytes(b"")
        broken, kept = 0, _fill(folder, now, in_doubt=in_doubt)
    (folder / _FILLING).rename(folder / _FRESH)
    return broken, kept


def _supplemented(folder: Path, now: float, kept: Tally, *, in_doubt: bool) -> Tally:
    """Add what the commits before the broken frame hold: the broken page may be one that leads to other, intact ones."""
    rebuild(folder / FILE_NAME, folder / WAL_NAME, folder / _REBUILT, to_the_break=True)
    with (
        closing(_opened(folder / _REBUILT)) as older,
        closing(sqlite3.connect(folder / _FILLING, isolation_level=None)) as fresh,
    ):
        try:
            kept = supplement(older, fresh, now, kept, in_doubt=in_doubt)
        except (OSError, sqlite3.OperationalError):
            raise
        except Exception:  # noqa: BLE001 - as in `_read_out`; what was kept before stays
            fresh.rollback()
    (folder / _REBUILT).unlink()
    return kept


def _filled(folder: Path, now: float, *, in_doubt: bool) -> Tally:
    """As `_fill`. If the list of tables itself is broken, once more with a fresh one: a journal that this version made has its tables on
    the same pages.
    """
    kept = _fill(folder, now, in_doubt=in_doubt)
    if kept.signals or not (folder / FILE_NAME).exists():
        return kept
    (folder / _FILLING).rename(folder / _EMPTY)
    rebuild(folder / FILE_NAME, folder / WAL_NAME, folder / _REBUILT)
    transplant(folder / _EMPTY, folder / _REBUILT)
    (folder / _EMPTY).unlink()
    found = _fill(folder, now, in_doubt=in_doubt)
    return found._replace(unreadable=found.unreadable + kept.unreadable)


def _fill(folder: Path, now: float, *, in_doubt: bool) -> Tally:
    """Fill a fresh journal, synced, from the rebuilt one."""
    filling, rebuilt = folder / _FILLING, folder / _REBUILT
    for path in (filling, folder / f"{_FILLING}-journal"):
        path.unlink(missing_ok=True)
    filling.touch(0o600)
    with (
        closing(_opened(rebuilt)) as source,
        closing(sqlite3.connect(filling, isolation_level=None)) as fresh,
    ):
        create(fresh)
        kept = salvage(source, fresh, now, in_doubt=in_doubt)
    rebuilt.unlink()
    return kept


def _opened(rebuilt: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{_quoted(rebuilt)}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.text_factory = _text
    return connection


def _text(raw: bytes) -> str:
    return raw.decode("utf-8")  # strict: a row with invalid text is lost


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def rescue(connection: sqlite3.Connection, folder: Path) -> None:
    """The files were deleted or moved, and the connection still reads them: write all of it to where the next start looks for it.

    Not where another file has the journal's name: the operator may have put it there. Raises OSError, or sqlite3.Error.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        return
    filling = folder / _FILLING
    filling.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(filling),))
    filling.chmod(0o600)
    with filling.open("rb") as file:
        os.fsync(file.fileno())
    filling.rename(folder / _FRESH)


def _finish(folder: Path) -> None:
    """Give a complete fresh journal its name. Files of the old one that a kill left are moved aside first."""
    for name in (_FILLING, _REBUILT, _EMPTY):
        (folder / name).unlink(missing_ok=True)
    if (folder / _FRESH).exists():
        left = [path for path in (folder / WAL_NAME, folder / FILE_NAME) if path.exists()]
        if left:
            quarantine_files(
                folder, left, "the journal was taken away while it was open, or its recovery was interrupted"
            )
        (folder / _FRESH).rename(folder / FILE_NAME)
