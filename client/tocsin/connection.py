"""One connection to the daemon, and the deadline that all waits on it share.

Rules that keep the caller safe:

    every wait asks the deadline how long is left, so that no sequence of waits adds up to more than was promised
    a connection that did not finish its exchange is closed: a late answer must never be read as the next one's
    a signal handler may send while the thread that it interrupted does: it finds the connection taken, and opens another
    the socket never blocks: an operation that can finish at once is one system call, and only one that has to wait polls
    the listener's user is checked before the first byte is sent (SO_PEERCRED): root, this user, or the owner of the daemon's state folder
    bytes are sent with MSG_NOSIGNAL: a program that restored SIGPIPE must not die because a daemon did

OSErrors leave here as they are; `client` translates them once.
"""

from __future__ import annotations

import _socket  # `socket` with its enums would be half of what `import tocsin` costs
import os
import select
import time
from _thread import RLock  # `threading` would be a tenth of what `import tocsin` costs

from . import paths, trust, wire
from .errors import ProtocolMismatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .signals import Signal

_LONGEST = 1e6  # seconds, eleven days; sockets and locks overflow on larger timeouts
_CHUNK = 64 * 1024
_RETRY = 1.0  # s between two attempts on the socket while hand-offs go to an outbox that no daemon takes
_RETRY_SHARE = 20.0  # plus this many times the duration of the last attempt
_RECONFIRM_SECONDS = 10.0  # s; a spool that could not be used may be usable later
_REMEMBERED = 10_000  # ids that were handed over
_BACKLOG_NAPS = (0.001, 0.002, 0.005, 0.01)  # s; the daemon accepts a full backlog within milliseconds, or it hangs


class Deadline:
    """An instant that several waits share."""

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + min(seconds, _LONGEST)

    def left(self) -> float:
        """Seconds left, more than zero. Raises TimeoutError after the deadline."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self.seconds:g} s are over")
        return left

    def remaining(self) -> float:
        """Seconds left; zero after the deadline."""
        return max(0.0, self._end - time.monotonic())

    def elapsed(self) -> float:
        """Seconds since it was set, at most `seconds`."""
        return self.seconds - self.remaining()


class NoAnswer(TimeoutError):  # noqa: N818 - names the event
    """The request was sent, and time ran out before the answer: the daemon may have stored the signal."""


class Connection:
    """A connected socket that speaks frames."""

    __slots__ = ("_poll", "_socket", "_unread")

    def __init__(self, connected: _socket.socket) -> None:
        connected.settimeout(0)
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._unread = bytearray()

    def is_quiet(self) -> bool:
        """Whether the connection can be used for another exchange: it is open, and there is nothing to read."""
        return not self._unread and self._socket.fileno() >= 0 and not self._poll.poll(0)

    def exchange(self, body: bytes, deadline: Deadline) -> bytes:
        """The answer to the request in `body`. Raises OSError, ProtocolMismatch."""
        answer = self.start(body, deadline)
        try:
            answer = answer or self.recv_frame(deadline)
        except TimeoutError as error:
            raise NoAnswer(*error.args) from error
        if answer is None:
            raise ConnectionResetError("closed without an answer")
        return answer

    def start(self, body: bytes, deadline: Deadline) -> bytes | None:
        """Send a request. Returns the answer of a daemon that rejected the connection before it read the request, if it sent one."""
        try:
            self.send_frame(body, deadline)
        except ConnectionError:
            answer = self.recv_frame(deadline)
            if answer is None:
                raise
            return answer
        return None

    def send_frame(self, body: bytes, deadline: Deadline) -> None:
        """Send one frame."""
        frame = wire.pack(body)
        try:
            sent = self._socket.send(frame, _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        if sent < len(frame):
            self._send_slowly(frame[sent:], deadline)

    def _send_slowly(self, rest: bytes, deadline: Deadline) -> None:
        self._socket.settimeout(deadline.left())
        self._socket.sendall(rest, _socket.MSG_NOSIGNAL)
        self._socket.settimeout(0)

    def recv_frame(self, deadline: Deadline | None) -> bytes | None:
        """The next frame's body, or None where the stream ends between frames. No deadline waits for ever."""
        if not self._fill(wire.HEADER_BYTES, deadline):
            return None
        end = wire.HEADER_BYTES + wire.body_length(bytes(self._unread[: wire.HEADER_BYTES]))
        if end > wire.MAX_REPLY:
            raise ProtocolMismatch("the answer's length makes no sense: is that socket tocsind's?")
        self._fill(end, deadline)
        body = bytes(self._unread[wire.HEADER_BYTES : end])
        del self._unread[:end]
        return body

    def _fill(self, size: int, deadline: Deadline | None) -> bool:
        """Read until `size` bytes are here; False where the stream ended before the first of them."""
        while len(self._unread) < size:
            self._poll.poll(None if deadline is None else deadline.left() * 1000 + 1)
            try:
                chunk = self._socket.recv(_CHUNK)
            except BlockingIOError:
                continue  # the deadline decides whether to go on
            if not chunk and self._unread:
                raise ConnectionResetError("closed in the middle of an answer")
            if not chunk:
                return False
            self._unread += chunk
        return True

    def close(self) -> None:
        """Close this process's end; a parent's end of the same connection stays open."""
        self._socket.close()


class Session:
    """One process's connection, and the lock that lets one thread at a time use it.

    `folder` is the spool for this client's outbox, None at first: one that the daemon has named (`is_named`), or one that the client's
    settings named when no daemon answered. `next_try` is the time from which the socket is tried again while hand-offs go to an outbox that
    no daemon seems to take.
    """

    __slots__ = ("_connection", "_lock", "_reconfirm_at", "_sent", "_variables", "folder", "is_named", "next_try")

    def __init__(self) -> None:
        self._lock = RLock()
        self._connection: Connection | None = None
        self._sent: dict[str, None] = {}  # the latest ids
        self._reconfirm_at = 0.0  # when to ask for the spool's path again
        self._variables: tuple[str | None, ...] = ()
        self.folder: str | None = None
        self.is_named = False
        self.next_try = 0.0

    def needs_receipt(self, signals: list[Signal]) -> bool:
        """Whether only the daemon can give a receipt for one of these signals. Records their ids as handed over."""
        sent = self._sent
        asks = False
        for signal in signals:
            values = signal._values  # noqa: SLF001 - this runs for every hand-off
            asks = asks or "to" in values or "attach" in values or values["id"] in sent
            sent[values["id"]] = None
        if len(sent) > _REMEMBERED:
            for id_ in list(sent)[: _REMEMBERED // 2]:
                sent.pop(id_, None)
        return asks

    def try_later(self, deadline: Deadline) -> None:
        """No daemon answered. The longer that took, the later the next attempt, because hand-offs wait for it."""
        self.next_try = time.monotonic() + _RETRY + _RETRY_SHARE * deadline.elapsed()

    def follow_environment(self) -> bool:
        """Whether the variables that choose daemon and spool have changed since the last call."""
        before, self._variables = self._variables, paths.variables()
        return before != self._variables

    def wants_spool(self) -> bool:
        """Whether to ask the daemon for its spool's path."""
        return time.monotonic() >= self._reconfirm_at

    def learn_spool(self, reported: Any, given: str | None) -> None:
        """Use the spool that the daemon `reported`, if this process sees the same folder, and it is the one `given`, if any."""
        if not isinstance(reported, dict) and not self.wants_spool():
            return
        self.forget_spool()
        try:
            path = str(reported["path"])
            found = os.lstat(path)
            same = (found.st_dev, found.st_ino) == (reported["device"], reported["inode"])
            if given is not None:
                same = same and os.path.samestat(found, os.lstat(given))
        except (OSError, ValueError, TypeError, KeyError):
            return
        if same and os.access(path, os.W_OK | os.X_OK):
            self.folder, self.is_named = path, True

    def forget_spool(self) -> None:
        """Use the socket, and ask for the spool's path again later."""
        self.folder, self.is_named = None, False
        self._reconfirm_at = time.monotonic() + _RECONFIRM_SECONDS

    def exchange(self, given: str | None, body: bytes, deadline: Deadline, *, answered: bool) -> bytes:
        """The answer to `body`; empty where none is expected. Raises OSError, ProtocolMismatch."""
        if not self._lock.acquire(timeout=deadline.left()):
            raise TimeoutError(f"{deadline.seconds:g} s are over")
        try:
            return self._exchange(given, body, deadline, answered=answered)
        finally:
            self._lock.release()

    def _exchange(self, given: str | None, body: bytes, deadline: Deadline, *, answered: bool) -> bytes:
        kept, self._connection = self._connection, None
        if kept is not None:
            try:
                if kept.is_quiet():
                    return self._exchange_on(kept, body, deadline, answered=answered)
            except ConnectionError:
                pass  # the daemon was restarted; requests are safe to repeat
            finally:
                if self._connection is not kept:
                    kept.close()
        return self._exchange_on(connect(given, deadline), body, deadline, answered=answered)

    def _exchange_on(self, connection: Connection, body: bytes, deadline: Deadline, *, answered: bool) -> bytes:
        """One exchange. The connection is kept only if it finishes."""
        answer = b""
        try:
            if answered:
                answer = connection.exchange(body, deadline)
            else:
                connection.send_frame(body, deadline)
        except BaseException:
            connection.close()
            raise
        self.abandon()  # a connection that a signal handler has opened in the meantime
        self._connection = connection
        return answer

    def close(self, timeout: float) -> None:
        """Close the connection, unless another thread uses it for longer than `timeout` seconds."""
        if self._lock.acquire(timeout=min(timeout, _LONGEST)):
            try:
                self.abandon()
                self.folder, self.is_named, self._reconfirm_at, self.next_try = None, False, 0.0, 0.0
            finally:
                self._lock.release()

    def abandon(self) -> None:
        """Close the connection without the lock: after a fork it may be held for ever."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def connect(given: str | None, deadline: Deadline) -> Connection:
    """Connect to the daemon at `given`, or at its usual place. Raises OSError, UntrustedPeer for an untrusted user's listener."""
    path = paths.socket_path(given)
    if not given and not os.environ.get("TOCSIN_SOCKET") and paths.is_private(path):
        _check_private(path)
    naps = iter(_BACKLOG_NAPS)
    while True:
        connected = _try(path, deadline)
        if connected is not None:
            return Connection(_trusted(connected, given))
        time.sleep(min(next(naps, _BACKLOG_NAPS[-1]), deadline.left()))


def _check_private(path: str) -> None:
    try:
        paths.check_private(path)
    except trust.Untrusted as error:
        raise trust.UntrustedPeer(error.strerror) from None


def _trusted(connected: _socket.socket, given: str | None) -> _socket.socket:
    """The connected socket, if its listener is trusted. Raises UntrustedPeer; no byte was sent then."""
    try:
        if trust.peer_of(connected)[1] not in trust.owners():
            trust.check_peer(connected, paths.daemon_users(given))
    except BaseException:
        connected.close()
        raise
    return connected


def _try(path: str, deadline: Deadline) -> _socket.socket | None:
    """A connected socket, or None while the daemon's backlog is full: connect fails at once then, despite its timeout."""
    connecting = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connecting.settimeout(deadline.left())
        connecting.connect(path)
    except BlockingIOError:
        connecting.close()
        return None
    except BaseException:
        connecting.close()
        raise
    return connecting
