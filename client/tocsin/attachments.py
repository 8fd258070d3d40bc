"""Attachments: the client copies a signal's file into `attachments` below the spool, and the daemon takes it over from there.

It is copied because the daemon may run as a user who cannot read the original, and must not open a path that a client names; and because
a program may overwrite a chart every minute. It is synced before the signal is handed over, so `stored` and `spooled` cover the file as
well. Its name is the signal's id and the file's own name, so a signal that is sent twice has one file.

A file is never a reason to refuse a signal. When it is too large, missing or not a regular file, the signal is sent without it and
`attach_note` says why: in the receipt, in the message, and in `tocsin why`. The caller waits for one copy on the local disk.

Below a private spool the client makes the folder; below a shared one only the daemon does, with the right mode and group.
"""

from __future__ import annotations

import errno
import os
import stat

from . import spool, trust
from .signals import Signal

MOST_BYTES = 8 * 1024 * 1024  # of one file: Discord takes 10 MiB
MOST_HELD = 64 * 1024 * 1024  # bytes that wait in the folder: the limit of the spool
FOLDER = "attachments"  # below the spool
_LONGEST_NAME = 80  # characters of the file's own name; its end, with the suffix, is kept
_CHUNK = 64 * 1024  # bytes
_HARMLESS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)  # the letters of a name that Discord leaves unchanged
_SOURCE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # opening a pipe must not block
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_in(signal: Signal, folder: str) -> Signal:
    """Copy the signal's file. `attach` of the result is the name below the spool `folder`, or `attach_note` says why there is none."""
    try:
        content = read(str(signal.attach))
        name = f"{signal.id}-{plain_name(str(signal.attach))}"
        _copy(folder, name, content)
    except Exception as error:  # noqa: BLE001 - the signal matters more than its file
        return without_file(signal, _reason(error))
    return Signal.trusted({**signal.as_dict(), "attach": name})


def checked(signal: Signal) -> Signal:
    """As `copy_in`, without copying: `attach` is the name that readers would see."""
    try:
        read(str(signal.attach))
    except Exception as error:  # noqa: BLE001 - as above
        return without_file(signal, _reason(error))
    return Signal.trusted({**signal.as_dict(), "attach": plain_name(str(signal.attach))})


def without_file(signal: Signal, reason: str) -> Signal:
    """The signal without its file, with a note that says why."""
    values = signal.as_dict()
    name = plain_name(values.pop("attach")).removeprefix(f"{signal.id}-")
    return Signal.trusted({**values, "attach_note": f"{name} is not attached: {reason}"})


def plain_name(path: str) -> str:
    """The last part of a path, in letters that every destination accepts."""
    name = "".join(letter if letter in _HARMLESS else "_" for letter in path.rsplit("/", 1)[-1])
    return name[-_LONGEST_NAME:].lstrip(".") or "file"


def read(path: str) -> bytes:
    """A file's content. Raises OSError, also for a file that is too large or not regular."""
    file = os.open(path, _SOURCE)
    try:
        return read_open(file, os.fstat(file))
    finally:
        os.close(file)


def read_open(file: int, found: os.stat_result) -> bytes:
    """As `read`, of an open file. It may grow while it is read, and files of /proc report a size of zero."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    content = b""
    while len(content) <= MOST_BYTES and found.st_size <= MOST_BYTES:
        chunk = os.read(file, max(found.st_size, _CHUNK) + 1)  # usually all of it: a large file is in memory only once
        if not chunk:
            return content
        content = content + chunk if content else chunk
    raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES // 2**20} MiB")


def _copy(folder: str, name: str, content: bytes) -> None:
    place = _open(folder)
    try:
        if not spool.is_safe(found := os.fstat(place)):
            raise PermissionError(errno.EPERM, f"others may write into the folder {FOLDER} of the spool")
        held = sum(each.st_size for each in spool.entries(place))
        if held + len(content) > MOST_HELD:
            raise OSError(errno.ENOSPC, f"the folder {FOLDER} of the spool is full, with {held // 2**20} MiB")
        spool.write(place, name, content, found)
    finally:
        os.close(place)


def _open(folder: str) -> int:
    """A descriptor of the folder for attachments."""
    above = spool.open_folder(folder)
    try:
        found = os.fstat(above)
        if not spool.is_safe(found):
            raise PermissionError(errno.EPERM, "others may write into the spool")
        if not spool.is_shared(found):
            _make(above, found)
        place = os.open(FOLDER, _FOLDER, dir_fd=above)
        try:
            trust.check_owner(os.fstat(place), f"the folder {FOLDER} of the spool", {*trust.owners(), found.st_uid})
        except trust.Untrusted:
            os.close(place)
            raise
        return place
    finally:
        os.close(above)


def _make(above: int, found: os.stat_result) -> None:
    try:
        os.mkdir(FOLDER, 0o700, dir_fd=above)
    except FileExistsError:
        return
    trust.set_mode(FOLDER, 0o700, dir_fd=above)
    place = os.open(FOLDER, _FOLDER, dir_fd=above)
    try:
        spool.give_new_folder(place, found)  # the daemon must be able to clear up after root
    finally:
        os.close(place)
    os.fsync(above)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
