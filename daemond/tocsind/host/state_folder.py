"""The state folder: owned by the daemon's user, not writable for others, and locked. The kernel releases the lock when the daemon dies.

A folder of another user is refused, by root's daemon too: that user could have put links into it, and root's files in it would stop
that user's own daemon. The daemon's own files in it must have the same owner and be no links, because SQLite opens by name.
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
_SPOOL = "spool"  # checked by tocsind.spool: it may be shared


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Create the state folder if need be, check it and hold its lock.

    Raises StateLocked when another daemon holds it, NotPermitted when others own it or may write to it, CannotWrite when it is unusable.
    """
    try:
        trust.make_folder(str(folder))
        _sync_name(folder)
        place = _open_checked(folder)
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
        _lock(lock, folder)
        yield folder
    finally:
        os.close(lock)


def is_served(folder: Path) -> bool:
    """Whether a daemon holds the lock of this state folder. Not tried out, as that could keep a daemon from starting."""
    with suppress(OSError):
        number = (folder / LOCK_NAME).lstat().st_ino
        lines = map(str.split, Path("/proc/locks").read_text("ascii").splitlines())
        return any("FLOCK" in words and f":{number} " in f"{' '.join(words)} " for words in lines)
    return False


def refusal(folder: Path, verb: str = "run") -> str | None:
    """Why the start would refuse this state folder, and what to do; None when it would not, or there is no folder. Changes nothing."""
    try:
        place = _open_checked(folder, verb)
        try:
            _check_inside(folder, place)
        finally:
            os.close(place)
    except NotPermitted as error:
        return str(error)
    except OSError:
        return None  # the start creates it, or reports why not
    return None


def _open_checked(folder: Path, verb: str = "run") -> int:
    """A descriptor of the folder. Raises OSError, NotPermitted."""
    try:
        place = trust.open_folder(str(folder), by=trust.ANY_UID)
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
    """The command that the operator should run instead."""
    if uid == 0:
        return f"sudo tocsind {verb}"
    return f"sudo -u {shlex.quote(trust.user_name(uid) or f'#{uid}')} tocsind {verb}"


def _check_inside(folder: Path, place: int) -> None:
    """Raises NotPermitted for a file with one of the daemon's names that another user owns, or that is a link."""
    for name in os.listdir(place):
        if name == _SPOOL or own_name(name) is None:
            continue
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
            if found.st_uid != os.geteuid():
                raise NotPermitted(
                    f"{folder / name} belongs to {trust.user(found.st_uid)}: {_chown_advice(folder / name)}"
                )
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise NotPermitted(f"{folder / name} is neither a file nor a folder (a link is neither): move it away")


def _chown_advice(path: Path) -> str:
    owner = trust.user_name(os.geteuid()) or str(os.geteuid())
    return f"run `{shlex.join(('chown', owner, str(path)))}` as root, or move it away"


def _sync_name(folder: Path) -> None:
    """Sync the folder's name: an interrupted start, or the operator a moment ago, may have created it."""
    with suppress(PermissionError):  # a parent that may be searched and not read, so it is not the daemon's
        trust.sync_folder(str(folder.absolute().parent))


def _unusable(folder: Path, error: OSError, name: str = "") -> CannotWrite:
    place = folder / name
    return CannotWrite(
        f"the state folder {folder} cannot be used: {f'{place}: ' if name else ''}{disk_errors.reason(error, str(folder))}"
    )


def _lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StateLocked(
            f"another tocsind (pid {holder}) serves the state folder {folder}; it was left alone"
        ) from None
    with suppress(OSError):  # on a full disk the lock works without the number
        written = os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)  # before truncating: needs no new block
        os.ftruncate(lock, written)
