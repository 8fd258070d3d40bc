"""The state folder: ours alone, by its owner and mode, and by a lock that the kernel lets go of when we die.

A folder of another user is refused, by root's daemon too: that user could have put links into it, and would be left with files of root's
that stop his own daemon. What of ours is in it must be ours as well, and no link, because SQLite opens by name.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tocsin import disk_errors, trust
from tocsind.config.reserved_paths import own_name
from tocsind.errors import CannotWrite, NotPermitted, StateLocked

LOCK_NAME = "lock"
_SPOOL = "spool"  # judged by whoever reads it: it may be shared


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """The state folder, made if need be, locked.

    Raises StateLocked when another daemon has it, NotPermitted when it is not ours alone, CannotWrite when it cannot be used.
    """
    try:
        trust.make_folder(str(folder))
        _sync_name(folder)
        place = _judged(folder)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        _check_inside(folder, place)
        lock = trust.open_file(LOCK_NAME, os.O_RDWR | os.O_CREAT, dir_fd=place, follow=False)
    except OSError as error:
        raise _unusable(folder, error, LOCK_NAME) from error
    finally:
        os.close(place)
    try:
        _take(lock, folder)
        yield folder
    finally:
        os.close(lock)


def refusal(folder: Path, verb: str = "run") -> str | None:
    """Why this state folder would be refused at the start, and what to do; None when it would not be, or there is none. Changes nothing."""
    try:
        place = _judged(folder, verb)
        try:
            _check_inside(folder, place)
        finally:
            os.close(place)
    except NotPermitted as error:
        return str(error)
    except OSError:
        return None  # it is made at the start, or the start says why not
    return None


def _judged(folder: Path, verb: str = "run") -> int:
    """A descriptor of the folder. Raises OSError, NotPermitted."""
    try:
        place = trust.open_folder(str(folder), by=trust.ANYBODY)
    except trust.Untrusted as error:
        raise NotPermitted(f"the state folder {folder} cannot be trusted: {error.strerror}") from None
    try:
        _check(folder, os.fstat(place), verb)
    except BaseException:
        os.close(place)
        raise
    return place


def _check(folder: Path, found: os.stat_result, verb: str) -> None:
    if found.st_uid != os.geteuid():
        whose = f"belongs to {trust.user(found.st_uid)}, and this is {trust.user(os.geteuid())}"
        raise NotPermitted(
            f"the state folder {folder} {whose}: run `{_as_owner(found.st_uid, verb)}`, or name another with "
            "$STATE_DIRECTORY or [daemon] state"
        )
    if trust.others_may_write(found):
        mode = stat.S_IMODE(found.st_mode)
        advice = shlex.join(("chmod", "go-w", str(folder)))
        raise NotPermitted(f"others may write to the state folder {folder} (mode {mode:04o}): run `{advice}`")


def _as_owner(uid: int, verb: str) -> str:
    """The command that would be right."""
    if uid == 0:
        return f"sudo tocsind {verb}"
    return f"sudo -u {shlex.quote(trust.user_name(uid) or f'#{uid}')} tocsind {verb}"


def _check_inside(folder: Path, place: int) -> None:
    """Raises NotPermitted for what has a name of ours and is another's, or a link."""
    for name in os.listdir(place):
        if name == _SPOOL or own_name(name) is None:
            continue
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
            if found.st_uid != os.geteuid():
                raise NotPermitted(
                    f"{folder / name} belongs to {trust.user(found.st_uid)}: {_give_back(folder / name)}"
                )
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise NotPermitted(f"{folder / name} is neither a file nor a folder (a link is neither): move it away")


def _give_back(path: Path) -> str:
    owner = trust.user_name(os.geteuid()) or str(os.geteuid())
    return f"run `{shlex.join(('chown', owner, str(path)))}` as root, or move it away"


def _sync_name(folder: Path) -> None:
    """Have the folder's own name on disk: it may have been made by a start that was cut off, or by a person a moment ago."""
    with suppress(PermissionError):  # a folder above that may be passed and not read, which is no folder of ours
        trust.sync_folder(str(folder.absolute().parent))


def _unusable(folder: Path, error: OSError, name: str = "") -> CannotWrite:
    place = folder / name
    return CannotWrite(
        f"the state folder {folder} cannot be used: {f'{place}: ' if name else ''}{disk_errors.reason(error, str(folder))}"
    )


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StateLocked(
            f"another tocsind (pid {holder}) serves the state folder {folder}; it was left alone"
        ) from None
    with suppress(OSError):  # a full disk: the lock holds without the number
        written = os.pwrite(
            lock, f"{os.getpid()}\n".encode(), 0
        )  # before it is cut: the space that the file has is enough
        os.ftruncate(lock, written)
