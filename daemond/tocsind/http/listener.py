"""The listener: opens the address of the configuration, moves it at a reload, and reports when it cannot be had.

Every user of this host may connect to a loopback address, and none may keep the others out: heads are small and have one deadline, bodies
are read for requests with a token only, connections are bounded, and the one that has waited longest for a head makes room. On a Unix
socket each uid has a bound of its own. When the address is not free, the daemon works all the same, reports it and tries again.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

import trio

from tocsind.config import HttpOptions
from tocsind.errors import DaemonError
from tocsind.events import Emit, HttpOpened, HttpProblem
from tocsind.host.accept_loop import AcceptLoop
from tocsind.host.unix_socket import UnixListener, open_listener
from tocsind.http_server import Bounds, WebServer

from .routing import Router

BOUNDS = Bounds(
    headers=16 * 1024,
    idle=10.0,
    head=4.0,
    transfer=60.0,
    finish=8.0,
    bodies=16.0 * 2**20,
    connections=512,
    per_peer=256,
)
_ENDING = 8  # connections beside these: those that are being closed to make room
REOPEN_INTERVAL = 10.0  # seconds between two tries to listen
_BACKLOG = 1024

_Listener = trio.SocketListener | UnixListener


class HttpListener:
    """Serves the routes until cancelled; `apply` changes address and tokens."""

    def __init__(self, router: Router, emit: Emit) -> None:
        self._router = router
        self._emit = emit
        self._listen: str | None = None
        self._address: str | None = None
        self._problem: str | None = None
        self._reconfigured = trio.CancelScope()  # cancelled when the address changes
        self._web = WebServer(router.answer, BOUNDS, router.inspect)

    def apply(self, options: HttpOptions) -> None:
        """Use this address and these tokens from now on; without an address, listen nowhere."""
        self._router.apply(options)
        if options.listen != self._listen:
            self._listen = options.listen
            self._reconfigured.cancel()

    def view(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The `http` of the status (null without an address), and its problems."""
        if self._listen is None:
            return None, []
        problems = [f"[http] {self._listen} cannot be listened on: {self._problem}"] if self._problem else []
        return {"listen": self._address, "reason": self._problem}, problems

    async def run(self) -> None:
        """Listen on the address of the configuration."""
        while True:
            with trio.CancelScope() as self._reconfigured:
                if self._listen is None:
                    await trio.sleep_forever()
                else:
                    await self._serve(self._listen)

    async def _serve(self, listen: str) -> None:
        self._address = self._problem = None
        listener = await self._opened(listen)
        self._address = _address(listener, listen)
        self._emit(HttpOpened(self._address))
        accepting = AcceptLoop(self._address, self._emit, BOUNDS.connections + _ENDING)
        try:
            async with trio.open_nursery() as nursery:
                if isinstance(listener, UnixListener):
                    nursery.start_soon(listener.watch, self._emit)
                await accepting.run(listener, self._connection, nursery)
        finally:
            self._address = None
            if isinstance(listener, UnixListener):
                listener.remove()

    async def _opened(self, listen: str) -> _Listener:
        while True:
            try:
                listener = await _open(listen)
            except (OSError, DaemonError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                if self._problem is None:
                    self._emit(HttpProblem(listen, reason))
                self._problem = reason
                await trio.sleep(REOPEN_INTERVAL)
            else:
                self._problem = None
                return listener

    async def _connection(self, stream: trio.SocketStream) -> None:
        await self._web.serve_connection(stream, _peer_of(stream))


async def _open(listen: str) -> _Listener:
    """Raises OSError or DaemonError."""
    if listen.startswith("/"):
        return open_listener(listen)
    host, _, port = listen.rpartition(":")
    address = "127.0.0.1" if host == "localhost" else host.strip("[]")
    listeners: Sequence[trio.SocketListener] = await trio.open_tcp_listeners(int(port), host=address, backlog=_BACKLOG)
    return listeners[0]


def _address(listener: _Listener, listen: str) -> str:
    """The address, with the port that the system chose for port 0."""
    if isinstance(listener, UnixListener):
        return listen
    return f"{listen.rpartition(':')[0]}:{listener.socket.getsockname()[1]}"


def _peer_of(stream: trio.SocketStream) -> int | None:
    """The uid at the other end of a Unix socket; None for TCP."""
    if stream.socket.family != socket.AF_UNIX:
        return None
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
