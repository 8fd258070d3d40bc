"""A proxy between client and daemon that injects faults.

The client connects to the proxy's socket. The fault decides the reply. The daemon is real, so with most faults it has the signal
although the client gets no receipt.
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

Answer = Callable[["ChaosProxy", socket.socket, bytes], None]


def _receive(client: socket.socket) -> bytes | None:
    """The body of the next frame; None at the end of the stream."""
    header = client.recv(wire.HEADER_BYTES, socket.MSG_WAITALL)
    if len(header) < wire.HEADER_BYTES:
        return None
    size = wire.body_length(header)
    body = client.recv(size, socket.MSG_WAITALL)
    return body if len(body) == size else None


def _forward(proxy: ChaosProxy, body: bytes) -> bytes:
    """The reply of the daemon; empty if it does not run or hangs."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(proxy.daemon)
        client.sendall(wire.pack(body))
        client.shutdown(socket.SHUT_WR)  # a request without a reply ends with the end of the stream
        return _receive(client) or b""
    return b""


def clear(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Forwards request and reply."""
    client.sendall(wire.pack(_forward(proxy, body)))


def slow(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Forwards the request and withholds the reply."""
    _forward(proxy, body)
    proxy.changed.wait(PATIENCE)


def hung(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Reads the request and forwards nothing."""
    proxy.changed.wait(PATIENCE)


def garbage(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Forwards the request and replies with other bytes."""
    _forward(proxy, body)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def cut(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Forwards the request and sends a part of the reply."""
    client.sendall(wire.pack(_forward(proxy, body))[:7])
    client.shutdown(socket.SHUT_RDWR)


def gone(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Forwards the request and closes the connection."""
    _forward(proxy, body)
    client.shutdown(socket.SHUT_RDWR)


def busy(proxy: ChaosProxy, client: socket.socket, body: bytes) -> None:
    """Replies `busy` and forwards nothing."""
    client.sendall(wire.pack(b'{"ok":false,"error":{"kind":"busy","message":"too many"}}'))
    client.shutdown(socket.SHUT_RDWR)


ANSWERS: dict[str, Answer] = {each.__name__: each for each in (clear, slow, hung, garbage, cut, gone, busy)}
FAULTS = (*ANSWERS, "absent", "stale", "full")


class ChaosProxy:
    """A socket at `path` that forwards to the socket `daemon`, with one fault at a time."""

    def __init__(self, path: Path, daemon: str) -> None:
        self.path = str(path)
        self.daemon = daemon
        self.changed = threading.Event()
        self._open = ExitStack()
        self._threads: list[threading.Thread] = []

    def inject(self, fault: str) -> None:
        """Close all connections and switch to this fault."""
        self.close()
        self.changed = threading.Event()
        Path(self.path).unlink(missing_ok=True)
        if fault == "absent":
            return
        listener = self._open.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self.path)
        if fault == "stale":
            listener.close()
        elif fault == "full":
            self._fill(listener)
        else:
            listener.listen(64)
            self._open.callback(_shut_down, listener)  # wakes the accepting thread; close() does not
            self._start(self._accept, listener, ANSWERS[fault])

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
                client, _ = listener.accept()
                self._open.callback(client.close)
                self._open.callback(_shut_down, client)
                self._start(self._serve, client, answer)

    def _serve(self, client: socket.socket, answer: Answer) -> None:
        with contextlib.suppress(OSError):
            while (body := _receive(client)) is not None:
                answer(self, client, body)

    def close(self) -> None:
        """Close all connections and end the threads."""
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


def _shut_down(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
