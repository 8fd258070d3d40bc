"""The folder and its files, by plain system calls: run them in a thread. Every path is taken relative to the folder's descriptor."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tocsin import disk
from tocsin.attachments import FOLDER
from tocsin.spool import QUARANTINE, is_safe, is_shared, open_folder
from tocsin.wire import MAX_FRAME

from .letters import Letter, letter

MOST_BYTES = 8 * MAX_FRAME  # of one file: a frame's worth of signals, which JSON may write more lengthily
MOST_AT_ONCE = 2 * 2**20  # bytes of several files: so much is held in memory
MOST_QUARANTINED = 1000  # files for a person; more stay where they are, where the spool's own bound counts them
UNFINISHED_SECONDS = 3600.0  # then whoever wrote it will not come back
_REASON = ".why"  # beside each file in quarantine
_LONGEST_REASON = 500  # characters
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a pipe must not keep us waiting
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Unfit(Exception):  # noqa: N818 - names the condition
    """The folder is not to be trusted, or cannot be used; the text says why."""


class Census(msgspec.Struct, frozen=True):
    """How many files wait, how many are in quarantine, and why the latest of those is."""

    waiting: int
    quarantined: int
    reason: str | None


class Folder:
    """One spool folder; each call opens it anew, since it may be deleted, made and changed at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the folder when there is none. Raises Unfit."""
        with self._opened():
            pass

    def names(self, now: float) -> list[str]:
        """The files that wait, oldest first. What was left half-written long before `now` is deleted on the way. Raises Unfit."""
        with self._opened() as place:
            listed = os.listdir(place)  # noqa: PTH208 - a descriptor has no path
            for name in listed:
                if name.startswith("."):
                    _sweep(place, name, now)
            return sorted(filter(_waits, listed))

    def read(self, names: Sequence[str], now: float) -> list[Letter]:
        """What the first of these files say, as many as are read at once. A file that has gone says nothing. Raises Unfit."""
        letters: list[Letter] = []
        room = MOST_AT_ONCE
        with self._opened() as place:
            for name in names:
                letter, size = _read(place, name, now)
                letters.append(letter)
                room -= size
                if room <= 0:
                    break
        return letters

    def delete(self, names: Sequence[str]) -> None:
        """Forget files whose signals are safe. Raises Unfit."""
        with self._opened() as place:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place)

    def quarantine(self, name: str, reason: str) -> None:
        """Put a file aside, with the reason beside it. Raises Unfit when that cannot be done."""
        with self._opened() as place, _quarantine(place) as aside:
            if len(os.listdir(aside)) >= 2 * MOST_QUARANTINED:  # noqa: PTH208 - as above
                raise Unfit(f"{self.path / QUARANTINE} holds {MOST_QUARANTINED} files: look at them, and delete them")
            os.rename(name, name, src_dir_fd=place, dst_dir_fd=aside)
            written = os.open(
                name + _REASON,
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
                dir_fd=aside,
            )
            with os.fdopen(written, "w", encoding="utf-8", errors="replace") as why:
                why.write(f"{reason[:_LONGEST_REASON]}\n")

    def census(self) -> Census:
        """How it looks, for people. Raises Unfit."""
        with self._opened() as place, _quarantine(place) as aside:
            waiting = sum(map(_waits, os.listdir(place)))  # noqa: PTH208 - as above
            held = sorted(name for name in os.listdir(aside) if not name.endswith(_REASON))  # noqa: PTH208 - as above
            return Census(waiting, len(held), _reason(aside, held[-1]) if held else None)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the folder, which is made when there is none. Raises Unfit, also for whatever else fails meanwhile."""
        try:
            place = open_folder(str(self.path))
            try:
                _check_folder(os.fstat(place))
                yield place
            finally:
                os.close(place)
        except OSError as error:
            raise Unfit(f"{self.path}: {disk.reason(error, str(self.path))}") from error


def _check_folder(found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise Unfit(f"the spool belongs to uid {found.st_uid}, not to us")
    if not is_safe(found):
        raise Unfit("others may write into the spool: chmod 700, or 3770 to share it")


def _waits(name: str) -> bool:
    return not name.startswith(".") and name not in (QUARANTINE, FOLDER)


def _read(place: int, name: str, now: float) -> tuple[Letter, int]:
    """A file's letter and size; one that cannot or must not be read has its reason for a fault."""
    try:
        with _open_file(place, name) as file:
            found = os.fstat(file)
            distrust = _distrust(found, os.fstat(place))
            if distrust is None:
                content = os.read(file, found.st_size)
                return letter(name, content, (found.st_uid, found.st_gid), found.st_mtime, now), len(content)
    except FileNotFoundError:
        return Letter(name, 0, 0, [], []), 0
    except OSError as error:
        distrust = "it is a link" if error.errno == errno.ELOOP else f"it cannot be read: {error.strerror}"
    return Letter(name, 0, 0, [], [distrust]), 0


@contextmanager
def _open_file(place: int, name: str) -> Iterator[int]:
    file = os.open(name, _FILE, dir_fd=place)
    try:
        yield file
    finally:
        os.close(file)


def _distrust(file: os.stat_result, folder: os.stat_result) -> str | None:
    """Why a file must not be read; None when it may."""
    if not stat.S_ISREG(file.st_mode):
        return "it is no regular file"
    if file.st_nlink != 1:
        return "it has another name elsewhere (a hard link)"
    if file.st_uid not in (0, os.geteuid()) and not is_shared(folder):
        return f"it belongs to uid {file.st_uid}, and the spool is not shared"
    if file.st_size > MOST_BYTES:
        return f"it has {file.st_size} bytes; at most {MOST_BYTES} are read"
    return None


@contextmanager
def _quarantine(place: int) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(QUARANTINE, 0o700, dir_fd=place)
    aside = os.open(QUARANTINE, _FOLDER, dir_fd=place)
    try:
        if os.fstat(aside).st_uid not in (0, os.geteuid()):
            raise Unfit(f"{QUARANTINE} in the spool is somebody else's")
        yield aside
    finally:
        os.close(aside)


def _reason(aside: int, name: str) -> str | None:
    try:
        with _open_file(aside, name + _REASON) as why:
            return os.read(why, 4 * _LONGEST_REASON).decode("utf-8", "replace").strip()
    except OSError:
        return None


def _sweep(place: int, name: str, now: float) -> None:
    with contextlib.suppress(OSError):
        if now - os.stat(name, dir_fd=place, follow_symlinks=False).st_mtime > UNFINISHED_SECONDS:
            os.unlink(name, dir_fd=place)
