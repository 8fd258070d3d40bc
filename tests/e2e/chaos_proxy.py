"""A road between client and daemon on which everything can happen.

The caller's end is a socket of its own; what comes in is a request, what goes out is decided by the weather. The daemon beyond is real, so
in most weathers it has the signal although the caller cannot know.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.harness import PATIENCE

from tocsin import wire

Answer = Callable[["Road", socket.socket, bytes], None]


def _hear(door: socket.socket) -> bytes | None:
    """One frame's body."""
    header = door.recv(wire.HEADER_BYTES, socket.MSG_WAITALL)
    if len(header) < wire.HEADER_BYTES:
        return None
    size = wire.body_length(header)
    body = door.recv(size, socket.MSG_WAITALL)
    return body if len(body) == size else None


def _beyond(road: Road, body: bytes) -> bytes:
    """What the daemon answers; nothing when it is away, or hung."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
        door.settimeout(PATIENCE)
        door.connect(road.daemon)
        door.sendall(wire.pack(body))
        door.shutdown(socket.SHUT_WR)  # who wants no answer gets the end of the stream instead
        return _hear(door) or b""
    return b""


def clear(road: Road, door: socket.socket, body: bytes) -> None:
    """As if there were no road."""
    door.sendall(wire.pack(_beyond(road, body)))


def slow(road: Road, door: socket.socket, body: bytes) -> None:
    """It arrives, and the answer does not."""
    _beyond(road, body)
    road.changed.wait(PATIENCE)


def hung(road: Road, door: socket.socket, body: bytes) -> None:
    """Read, and forgotten."""
    road.changed.wait(PATIENCE)


def garbage(road: Road, door: socket.socket, body: bytes) -> None:
    """It arrives, and what comes back makes no sense."""
    _beyond(road, body)
    door.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def cut(road: Road, door: socket.socket, body: bytes) -> None:
    """It arrives, and the answer ends in the middle."""
    door.sendall(wire.pack(_beyond(road, body))[:7])
    door.shutdown(socket.SHUT_RDWR)


def gone(road: Road, door: socket.socket, body: bytes) -> None:
    """It arrives, and the door closes."""
    _beyond(road, body)
    door.shutdown(socket.SHUT_RDWR)


def busy(road: Road, door: socket.socket, body: bytes) -> None:
    """Turned away."""
    door.sendall(wire.pack(b'{"ok":false,"error":{"kind":"busy","message":"too many"}}'))
    door.shutdown(socket.SHUT_RDWR)


ANSWERS: dict[str, Answer] = {each.__name__: each for each in (clear, slow, hung, garbage, cut, gone, busy)}
WEATHERS = (*ANSWERS, "absent", "stale", "full")


class Road:
    """A socket at `path` that leads to `daemon`, in one weather at a time."""

    def __init__(self, path: Path, daemon: str) -> None:
        self.path = str(path)
        self.daemon = daemon
        self.changed = threading.Event()
        self._open = ExitStack()
        self._threads: list[threading.Thread] = []

    def turn(self, weather: str) -> None:
        """From now on it is like this; what was connected no longer is."""
        self.close()
        self.changed = threading.Event()
        Path(self.path).unlink(missing_ok=True)
        if weather == "absent":
            return
        listener = self._open.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self.path)
        if weather == "stale":
            listener.close()
        elif weather == "full":
            self._fill(listener)
        else:
            listener.listen(64)
            self._open.callback(_hang_up, listener)  # wakes who accepts, which closing does not
            self._start(self._accept, listener, ANSWERS[weather])

    def _fill(self, listener: socket.socket) -> None:
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = self._open.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(self.path)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, answer: Answer) -> None:
        with contextlib.suppress(OSError):
            while True:
                door, _ = listener.accept()
                self._open.callback(door.close)
                self._open.callback(_hang_up, door)
                self._start(self._serve, door, answer)

    def _serve(self, door: socket.socket, answer: Answer) -> None:
        with contextlib.suppress(OSError):
            while (body := _hear(door)) is not None:
                answer(self, door, body)

    def close(self) -> None:
        """Nobody is on it any more."""
        self.changed.set()
        listener = self._open
        self._open = ExitStack()
        listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hang_up(door: socket.socket) -> None:
    with contextlib.suppress(OSError):
        door.shutdown(socket.SHUT_RDWR)
