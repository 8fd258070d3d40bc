"""Whom this process trusts: files, folders and peers are used only when their owner is one who may give orders here.

Those are root and the user that this process runs as (`owners`). For a socket the owner of the daemon's state folder is one as well.

    by descriptor   what is judged is what was opened (fstat), never a name that may mean something else a moment later
    links           a symbolic link is followed only if root or this user owns it, wherever on the way it stands
    regular         FIFOs and devices are no files: a FIFO would keep us waiting, a device does what it likes with our text
    hard links      where others may write into the folder, a file with a second name may be anybody's choice
    peers           the other end of a Unix socket is who the kernel says it is (SO_PEERCRED): for a listener the user who called listen(),
                    which for socket activation is the service manager's

`Untrusted` is an OSError, so code that handles a file that it cannot open needs no second path for one that it must not open. These are
plain system calls, and block as long as the disk does.
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

OVERFLOW = 65534  # how the kernel shows a uid that this user namespace has no number for: it may be anybody's
ANY_UID = range(2**32)  # every uid
_MOST_LINKS = 40  # as the kernel has it
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = (
    os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
)  # a FIFO that takes a file's place must not keep us waiting
_PEERCRED = 17  # SO_PEERCRED

needed_at_exit("pwd")
needed_at_exit("grp")


class Untrusted(PermissionError):  # noqa: N818 - names the condition
    """A file or folder that is there and may not be used; the text names its owner or what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


class UntrustedPeer(PermissionError):  # noqa: N818 - as above
    """The other end of a socket is a stranger's. Without an errno, unlike a socket that the kernel does not let us use."""


def owners() -> frozenset[int]:
    """The uids whose files, folders and listeners this process obeys."""
    uid = os.geteuid()
    if uid == OVERFLOW and is_partial_namespace():  # then it is not ours alone: every foreign user has it
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
    """A descriptor of a regular file of root's or ours (or of one of `by`), in a folder that is such an owner's as well.

    With O_CREAT a missing one is made, with `mode`. With `orders` nobody else may write to the file or its folder. Without `follow` no link
    is followed, our own neither. Raises OSError, Untrusted.
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
    """A descriptor of a folder of root's or ours (or of one of `by`; ANY_UID for who judges by himself). With `orders` nobody else may
    write to it. Links on the way are root's and ours in any case. Raises OSError, Untrusted.
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
    """What a path leads to, by no link of a stranger's. Raises OSError, Untrusted."""
    above, name = _reach(path, None, owners())
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False)
    finally:
        os.close(above)


def open_unjudged(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of what a path leads to, by no link of a stranger's, for who judges by himself what it is. Raises OSError, Untrusted."""
    above, name = _reach(path, None, owners())
    try:
        return os.open(name, flags | _FILE, dir_fd=above)
    finally:
        os.close(above)


def make_folder(path: str, mode: int = 0o700) -> None:
    """Make a folder and what is missing above it, each synced into the one above, so that its name outlasts a power cut. Raises OSError."""
    path = os.path.abspath(path)  # noqa: PTH100 - pathlib costs the client 3 ms at import
    above = os.path.dirname(path)  # noqa: PTH120 - as above
    if not os.path.isdir(above):  # noqa: PTH112 - as above
        make_folder(above, mode)
    try:
        os.mkdir(path, mode)  # noqa: PTH102 - as above
    except FileExistsError:
        if not os.path.isdir(path):  # noqa: PTH112 - as above
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        return  # another thread's, a moment ago
    set_mode(path, mode)
    sync_folder(above)


def set_mode(folder: str, mode: int, *, dir_fd: int | None = None) -> None:
    """Give a folder that this process has just made the mode that it asked for, whatever its umask took away. Raises OSError.

    By descriptor: its name may mean another folder by now. One that cannot be read is opened without reading it.
    """
    made = os.open(folder, _LOOK | os.O_DIRECTORY, dir_fd=dir_fd)
    try:
        found = os.fstat(made)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o777 != mode:
            os.chmod(f"/proc/self/fd/{made}", mode)  # noqa: PTH101 - as above
    finally:
        os.close(made)


def sync_folder(path: str) -> None:
    """Have the names in a folder on disk. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_owner(found: os.stat_result, what: str, by: Collection[int]) -> None:
    """Raises Untrusted unless one of `by` owns it; `what` it is begins the sentence."""
    if found.st_uid not in by:
        raise Untrusted(f"{what} belongs to {user(found.st_uid)}")


def check_unwritable(found: os.stat_result, what: str) -> None:
    """Raises Untrusted when others than the owner may write to it. (Where there are ACLs, the group's bits hold their mask.)"""
    if others_may_write(found):
        raise Untrusted(f"others than its owner may write to {what} (mode {stat.S_IMODE(found.st_mode):04o})")


def others_may_write(found: os.stat_result) -> bool:
    """Whether anybody but its owner may, and root."""
    if found.st_mode & 0o022 == 0o020:
        return not _is_private_group(found.st_uid, found.st_gid)
    return bool(found.st_mode & 0o022)


def _is_private_group(uid: int, gid: int) -> bool:
    """Whether the group is a user's own, with his name and nobody else in it, as most systems make them. (Root's has not root alone.)"""
    if uid == 0:
        return False
    try:
        owner, group = lazy("pwd").getpwuid(uid), lazy("grp").getgrgid(gid)
    except KeyError:
        return False
    return bool(owner.pw_gid == gid and owner.pw_name == group.gr_name and not {*group.gr_mem} - {owner.pw_name})


def check_way(folder: str) -> None:
    """Raises Untrusted where another user could put another folder in the place of this one: for a name that is opened again later.

    `folder` is a real path, without links.
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
    """Raises Untrusted unless it is a folder of this user's own that nobody else may enter."""
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        whose = f"it belongs to {user(found.st_uid)}, with mode {stat.S_IMODE(found.st_mode):04o}"
        raise Untrusted(f"{what} must be a folder of {user(os.geteuid())} with mode 0700; {whose}")


def check_peer(door: socket, by: Collection[int]) -> None:
    """Raises UntrustedPeer unless the other end of a connected Unix socket belongs to one of `by`."""
    uid = peer_of(door)[1]
    if uid not in by:
        raise UntrustedPeer(
            f"who listens there is {user(uid)}, neither root nor you nor the owner of the daemon's state folder"
        )


def peer_of(door: socket) -> tuple[int, int, int]:
    """Process, user and group at the other end of a connected Unix socket, as the kernel says."""
    raw = door.getsockopt(1, _PEERCRED, 12)  # 1: SOL_SOCKET
    pid, uid, gid = (int.from_bytes(raw[place : place + 4], sys.byteorder, signed=True) for place in (0, 4, 8))
    return pid, uid & 0xFFFFFFFF, gid & 0xFFFFFFFF


def is_partial_namespace() -> bool:
    """Whether this is a user namespace that has no number for some users, who all look like OVERFLOW then."""
    try:
        with open("/proc/self/uid_map", "rb") as mapped:  # noqa: PTH123 - as above
            return mapped.read().split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return True


def user(uid: int) -> str:
    """How people know a user: `tocsin (uid 998)`."""
    name = user_name(uid)
    return f"{name} (uid {uid})" if name else f"uid {uid}"


def user_name(uid: int) -> str | None:
    """A user's name; None where it has none, as in many containers."""
    try:
        return str(lazy("pwd").getpwuid(uid).pw_name)
    except KeyError:
        return None


def _opened(name: str, flags: int, mode: int, folder: int) -> int:
    """The file as it stands there. One that is missing is made by us or not at all: nobody's may slip in between."""
    plain = flags & ~(os.O_CREAT | os.O_EXCL) | _FILE
    while True:
        try:
            _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))  # opening a device may be an act
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
            os.fchmod(made, mode)  # a umask of 0777 leaves nobody a right, not even its owner
            return made


def _check_file(found: os.stat_result, folder: os.stat_result, by: Collection[int], *, orders: bool) -> None:
    _check_regular(found)
    check_owner(found, "it", by)
    if orders:
        check_unwritable(found, "it")
    elif found.st_nlink != 1 and others_may_write(folder):
        raise Untrusted("it has another name elsewhere (a hard link), and others may write to its folder")


def _check_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise Untrusted("not a regular file")


def _reach(path: str, dir_fd: int | None, by: Collection[int]) -> tuple[int, str]:
    """A descriptor of the folder that holds what `path` names, and its name there: not a link, and never one a moment ago.

    Links of one of `by` are followed, by hand, because the kernel would follow a stranger's.
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
    """The names in a path, the first of them last."""
    if not path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return [part for part in reversed(path.split("/")) if part and part != "."]


def _followed(target: str, links: Iterator[int]) -> list[str]:
    if next(links, None) is None:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return _parts(target)


def _stepped(folder: int, name: str) -> int:
    """The folder of this name below (`/` is the root), instead of the one that was open."""
    below = os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=folder)
    os.close(folder)
    return below


def _link(name: str, folder: int, by: Collection[int]) -> str | None:
    """Where a symbolic link leads; None for what is none, or is not there. Raises Untrusted for a stranger's."""
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
