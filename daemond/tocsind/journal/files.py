"""The journal's files, seen from outside SQLite: whether they are still where they were opened, and the space that is reserved for
outcomes.

SQLite writes to the files that it opened, whatever became of their names. So a journal whose folder was deleted, or whose file was
replaced, goes on without an error, and the next start finds nothing of it. `check` compares name and open file.

`journal.reserve` occupies space that other programs cannot take. When the disk is full, `release` removes it and gives its space to the
journal in the same moment: half to the write-ahead log, half to the database. Claims and outcomes then need no space from the disk until
it is used up. `hold` creates it again once there is room.

A descriptor of the database must stay open until the connection is closed: closing it would drop SQLite's locks, which belong to the
process and not to the descriptor.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from .backup import Copy
from .opening import FILE_NAME

WAL_NAME = f"{FILE_NAME}-wal"
RESERVE_NAME = "journal.reserve"
RESERVE = (
    4 * 2**20
)  # bytes; an attempt and its outcome take about 300 in the database, and the log is used again and again
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: space beyond the end of the file, which SQLite does not see

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Reserve:
    """The file that occupies space. `is_used` after its space was given to the journal, until `hold` succeeds again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / RESERVE_NAME
        self.is_used = False

    @property
    def is_held(self) -> bool:
        """Whether the space is occupied."""
        try:
            return self._path.lstat().st_blocks * 512 >= RESERVE
        except OSError:
            return False

    def hold(self) -> bool:
        """Occupy the space; False when the disk does not have it."""
        try:
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600
            )
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, RESERVE)
        except OSError:
            os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)
        self.is_used = False
        return True

    def release(self) -> bool:
        """Give the space back to the disk; False when there is none to give."""
        was_held = self.is_held
        with suppress(OSError):
            self._path.unlink()
            self.is_used = True
        return was_held


class Files:
    """The files of an open journal. For the journal thread only; any thread may call `check`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = {path: _open(path) for path in (folder / FILE_NAME, folder / WAL_NAME) if path.exists()}
        self._inodes = [(str(path), _inode(os.fstat(descriptor))) for path, descriptor in self._opened.items()]

    def check(self) -> str | None:
        """What is wrong with the files' names; None when each still leads to the open file."""
        for path, opened in self._inodes:  # runs twice per commit, so with as few system calls as possible
            found = _stat(path)
            if found is None:
                return f"{path} was deleted or moved away"
            if _inode(found) != opened:
                return f"{path} was replaced by another file"
        return None

    @property
    def is_replaced(self) -> bool:
        """Whether another file has the database's name."""
        path = self._folder / FILE_NAME
        return (found := _stat(path)) is not None and found.st_ino != os.fstat(self._opened[path]).st_ino

    def copy(self) -> Copy:
        """The database file as it is now, to be read while no checkpoint runs."""
        database, log = (self._opened.get(path) for path in (self._folder / FILE_NAME, self._folder / WAL_NAME))
        assert database is not None, "the journal is open"
        return Copy(database, log, os.fstat(database).st_size)

    def extend(self) -> None:
        """Allocate half of the reserve's space for each file, beyond its end."""
        for path, descriptor in self._opened.items():
            start = 0 if path.name == WAL_NAME else os.fstat(descriptor).st_size
            _libc.fallocate(descriptor, _KEEP_SIZE, start, RESERVE // 2)  # if this fails, the space stays free

    def close(self) -> None:
        """Call after the connection was closed."""
        for descriptor in self._opened.values():
            os.close(descriptor)
        self._opened = {}


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_dev


def _stat(path: str | Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
