"""The spool: the folder of outboxes (tocsin.outbox), and of the files that come with signals (tocsin.attachments).

    private    0700, files 0600: for one user, whose daemon reads it; root writes there, too, and gives its files to that user
    shared     3777, setgid with a group that only the daemon is in: every user who can reach this folder may create files in it (0660, of
               that group), and cannot read, replace or delete those of other users. The permissions of its parent decide who can reach it.
               Names can be listed, so that a client can count its own files and sync the folder; `tocsin status` shows the same numbers
    bounded    in files and bytes of one owner, by the blocks that the files use. Names and times are not trusted
    checked    a client does not write to a folder that the daemon would not read

A shared spool of a daemon that runs as root may have any group, because root reads files of mode 0600.
"""

from __future__ import annotations

import errno
import os
import stat

from . import trust

MOST_FILES = 10_000  # of one owner: the daemon imports so many within seconds
MOST_BYTES = 64 * 1024 * 1024  # of one owner
QUARANTINE = (
    "quarantine"  # below the folder: files that the daemon could not import, each with a file that gives the reason
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STAT_BLOCK = 512  # bytes, whatever the file system's own blocks are


def open_folder(folder: str) -> int:
    """A descriptor of the folder; a missing one is created, private. Raises OSError."""
    try:
        return os.open(folder, _FOLDER)
    except FileNotFoundError:
        trust.make_folder(folder)
    above, name = os.path.split(os.path.abspath(folder))  # noqa: PTH100 - pathlib costs the client 3 ms at import
    within = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = os.open(name, _FOLDER, dir_fd=within)
        give_new_folder(place, os.fstat(within))
        return place
    finally:
        os.close(within)


def give_new_folder(place: int, above: os.stat_result) -> None:
    """Root gives a folder that it made to the owner of the folder above, whose daemon reads it. Raises OSError.

    Only an empty one: its name may mean another by now. The owner of the folder above could have replaced an empty one anyway.
    """
    if os.geteuid() == 0 and above.st_uid and os.fstat(place).st_uid == 0 and not os.listdir(place):
        os.fchown(place, above.st_uid, above.st_gid)


def is_safe(folder: os.stat_result) -> bool:
    """Whether only the folder's owner and a file's owner can move or delete that file."""
    return not folder.st_mode & 0o022 or is_shared(folder)


def is_shared(folder: os.stat_result) -> bool:
    """Whether the folder is writable for other users on purpose, as its sticky bit shows."""
    return bool(folder.st_mode & stat.S_ISVTX and folder.st_mode & 0o022)


def check_safe(folder: os.stat_result) -> None:
    """Raises PermissionError for a folder that the daemon would not read."""
    if not is_safe(folder):
        raise PermissionError(errno.EPERM, "others may write into it: chmod 700, or 3777 to share it")


def check_room(place: int, folder: os.stat_result) -> int:
    """Bytes that this user's files in the folder use. Raises OSError when there is no room for more."""
    owners = {os.geteuid(), folder.st_uid} if os.geteuid() == 0 else {os.geteuid()}
    own = [
        each.st_blocks * _STAT_BLOCK for each in entries(place) if each.st_uid in owners and stat.S_ISREG(each.st_mode)
    ]
    if len(own) >= MOST_FILES or sum(own) >= MOST_BYTES:
        raise OSError(errno.ENOSPC, f"it is full, with {len(own)} files of yours and {sum(own) // 1024} KiB")
    return sum(own)


def entries(place: int) -> list[os.stat_result]:
    """What the folder that is open at `place` holds. Raises OSError.

    The daemon deletes and renames files there, and other clients do: one whose name is gone when its turn comes is left out.
    """
    found = []
    with os.scandir(place) as listed:
        for entry in listed:
            try:
                found.append(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
    return found


def give_to_daemon(file: int, folder: os.stat_result) -> None:
    """Make a new file readable for the folder's owner, the daemon, and for no other user. Raises OSError."""
    user = os.geteuid()
    os.fchmod(file, 0o600)  # independent of the umask: the daemon must be able to read it
    if folder.st_uid in (0, user):
        return
    if user == 0:
        os.fchown(file, folder.st_uid, folder.st_gid)
    elif folder.st_mode & stat.S_ISGID and folder.st_mode & 0o002:
        os.fchmod(file, 0o660)
    else:
        raise PermissionError(
            errno.EPERM, "its group could read what is in it: chgrp to a group of the daemon's own, chmod 3777"
        )


def write(place: int, name: str, content: bytes, folder: os.stat_result) -> None:
    """Write a file into the folder that is open at `place`, completely and synced, or not at all. Raises OSError."""
    unfinished = (
        f".{name}.{os.urandom(4).hex()}"  # random, so that a leftover of a crash does not block another attempt
    )
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
        give_to_daemon(file, folder)
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
        pass  # it does not exist, or the disk fails: no receipt was given for it
