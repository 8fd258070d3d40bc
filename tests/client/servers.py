"""Small real servers on Unix sockets, as good or as bad as a test wants them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tocsin import wire

Manner = Callable[["Visit"], None]
Answer = Callable[[dict[str, Any]], Any]
Serve = Callable[..., "Server"]


class Visit:
    """One accepted connection, seen from the server."""

    def __init__(self, connection: socket.socket, leaving: threading.Event) -> None:
        self.connection = connection
        self.leaving = leaving  # set when the server stops: wait on it instead of sleeping

    def hear(self) -> dict[str, Any] | None:
        header = self._exactly(wire.HEADER_BYTES)
        body = header and self._exactly(wire.body_length(header))
        if not body:
            return None
        return wire.decode(body)

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            chunk = self.connection.recv(size - len(got))
            if not chunk:
                return b""
            got += chunk
        return got

    def tell(self, message: Any) -> None:
        self.connection.sendall(wire.pack(json.dumps(message).encode()))


class Server:
    """Listens at `path`; every connection is served in its own thread by `manner`."""

    def __init__(self, path: Path, manner: Manner, *, backlog: int = 64) -> None:
        self.path = str(path)
        self.visits = 0
        self.requests: list[dict[str, Any]] = []
        self._manner = manner
        self._leaving = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(backlog)
        self._start(self._accept)

    def _start(self, what: Callable[..., None], *given: Any) -> None:
        thread = threading.Thread(target=what, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = self._listener.accept()
                self.visits += 1
                self._connections.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._manner(Visit(connection, self._leaving))

    def stop(self) -> None:
        self._leaving.set()
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()


def answering(answer: Answer) -> Manner:
    """A manner that reads requests and answers each with what `answer` makes of it; None is silence."""

    def manner(visit: Visit) -> None:
        while (request := visit.hear()) is not None:
            reply = answer(request)
            if reply is not None:
                visit.tell(reply)

    return manner


def stored(request: dict[str, Any]) -> dict[str, Any]:
    """What a daemon in good health answers to a hand-off."""
    if request["op"] == "send":
        return {"ok": True, "receipt": {"id": request["signal"]["id"], "state": "stored", "reason": None}}
    if request["op"] == "losses":
        return {"ok": True}
    return {
        "ok": True,
        "receipts": [{"id": each["id"], "state": "stored", "reason": None} for each in request["signals"]],
    }


def silent(visit: Visit) -> None:
    """Takes everything and says nothing."""
    visit.leaving.wait()


def refusing(kind: str, **more: Any) -> Answer:
    """An answer that is always the same no."""
    return lambda _: {"ok": False, "error": {"kind": kind, "message": f"told {kind}", **more}}
