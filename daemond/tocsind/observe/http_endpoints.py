"""Read-only HTTP endpoints for programs of this host: `/metrics` for Prometheus, `/healthz` and `/readyz` for probes.

    /healthz   200 while the daemon makes progress; 503 and the reason when something is stuck that only a restart can repair. A server
               that is down, a limit or a full disk is no reason for a restart, and so none for a 503
    /readyz    200 while the daemon accepts signals; 503 and the reason otherwise
    /metrics   the status, as Prometheus text

Every user of this host may connect, and none may block the others: one request per connection, few connections, small heads, no bodies,
and a deadline for each connection. `Host` and `Origin` must be loopback names; otherwise a script of a foreign site could read these pages
through a browser on this host (DNS rebinding). When the address is not free, the daemon works all the same, reports it and tries again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from tocsind.errors import DaemonError, StorageFull
from tocsind.events import Emit, HttpOpened, HttpProblem
from tocsind.host.accept_loop import AcceptLoop
from tocsind.host.loopback import is_loopback, is_loopback_origin
from tocsind.host.unix_socket import UnixListener, open_listener
from tocsind.http_server import Bounds, Reply, Request, WebServer

from .prometheus import CONTENT_TYPE, render
from .status import StatusView

BOUNDS = Bounds(body=0, headers=8192, idle=2.0, head=2.0, connections=16)
_ENDING = 8  # connections beside these: those that are being closed to make room
DEADLINE = 30.0  # seconds for a connection; the liveness check takes up to twenty
REOPEN_INTERVAL = 10.0  # seconds between two tries to listen
_BACKLOG = 16
_ONCE = {"Connection": "close", "Cache-Control": "no-store"}

_Listener = trio.SocketListener | UnixListener
CheckLiveness = Callable[[], Awaitable[str | None]]


class HttpEndpoints:
    """Serves until cancelled; `apply` changes the address. `unready` returns why the daemon accepts no signals."""

    def __init__(
        self, status: StatusView, check_liveness: CheckLiveness, unready: Callable[[], str | None], emit: Emit
    ) -> None:
        self._status = status
        self._check_liveness = check_liveness
        self._unready = unready
        self._emit = emit
        self._listen: str | None = None
        self._address: str | None = None
        self._problem: str | None = None
        self._reconfigured = trio.CancelScope()  # cancelled when the address changes
        self._web = WebServer(self.answer, BOUNDS)
        self._answers = {"/metrics": self._metrics, "/healthz": self._health, "/readyz": self._readiness}

    def apply(self, listen: str | None) -> None:
        """Listen on this address from now on; None: nowhere."""
        if listen != self._listen:
            self._listen = listen
            self._reconfigured.cancel()

    def view(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The `metrics` of the status (null without an address), and its problems."""
        if self._listen is None:
            return None, []
        problems = [f"[metrics] {self._listen} cannot be listened on: {self._problem}"] if self._problem else []
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
        with trio.move_on_after(DEADLINE):
            await self._web.serve_connection(stream)

    # --- responses -----------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        if foreign := self._refuse_foreign(request):
            return _plain(403, foreign)
        answer = self._answers.get(request.path)
        if answer is None:
            return _plain(404, f"there are {', '.join(self._answers)}")
        if request.method not in {"GET", "HEAD"}:
            return _plain(405, "only GET and HEAD are answered", Allow="GET, HEAD")
        return await answer()

    def _refuse_foreign(self, request: Request) -> str | None:
        """Why the request gets a 403: its Host is no name of this host, or the page of another host sent it."""
        if (self._listen or "").startswith("/"):
            return None  # no browser reaches a Unix socket
        host, origin = request.headers.get("host"), request.headers.get("origin")
        if host is not None and not is_loopback(host):  # HTTP/1.0 needs none
            return "the Host is no loopback name; use localhost or 127.0.0.1"
        if origin is not None and not is_loopback_origin(origin):
            return "the Origin is no page of this host"
        return None

    async def _metrics(self) -> Reply:
        try:
            text = await render(await self._status.collect())
        except StorageFull as full:
            return _plain(503, str(full))
        return Reply(200, {**_ONCE, "Content-Type": CONTENT_TYPE}, text)

    async def _health(self) -> Reply:
        return _verdict(await self._check_liveness())

    async def _readiness(self) -> Reply:
        return _verdict(self._unready())


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


def _verdict(problem: str | None) -> Reply:
    return _plain(503, problem) if problem else _plain(200, "ok")


def _plain(status: int, text: str, **headers: str) -> Reply:
    return Reply(status, {**_ONCE, **headers, "Content-Type": "text/plain; charset=utf-8"}, f"{text}\n".encode())
