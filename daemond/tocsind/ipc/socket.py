"""The listening socket: its folder, a stale file from a crash, and the rare case that somebody already listens.

One that the service manager holds for us has none of these worries: its file, its mode and its backlog are the manager's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import trio

from tocsind.errors import CannotWrite, StateLocked

BACKLOG = 1024
MODE = 0o660  # the folder and the group decide who may come in
_TURN = 0.01  # seconds; looking and binding takes far less
_TURNS = 50  # then whoever holds the folder's lock is not one of us, and shall not keep us from starting


def open_listener(path: str) -> trio.SocketListener:
    """Listen on `path`. A file that nobody listens on is a crash's leftover and is replaced.

    Raises StateLocked when somebody does listen, CannotWrite when it cannot be made.
    """
    folder = Path(path).parent
    _make_folder(folder)
    with _in_turn(folder):
        if _somebody_listens(path):
            raise StateLocked(f"another daemon listens on {path}; give this one its own socket and state folder")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            _bind(listener, path)
        except OSError as error:
            listener.close()
            raise CannotWrite(f"the socket {path} cannot be made: {error.strerror or error}") from error
    return trio.SocketListener(trio.socket.from_stdlib_socket(listener))


def adopt(inherited: socket.socket) -> trio.SocketListener:
    """Listen on a socket that was made, bound and opened by somebody else."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(inherited))


@contextlib.contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Two that start at once must not both find nobody and then take the socket from each other."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that may be written but not read: then without
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            _lock(descriptor)
        yield


def _lock(descriptor: int) -> None:
    for _ in range(_TURNS):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_TURN)
    return None


def _bind(listener: socket.socket, path: str) -> None:
    Path(path).unlink(missing_ok=True)
    umask = os.umask(0o777 & ~MODE)  # the file is never open wider than meant, not even between two calls
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.listen(BACKLOG)


def _make_folder(folder: Path) -> None:
    """Private when it is ours to make; an existing one must not be somebody else's trap."""
    try:
        folder.mkdir(mode=0o700 if os.geteuid() else 0o755, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise CannotWrite(f"the socket's folder {folder} cannot be made: {error.strerror or error}") from error
    if owner not in (os.geteuid(), 0):
        raise CannotWrite(
            f"the socket's folder {folder} belongs to uid {owner}, not to us: choose another with [daemon] socket"
        )


def _somebody_listens(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise CannotWrite(f"{path} is there and is no socket: move it away, or choose another with [daemon] socket")
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        # EAGAIN: somebody listens and is too busy to answer; anything but "nobody there" counts as somebody
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)
