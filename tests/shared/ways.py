"""A way to the engine that a test can spoil: a Unix socket whose connections are relayed by threads."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self


class Way:
    """Relays to the socket `upstream`. `drops`: swallow all bytes and end no connection, as a network does that is cut.

    `deaf_at`: swallow answers from when these bytes have passed to the engine. `delay` gives the seconds by which each piece is late.
    """

    def __init__(self, path: Path, upstream: Path) -> None:
        self.path = path
        self.upstream = upstream
        self.drops = False
        self.deaf_at: bytes | None = None
        self._is_deaf = False
        self.delay: Callable[[], float] = lambda: 0.0
        self._listener = socket.socket(socket.AF_UNIX)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def mend(self) -> None:
        """Work as a way does; connections that lost something end."""
        is_spoilt = self.drops or self._is_deaf
        self.drops, self._is_deaf, self.deaf_at, self.delay = False, False, None, lambda: 0.0
        if is_spoilt:
            self.cut()

    def lead_to(self, upstream: Path) -> None:
        """Lead to another engine from now on; connections to the one before end."""
        self.upstream = upstream
        self.cut()

    def cut(self) -> None:
        """End all connections."""
        for pair in list(self._pairs):
            _end(*pair)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen()
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(str(self.upstream))
                except OSError:
                    _end(near, far)
                    continue
                self._pairs.add((near, far))
                Thread(target=self._relay, args=(near, far), daemon=True).start()
                Thread(target=self._relay, args=(far, near), kwargs={"answers": True}, daemon=True).start()

    def _relay(self, source: socket.socket, to: socket.socket, *, answers: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._is_deaf |= not answers and self.deaf_at is not None and self.deaf_at in data
                if not (self.drops or (answers and self._is_deaf)):
                    time.sleep(self.delay())
                    to.sendall(data)
        while self.drops:
            time.sleep(0.05)
        _end(source, to)
        self._pairs -= {(source, to), (to, source)}


def _end(*ends: socket.socket) -> None:
    for each in ends:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
