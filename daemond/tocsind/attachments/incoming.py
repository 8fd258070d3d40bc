"""`attachments` below the spool, by blocking system calls relative to its descriptor: call them in a thread."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.attachments import FOLDER, read_open
from tocsin.spool import is_safe, is_shared, open_folder

UNCLAIMED_SECONDS = 3600.0  # after them no signal will name the file
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a pipe must not block the thread
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Incoming:
    """The folder where clients put files. Each call opens it again, since it may be deleted, created and changed. All raise OSError."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def content(self, name: str, uid: int) -> bytes:
        """The content of the file of this name, which must be `uid`'s."""
        if not _is_plain(name):
            raise OSError(errno.EINVAL, f"its name is none of a file in {FOLDER} below the spool")
        with self._opened() as place:
            file = os.open(name, _FILE, dir_fd=place)
            try:
                found = os.fstat(file)
                _check(found, uid)
                return read_open(file, found)
            finally:
                os.close(file)

    def forget(self, names: Iterable[str]) -> None:
        """Delete files that have been taken over. Pass only names that `content` returned something for."""
        with self._opened() as place:
            for name in filter(_is_plain, names):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place)

    def sweep(self, now: float) -> None:
        """Delete old files that no signal named; and create the folder below a shared spool, with the spool's mode."""
        with self._opened() as place:
            for name in os.listdir(place):  # noqa: PTH208 - a descriptor has no path
                with contextlib.suppress(OSError):
                    if now - os.stat(name, dir_fd=place, follow_symlinks=False).st_mtime > UNCLAIMED_SECONDS:
                        os.unlink(name, dir_fd=place)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        above = open_folder(str(self._spool))
        try:
            place = _open_below(above)
        finally:
            os.close(above)
        try:
            found = os.fstat(place)
            if found.st_uid not in (0, os.geteuid()):
                raise PermissionError(errno.EPERM, f"the folder {FOLDER} of the spool belongs to uid {found.st_uid}")
            if not is_safe(found):
                raise PermissionError(errno.EPERM, f"others may write into the folder {FOLDER} of the spool")
            yield place
        finally:
            os.close(place)


def _is_plain(name: str) -> bool:
    """Whether it names a finished file in the folder itself."""
    return not ("/" in name or name.startswith(".") or "\0" in name)


def _open_below(above: int) -> int:
    """Open the folder. When the daemon owns it, it gets the mode and group of the spool above it: both have the same members."""
    spool = os.fstat(above)
    if is_shared(spool):  # below a private one clients create it themselves
        with contextlib.suppress(FileExistsError):
            os.mkdir(FOLDER, 0o700, dir_fd=above)
    place = os.open(FOLDER, _FOLDER, dir_fd=above)
    found = os.fstat(place)
    if is_shared(spool) and not is_shared(found) and found.st_uid == os.geteuid():
        os.fchown(place, -1, spool.st_gid)
        os.fchmod(place, spool.st_mode & 0o7777)
    return place


def _check(found: os.stat_result, uid: int) -> None:
    """Raises PermissionError for a file that this sender may not use."""
    if found.st_nlink != 1:
        raise PermissionError(errno.EPERM, "it has another name elsewhere (a hard link)")
    privileged = {0, os.geteuid()}
    if found.st_uid != uid and not {found.st_uid, uid} <= privileged:
        raise PermissionError(errno.EPERM, f"it belongs to uid {found.st_uid}, and uid {uid} sent it")
