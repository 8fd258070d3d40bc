"""The spool: where signals wait on disk for a daemon that is away. The client writes it, the daemon takes it in.

A file is one hand-off: a JSON object a line, one signal each, what `tocsin send --json-lines` reads too.

    whole      written under a name that begins with a dot, synced, renamed, and the folder synced: a name without a dot is a whole file,
               and what `keep` returned from outlasts a power cut
    in order   a name begins with the nanosecond it was written in, so names sort by age
    once       each signal has its id, so taking a file in twice stores it once; nothing is deleted before it is stored
    private    folders 0700, files 0600; nobody else reads alerts
    bounded    in files and bytes, told by the names alone: whoever is about to write pays for one listing and no stat
    honest     a folder that the daemon would not read (`is_safe`) is not written to either

A machine's administrator may share a system daemon's spool with a group, on purpose: `chown DAEMON:GROUP`, `chmod 3770`. Then whoever may
write into the folder may hand in, as whoever may open the socket may; the sticky bit keeps them from each other's files; and the files
belong to the group as well, or the daemon could not read them. Its members see no more by that than they see through the socket.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from . import trust, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .signals import Signal

MOST_FILES = 10_000  # a listing of so many costs about 5 ms
MOST_BYTES = 64 * 1024 * 1024  # a disk that has less to spare has other worries
SUFFIX = ".jsonl"
QUARANTINE = "quarantine"  # below the folder: what the daemon could not take, with the reason beside it
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_USUAL_BYTES = 4096  # of a file whose name does not tell: somebody else's work


def keep(folder: str, signals: Sequence[Signal]) -> None:
    """Put signals on disk, in one file. Returns behind the sync. Raises OSError, and then nothing of them is there."""
    content = b"".join(wire.encode_json(signal.as_dict()) + b"\n" for signal in signals)
    place = open_folder(folder)
    try:
        found = os.fstat(place)
        if not is_safe(found):
            raise PermissionError(errno.EPERM, "others may write into it: chmod 700, or 3770 to share it")
        _check_room(os.listdir(place), len(content))  # noqa: PTH208 - a descriptor has no path
        write(place, _new_name(len(content)), content, found)
    finally:
        os.close(place)


def open_folder(folder: str) -> int:
    """A descriptor of the folder, which is made, private, when there is none. Raises OSError."""
    try:
        return os.open(folder, _FOLDER)
    except FileNotFoundError:
        _make(os.path.abspath(folder))  # noqa: PTH100 - pathlib costs the client 3 ms at import
        return os.open(folder, _FOLDER)


def is_safe(folder: os.stat_result) -> bool:
    """Whether nobody but its owner, and whoever owns a file in it, can move or delete that file."""
    return not folder.st_mode & 0o022 or is_shared(folder)


def is_shared(folder: os.stat_result) -> bool:
    """Whether the folder is open to more than its owner, on purpose: the sticky bit says so."""
    return bool(folder.st_mode & stat.S_ISVTX and folder.st_mode & 0o022)


def _make(folder: str) -> None:
    """Make a folder and what is missing above it, each synced into the one above."""
    above = os.path.dirname(folder)  # noqa: PTH120 - as above
    if not os.path.isdir(above):  # noqa: PTH112 - as above
        _make(above)
    try:
        os.mkdir(folder, 0o700)  # noqa: PTH102 - as above
    except FileExistsError:
        return  # another thread's, a moment ago
    trust.set_mode(folder, 0o700)
    place = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _new_name(size: int) -> str:
    return f"{time.time_ns():019d}-{size}-{os.urandom(8).hex()}{SUFFIX}"


def _check_room(names: list[str], size: int) -> None:
    held = sum(map(_bytes_of, names))
    if len(names) >= MOST_FILES or held + size > MOST_BYTES:
        raise OSError(errno.ENOSPC, f"it is full, with {len(names)} files and about {held // 1024} KiB")


def _bytes_of(name: str) -> int:
    size = name.split("-", 2)[1:2]
    return int(size[0]) if size and size[0].isdecimal() else _USUAL_BYTES


def write(place: int, name: str, content: bytes, folder: os.stat_result) -> None:
    """A file in the folder that is open at `place`, whole and synced, or nothing of it. Raises OSError."""
    unfinished = f".{name}.{os.urandom(4).hex()}"  # not in the way of another try, whatever a crash left of this one
    try:
        _fill(os.open(unfinished, _FILE, 0o600, dir_fd=place), content, folder)
        os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
        os.fsync(place)
    except BaseException:
        for left in (unfinished, name):
            _forget(place, left)
        raise


def _fill(file: int, content: bytes, folder: os.stat_result) -> None:
    try:
        if os.geteuid() == 0 and folder.st_uid:  # root hands in to a user's daemon, which must be able to read it
            os.fchown(file, folder.st_uid, folder.st_gid)
        elif is_shared(folder) and folder.st_mode & stat.S_ISGID:
            os.fchmod(file, 0o640)
        else:
            os.fchmod(file, 0o600)  # whatever the umask: its owner's daemon must be able to read it
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def _forget(place: int, name: str) -> None:
    try:  # noqa: SIM105 - contextlib would be a third of what `import tocsin` costs
        os.unlink(name, dir_fd=place)
    except OSError:
        pass  # it is not there, or the disk does not answer any more: then it was not promised either
