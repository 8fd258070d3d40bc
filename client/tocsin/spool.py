"""The spool: the folder of outboxes (tocsin.outbox), and of the files that come with signals (tocsin.attachments).

    private    0700, files 0600: of one user, whose daemon takes it in; root hands in there too, and gives its files to that user
    shared     3777, setgid with a group that only the daemon is in: whoever gets as far as this folder may create files in it (0660, of
               that group), and cannot read, replace or delete those of others. The folder above decides who gets so far. That names
               can be listed tells nothing that `tocsin status` does not, and lets a client count its own files and sync the folder
    bounded    in files and bytes of one owner, by the blocks that they really use. Names and times count for nothing
    honest     a folder that the daemon would not read is not written to either

A shared spool of a daemon that is root may have any group, for root reads files of mode 0600.
"""

from __future__ import annotations

import errno
import os
import stat

from . import trust

MOST_FILES = 10_000  # of one owner: so many the daemon takes in within seconds
MOST_BYTES = 64 * 1024 * 1024  # of one owner: a disk that has less to spare has other worries
QUARANTINE = "quarantine"  # below the folder: what the daemon could not take, with the reason beside it
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STAT_BLOCK = 512  # bytes, whatever the file system's own blocks are


def open_folder(folder: str) -> int:
    """A descriptor of the folder, which is made, private, when there is none. Raises OSError."""
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
    """Whether nobody but its owner, and whoever owns a file in it, can move or delete that file."""
    return not folder.st_mode & 0o022 or is_shared(folder)


def is_shared(folder: os.stat_result) -> bool:
    """Whether the folder is open to more than its owner, on purpose: the sticky bit says so."""
    return bool(folder.st_mode & stat.S_ISVTX and folder.st_mode & 0o022)


def check_safe(folder: os.stat_result) -> None:
    """Raises PermissionError for a folder that the daemon would not read."""
    if not is_safe(folder):
        raise PermissionError(errno.EPERM, "others may write into it: chmod 700, or 3777 to share it")


def check_room(place: int, folder: os.stat_result) -> int:
    """Bytes that this user's files in the folder use. Raises OSError when there is no room for more."""
    owners = {os.geteuid(), folder.st_uid} if os.geteuid() == 0 else {os.geteuid()}
    with os.scandir(place) as files:
        found = [file.stat(follow_symlinks=False) for file in files if file.is_file(follow_symlinks=False)]
    own = [each.st_blocks * _STAT_BLOCK for each in found if each.st_uid in owners]
    if len(own) >= MOST_FILES or sum(own) >= MOST_BYTES:
        raise OSError(errno.ENOSPC, f"it is full, with {len(own)} files of yours and {sum(own) // 1024} KiB")
    return sum(own)


def give_to_daemon(file: int, folder: os.stat_result) -> None:
    """Let the folder's owner, who is the daemon, read a new file, and nobody else. Raises OSError."""
    user = os.geteuid()
    os.fchmod(file, 0o600)  # whatever the umask: its owner's daemon must be able to read it
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
        pass  # it is not there, or the disk does not answer any more: then it was not promised either
