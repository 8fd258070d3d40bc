"""Trust by ownership: files, folders and peers are used only when their owner is trusted.

Trusted are root and the user that this process runs as (`owners`), and for a socket also the owner of the daemon's state folder.

    by descriptor   checks are made on the open file (fstat), never on a name, which may mean another file a moment later
    links           a symbolic link anywhere in a path is followed only if root or this user owns it
    regular         FIFOs and devices are rejected: opening a FIFO blocks, and writing to a device has effects
    hard links      where other users may write into the folder, one of them may have made a file's second name
    peers           the other end of a Unix socket is checked by SO_PEERCRED: of a listener that is the user who called listen(), with
                    socket activation the service manager's

`Untrusted` is an OSError, so code that handles a file that it cannot open also handles one that it must not open. The functions make plain
system calls, which block as long as the disk does.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from .lazy_import import lazy, needed_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Collection, Iterator

OVERFLOW = 65534  # the uid that the kernel shows for every user who is not mapped into this user namespace
ANY_UID = range(2**32)
_MOST_LINKS = 40  # the limit of the kernel
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # opening a FIFO in a file's place must not block
_PEERCRED = 17  # SO_PEERCRED

needed_at_exit("pwd")
needed_at_exit("grp")


class Untrusted(PermissionError):  # noqa: N818 - names the condition
    """A file or folder that exists and must not be used; the text names its owner or the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


class UntrustedPeer(PermissionError):  # noqa: N818 - as above
    """The other end of a socket belongs to an untrusted user. It has no errno, unlike the kernel's PermissionError."""


def owners() -> frozenset[int]:
    """The uids whose files, folders and listeners this process trusts."""
    uid = os.geteuid()
    if uid == OVERFLOW and is_partial_namespace():  # every unmapped user has this uid
        return frozenset((0,))
    return frozenset((0, uid))


def open_file(
    path: str,
    flags: int = os.O_RDONLY,
    mode: int = 0o600,
    *,
    dir_fd: int | None = None,
    by: Collection[int] | None = None,
    orders: bool = False,
    follow: bool = True,
) -> int:
    """Open a regular file whose owner, like that of its folder, is trusted: one of `by` (default: root and this user).

    With O_CREAT a missing file is created, with `mode`. With `orders` no other user may have write permission for the file or its folder.
    Without `follow` a symbolic link is an error. Raises OSError, Untrusted.
    """
    trusted = owners() if by is None else by
    folder, name = _reach(path, dir_fd, owners() if follow else ())
    try:
        around = os.fstat(folder)
        check_owner(around, "its folder", trusted)
        if orders:
            check_unwritable(around, "its folder")
        file = _opened(name, flags, mode, folder)
        try:
            _check_file(os.fstat(file), around, trusted, orders=orders)
        except BaseException:
            os.close(file)
            raise
    finally:
        os.close(folder)
    return file


def open_folder(
    path: str, *, dir_fd: int | None = None, by: Collection[int] | None = None, orders: bool = False
) -> int:
    """Open a folder whose owner is one of `by` (default: root and this user; ANY_UID where the caller checks it). With `orders` no other
    user may have write permission. Links in the path must belong to root or this user in any case. Raises OSError, Untrusted.
    """
    trusted = owners() if by is None else by
    above, name = _reach(path, dir_fd, owners())
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    finally:
        os.close(above)
    try:
        found = os.fstat(folder)
        check_owner(found, "it", trusted)
        if orders:
            check_unwritable(found, "it")
    except BaseException:
        os.close(folder)
        raise
    return folder


def status(path: str) -> os.stat_result:
    """The stat of a path, without following links of untrusted users. Raises OSError, Untrusted."""
    above, name = _reach(path, None, owners())
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False)
    finally:
        os.close(above)


def open_unjudged(path: str, flags: int = os.O_RDONLY) -> int:
    """Open a path without following links of untrusted users; the caller checks the file. Raises OSError, Untrusted."""
    above, name = _reach(path, None, owners())
    try:
        return os.open(name, flags | _FILE, dir_fd=above)
    finally:
        os.close(above)


def make_folder(path: str, mode: int = 0o700) -> None:
    """Create a folder and its missing parents, each synced into its parent, so that it survives a power cut. Raises OSError."""
    path = os.path.abspath(path)  # noqa: PTH100 - pathlib costs the client 3 ms at import
    above = os.path.dirname(path)  # noqa: PTH120 - as above
    if not os.path.isdir(above):  # noqa: PTH112 - as above
        make_folder(above, mode)
    try:
        os.mkdir(path, mode)  # noqa: PTH102 - as above
    except FileExistsError:
        if not os.path.isdir(path):  # noqa: PTH112 - as above
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        return  # another thread has created it
    set_mode(path, mode)
    sync_folder(above)


def set_mode(folder: str, mode: int, *, dir_fd: int | None = None) -> None:
    """Set the mode of a folder that this process has just created, in spite of its umask. Raises OSError.

    By descriptor, because another folder may have its name now, and with O_PATH, because it may not be readable.
    """
    made = os.open(folder, _LOOK | os.O_DIRECTORY, dir_fd=dir_fd)
    try:
        found = os.fstat(made)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o777 != mode:
            os.chmod(f"/proc/self/fd/{made}", mode)  # noqa: PTH101 - as above
    finally:
        os.close(made)


def sync_folder(path: str) -> None:
    """Sync the names in a folder to disk. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_owner(found: os.stat_result, what: str, by: Collection[int]) -> None:
    """Raises Untrusted unless one of `by` owns it; `what` is the subject of the error text."""
    if found.st_uid not in by:
        raise Untrusted(f"{what} belongs to {user(found.st_uid)}")


def check_unwritable(found: os.stat_result, what: str) -> None:
    """Raises Untrusted when other users than the owner may write to it. (With ACLs the group's bits are their mask.)"""
    if others_may_write(found):
        raise Untrusted(f"other users than its owner may write to {what} (mode {stat.S_IMODE(found.st_mode):04o})")


def others_may_write(found: os.stat_result) -> bool:
    """Whether other users than its owner and root may write to it."""
    if found.st_mode & 0o022 == 0o020:
        return not _is_private_group(found.st_uid, found.st_gid)
    return bool(found.st_mode & 0o022)


def _is_private_group(uid: int, gid: int) -> bool:
    """Whether the group is the user's private group: it has the user's name and no other member. (Root's group may have others.)"""
    if uid == 0:
        return False
    try:
        owner, group = lazy("pwd").getpwuid(uid), lazy("grp").getgrgid(gid)
    except KeyError:
        return False
    return bool(owner.pw_gid == gid and owner.pw_name == group.gr_name and not {*group.gr_mem} - {owner.pw_name})


def check_way(folder: str) -> None:
    """Raises Untrusted where another user could replace this folder or a parent of it, before its path is opened again.

    `folder` is a path without links.
    """
    while True:
        found = os.lstat(folder)
        check_owner(found, folder, owners())
        if not found.st_mode & stat.S_ISVTX:
            check_unwritable(found, folder)
        if folder == "/":
            return
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above


def check_private(found: os.stat_result, what: str) -> None:
    """Raises Untrusted unless it is a folder of this user that no other user may enter."""
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        whose = f"it belongs to {user(found.st_uid)}, with mode {stat.S_IMODE(found.st_mode):04o}"
        raise Untrusted(f"{what} must be a folder of {user(os.geteuid())} with mode 0700; {whose}")


def check_peer(connected: socket, by: Collection[int]) -> None:
    """Raises UntrustedPeer unless the other end of a connected Unix socket belongs to one of `by`."""
    uid = peer_of(connected)[1]
    if uid not in by:
        raise UntrustedPeer(
            f"the listener belongs to {user(uid)}, who is neither root nor you nor the owner of the daemon's state folder"
        )


def peer_of(connected: socket) -> tuple[int, int, int]:
    """The pid, uid and gid of the other end of a connected Unix socket, from the kernel."""
    raw = connected.getsockopt(1, _PEERCRED, 12)  # 1: SOL_SOCKET
    pid, uid, gid = (int.from_bytes(raw[place : place + 4], sys.byteorder, signed=True) for place in (0, 4, 8))
    return pid, uid & 0xFFFFFFFF, gid & 0xFFFFFFFF


def is_partial_namespace() -> bool:
    """Whether this is a user namespace in which some users are not mapped, and appear as OVERFLOW."""
    try:
        with open("/proc/self/uid_map", "rb") as mapped:  # noqa: PTH123 - as above
            return mapped.read().split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return True


def user(uid: int) -> str:
    """A user for error texts: `tocsin (uid 998)`."""
    name = user_name(uid)
    return f"{name} (uid {uid})" if name else f"uid {uid}"


def user_name(uid: int) -> str | None:
    """A user's name; None where the uid has none, as in many containers."""
    try:
        return str(lazy("pwd").getpwuid(uid).pw_name)
    except KeyError:
        return None


def _opened(name: str, flags: int, mode: int, folder: int) -> int:
    """Open the file. A missing one is created with O_EXCL, so that no other process can create it in between."""
    plain = flags & ~(os.O_CREAT | os.O_EXCL) | _FILE
    while True:
        try:
            _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))  # opening a device may have effects
            return os.open(name, plain, dir_fd=folder)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        try:
            made = os.open(name, plain | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
        else:
            os.fchmod(made, mode)  # in spite of the umask
            return made


def _check_file(found: os.stat_result, folder: os.stat_result, by: Collection[int], *, orders: bool) -> None:
    _check_regular(found)
    check_owner(found, "it", by)
    if orders:
        check_unwritable(found, "it")
    elif found.st_nlink != 1 and others_may_write(folder):
        raise Untrusted("it has another name (a hard link), and other users may write to its folder")


def _check_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise Untrusted("not a regular file")


def _reach(path: str, dir_fd: int | None, by: Collection[int]) -> tuple[int, str]:
    """A descriptor of the folder that contains the target of `path`, and the target's name there, which is not a link.

    Links that belong to one of `by` are resolved here, because the kernel would also follow those of untrusted users.
    """
    folder = os.open("/" if path.startswith("/") else ".", _LOOK | os.O_DIRECTORY, dir_fd=dir_fd)
    parts, links = _parts(path), iter(range(_MOST_LINKS))
    try:
        while True:
            name = parts.pop() if parts else "."
            target = _link(name, folder, by)
            if target is None and not parts:
                return folder, name
            if target is not None:
                parts += _followed(target, links)
                name = "/" if target.startswith("/") else "."
            folder = _stepped(folder, name)
    except BaseException:
        os.close(folder)
        raise


def _parts(path: str) -> list[str]:
    """The names in a path, in reverse order."""
    if not path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return [part for part in reversed(path.split("/")) if part and part != "."]


def _followed(target: str, links: Iterator[int]) -> list[str]:
    if next(links, None) is None:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return _parts(target)


def _stepped(folder: int, name: str) -> int:
    """Open the folder of this name in `folder` (`/` is the root), and close `folder`."""
    below = os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=folder)
    os.close(folder)
    return below


def _link(name: str, folder: int, by: Collection[int]) -> str | None:
    """The target of a symbolic link; None where there is no link. Raises Untrusted for a link of an untrusted user."""
    try:
        found = os.open(name, _LOOK, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(found)
        if not stat.S_ISLNK(status.st_mode):
            return None
        if not by:
            raise Untrusted(f"{name} is a symbolic link")
        check_owner(status, f"the link {name}", by)
        return os.readlink("", dir_fd=found)
    finally:
        os.close(found)
