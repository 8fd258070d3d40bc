"""What other programs of this host may ask over HTTP, read only: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever probes.

    /healthz   200 while we get on; 503 and why when something stands still, and only a fresh start would help. A Discord that is gone, a
               limit, a full disk: those are no reason to start anew, and none to say so here
    /readyz    200 while signals are taken; 503 and why while they are not
    /metrics   the status, as Prometheus text

One request a connection, few connections, small heads, no bodies, and everything within a deadline: whoever is on this host may ask, and
none of them may hold anything up. A browser on this host may ask only for a page of this host: `Host` and `Origin` must be loopback names,
or another site's script could read what stands here (DNS rebinding). A place where we cannot listen just now keeps the daemon from
nothing: it is told, and tried again.
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
_ENDING = 8  # connections that are open besides: those just made room for
DEADLINE = 30.0  # seconds for a connection; the proof that something stands still takes twenty
REOPEN_INTERVAL = 10.0  # seconds between two tries to listen
_BACKLOG = 16
_ONCE = {"Connection": "close", "Cache-Control": "no-store"}

_Listener = trio.SocketListener | UnixListener
CheckLiveness = Callable[[], Awaitable[str | None]]


class HttpEndpoints:
    """Answers until cancelled; `follow` takes another place over. `prove` is the proof of progress, `unready` why no signal is taken."""

    def __init__(self, status: StatusView, prove: CheckLiveness, unready: Callable[[], str | None], emit: Emit) -> None:
        self._status = status
        self._check = prove
        self._unready = unready
        self._emit = emit
        self._listen: str | None = None
        self._address: str | None = None
        self._problem: str | None = None
        self._reconfigured = trio.CancelScope()  # the time between two changes of the place
        self._web = WebServer(self.answer, BOUNDS)
        self._answers = {"/metrics": self._metrics, "/healthz": self._health, "/readyz": self._readiness}

    def apply(self, listen: str | None) -> None:
        """The place may be another."""
        if listen != self._listen:
            self._listen = listen
            self._reconfigured.cancel()

    def view(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The `metrics` of the status (null where nobody listens), and what is wrong with it."""
        if self._listen is None:
            return None, []
        problems = [f"[metrics] {self._listen} cannot be listened on: {self._problem}"] if self._problem else []
        return {"listen": self._address, "reason": self._problem}, problems

    async def run(self) -> None:
        """Listen wherever we are told to."""
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

    # --- what is answered ----------------------------------------------------------------------------------------------

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
        """Why this is not answered: it is about a name that is none of this host's, or a page of another host asks."""
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
        return _verdict(await self._check())

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
    """Where it listens, with the port that 0 became."""
    if isinstance(listener, UnixListener):
        return listen
    return f"{listen.rpartition(':')[0]}:{listener.socket.getsockname()[1]}"


def _verdict(trouble: str | None) -> Reply:
    return _plain(503, trouble) if trouble else _plain(200, "ok")


def _plain(status: int, text: str, **headers: str) -> Reply:
    return Reply(status, {**_ONCE, **headers, "Content-Type": "text/plain; charset=utf-8"}, f"{text}\n".encode())
