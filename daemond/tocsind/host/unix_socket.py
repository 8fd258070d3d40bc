"""The listening socket: its folder, a stale file from a crash, another daemon that listens there, and a file that vanishes.

Programs that clean up /tmp or /run remove sockets: then no client reaches a daemon that still listens. So the listener checks every
CHECK_INTERVAL seconds that the file at its path is the one that it created. It binds again when the file is gone or no process listens on
it, and leaves the socket of another daemon alone. A socket inherited from the service manager cannot be bound again here: its file, its
mode and its backlog are the manager's.
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

from tocsin import disk_errors, paths, trust
from tocsind.clock import sleep_until_round
from tocsind.errors import CannotWrite, DaemonError, StateLocked
from tocsind.events import Emit, SocketProblem, SocketRestored

BACKLOG = 1024
CHECK_INTERVAL = 4.0  # seconds between two checks of the file: at the same time as every other round of housekeeping
MODE = 0o660  # the folder and the group decide who may connect
_LOCK_INTERVAL = 0.01  # seconds between two attempts; checking and binding takes far less
_LOCK_ATTEMPTS = 50  # after them the start goes on without: a process that holds the folder's lock so long is no daemon


class UnixListener(trio.abc.Listener[trio.SocketStream]):
    """A listener on a path. `problem` says why clients cannot connect; None while they can."""

    def __init__(self, path: str, listening: socket.socket, *, is_inherited: bool = False) -> None:
        self.path = path
        self.problem: str | None = None
        self._is_inherited = is_inherited
        self._exchange = trio.CancelScope()
        self._use(listening)

    def _use(self, listening: socket.socket) -> None:
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        self._file = _identity(self.path)

    async def accept(self) -> trio.SocketStream:
        """The next connection, also after the socket was bound again."""
        while True:
            with trio.CancelScope() as self._exchange:
                return await self._listener.accept()

    async def aclose(self) -> None:
        """Stop listening. The file stays."""
        await self._listener.aclose()

    def remove(self) -> None:
        """Remove the file, if it is the one that this listener made."""
        if not self._is_inherited and self._file is not None and _identity(self.path) == self._file:
            Path(self.path).unlink(missing_ok=True)

    async def watch(self, emit: Emit) -> None:
        """Check the file regularly, and bind again when it is gone. Runs until cancelled."""
        while True:
            await sleep_until_round(CHECK_INTERVAL)
            self.check(emit)

    def check(self, emit: Emit) -> None:
        """Check once. A failure is reported once, until its reason changes."""
        before = self.problem
        was_there = self._file is not None and _identity(self.path) == self._file
        self.problem = None if was_there else self._restore()
        if self.problem not in (None, before):
            emit(SocketProblem(self.path, self.problem or ""))
        elif self.problem is None and (before or not was_there):
            emit(SocketRestored(self.path))

    def _restore(self) -> str | None:
        """Bind again; the reason when that failed."""
        if self._is_inherited:
            return "its file is gone, and the service manager holds the socket: restart its socket unit"
        try:
            listening = _listen(self.path, attempts=1)
        except DaemonError as error:
            return str(error)
        old = self._listener.socket
        self._exchange.cancel()  # before the old socket is closed: else `accept` would raise ClosedResourceError
        self._use(listening)
        old.close()
        return None


def open_listener(path: str) -> UnixListener:
    """Listen on `path`. A file that no process listens on is left from a crash and is replaced.

    Raises StateLocked when another process listens, CannotWrite when the socket cannot be created.
    """
    return UnixListener(path, _listen(path, attempts=_LOCK_ATTEMPTS))


def adopt(inherited: socket.socket) -> UnixListener:
    """Listen on a socket that the service manager created, bound and listens on."""
    return UnixListener(inherited.getsockname(), inherited, is_inherited=True)


def _listen(path: str, attempts: int) -> socket.socket:
    folder = Path(path).parent
    _make_folder(path)
    with _folder_locked(folder, attempts):
        if _has_listener(path):
            raise StateLocked(f"another daemon listens on {path}; give this one its own socket and state folder")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            _bind(listener, path)
        except OSError as error:
            listener.close()
            raise CannotWrite(f"the socket {path} cannot be made: {disk_errors.reason(error, str(folder))}") from error
    return listener


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the file; None when there is none, or it cannot be examined."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _folder_locked(folder: Path, attempts: int) -> Iterator[None]:
    """Lock the folder while checking and binding: of two daemons that start at once, only one must bind."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that may be written and not read: without the lock
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            _lock(descriptor, attempts)
        yield


def _lock(descriptor: int, attempts: int) -> None:
    for attempt in range(attempts):
        if attempt:
            time.sleep(_LOCK_INTERVAL)
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return None


def _bind(listener: socket.socket, path: str) -> None:
    Path(path).unlink(missing_ok=True)
    umask = os.umask(0o777 & ~MODE)  # the file has its final mode from the start
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.listen(BACKLOG)


def _make_folder(path: str) -> None:
    """Create the folder, private; an existing one, and each link on the way, must belong to root or the daemon's user."""
    folder = Path(path).parent
    try:
        trust.make_folder(str(folder), 0o700 if os.geteuid() else 0o755)
        trust.check_owner(trust.status(str(folder)), "it", trust.owners())
        if paths.is_private(path):
            paths.check_private(path)
    except trust.Untrusted as error:
        advice = "choose another with [daemon] socket"
        raise CannotWrite(f"the socket's folder {folder} cannot be trusted: {error.strerror}; {advice}") from error
    except OSError as error:
        raise CannotWrite(
            f"the socket's folder {folder} cannot be made: {disk_errors.reason(error, str(folder))}"
        ) from error


def _has_listener(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise CannotWrite(f"{path} is there and is no socket: move it away, or choose another with [daemon] socket")
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        # EAGAIN: a process listens and its backlog is full; only "refused" and "no such file" mean that none listens
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)
