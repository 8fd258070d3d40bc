"""A small HTTP/1.1 server: h11 parses, trio transfers the bytes.

It is used by `tocsind.http` and by the fake Discord. A handler turns a Request into a Reply and takes the time that it likes. It may ask
for a bad ending: a response cut in the middle, or none at all. Real servers do both, so the fake has to.

Everything is bounded: headers by h11, bodies by `Bounds.body` or by what `inspect` says to the head, connections by `Bounds.connections`
and by peer, the time to receive a head by `Bounds.head`, a body by `Bounds.transfer`, and every other read and write by `Bounds.idle`
seconds. When all connections are in use, a new one replaces the one that has waited longest for a complete head: a client that sends heads
slowly, or none, keeps no other client out. A client that violates the protocol gets a plain 4xx and a closed connection.

A refusal that comes before the end of the body is sent at once, and what the client still sends is read and thrown away for a moment: a
connection that is closed over unread bytes is reset, and the client would lose the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from enum import Enum
from math import inf
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import h11
import msgspec
import trio

_READ_SIZE: Final = 65_536
_SMALL: Final = 64 * 1024  # bytes of a body that needs no reservation
_WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LINGER: Final = 2.0  # seconds in which the rest of a refused body is read
_MOST_LINGER: Final = 64 * 2**20  # bytes of it


class Bounds(msgspec.Struct, frozen=True):
    """What one client may use."""

    body: int = 30 * 1024 * 1024
    """Bytes of a request body; more is answered 413. Discord's 10 MiB a file, with room to be wrong."""
    headers: int = 16 * 1024
    idle: float = 75.0
    """Seconds a connection may make no progress."""
    head: float = 75.0
    """Seconds until the head of a request is complete, from the first byte, or from the connection on."""
    keep_alive: float = 75.0
    """Seconds that a connection may wait for its next request."""
    transfer: float = inf
    """Seconds until a body is complete."""
    finish: float = 0.0
    """Seconds that a request which may change something has to finish in, also while the server is cancelled; 0: it is cancelled too."""
    bodies: float = inf
    """Bytes of the large bodies of all connections together."""
    connections: int = 512
    per_peer: int = 512
    """Connections of one peer, where the peer is known."""


class Request(msgspec.Struct, frozen=True):
    """One complete request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: int | None = None
    """The uid at the other end of a Unix socket."""


class Ending(Enum):
    """How the response ends."""

    WHOLE = "whole"
    CUT = "cut"
    """Headers and half of the body, then the connection ends."""
    DROPPED = "dropped"
    """Nothing is sent; the connection ends."""


class Reply(msgspec.Struct, frozen=True):
    """One response. The server adds its length."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    ending: Ending = Ending.WHOLE
    stream: Callable[[], AsyncGenerator[bytes, None]] | None = None
    """Makes the body, piece by piece, instead of `body`; it may be endless. Cancelled when the client leaves."""


Handler: TypeAlias = Callable[[Request], Awaitable[Reply]]


class Admitted(msgspec.Struct, frozen=True):
    """What becomes of a request whose head was read: its handler, and how many bytes the body may have."""

    handler: Handler
    body: int


Inspect: TypeAlias = Callable[[Request], Reply | Admitted]
"""Sees a request before its body was read: the answer, when it needs no body, or who handles it."""


class WebServer:
    """Serves one handler on any number of connections. `serve_connection` is for `trio.serve_listeners`."""

    def __init__(self, handler: Handler, bounds: Bounds, inspect: Inspect | None = None) -> None:
        admitted = Admitted(handler, bounds.body)
        self._bounds = bounds
        self._inspect = inspect or (lambda _: admitted)
        self._bodies = _Memory(bounds.bodies)
        self._by_peer: Counter[int | None] = Counter()
        self.open_connections = 0
        self.connections = 0
        """Connections ever opened: whether a client keeps them alive shows here."""

        self._waiting_for_head: dict[
            _Connection, None
        ] = {}  # connections that wait for the head of a request, the longest wait first

    async def serve_connection(self, stream: trio.SocketStream, peer: int | None = None) -> None:
        """Serve one connection to its end. `peer` is the uid at the other end, where it is known."""
        self.connections += 1
        self.open_connections += 1
        self._by_peer[peer] += 1
        connection = _Connection(stream, self._inspect, self._bounds, self._bodies, self._waiting_for_head, peer=peer)
        try:
            async with stream:
                if self._has_room(peer):
                    with connection.scope:
                        await connection.run()
        finally:
            self._waiting_for_head.pop(connection, None)
            self.open_connections -= 1
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]

    def _has_room(self, peer: int | None) -> bool:
        """Whether a new connection of `peer` may stay; another one may have had to go for it."""
        if peer is not None and self._by_peer[peer] > self._bounds.per_peer and not self._make_room(peer):
            return False
        return self.open_connections <= self._bounds.connections or self._make_room()

    def _make_room(self, peer: int | None = None) -> bool:
        """End the connection (of this peer) that has waited longest for a head; False when none waits for one."""
        longest = next((each for each in self._waiting_for_head if peer in {None, each.peer}), None)
        if longest is not None:
            del self._waiting_for_head[longest]  # at once, or two new connections would replace the same one
            longest.scope.cancel()
        return longest is not None


class _Connection:
    def __init__(
        self,
        stream: trio.SocketStream,
        inspect: Inspect,
        bounds: Bounds,
        bodies: _Memory,
        waiting_for_head: dict[_Connection, None],
        *,
        peer: int | None,
    ) -> None:
        self.scope = trio.CancelScope()
        self.peer = peer
        self._waiting_for_head = waiting_for_head
        self._stream = stream
        self._inspect = inspect
        self._bounds = bounds
        self._bodies = bodies
        self._deadline = inf  # of the head or the body that is being read
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=bounds.headers)

    async def run(self) -> None:
        """Answer requests until either side ends the connection."""
        try:
            while await self._exchange():
                self._http.start_next_cycle()
                await self._wait_for_next()
        except (trio.BrokenResourceError, trio.TooSlowError):
            return  # the client left or stalled
        except h11.RemoteProtocolError as problem:
            await self._refuse(problem.error_status_hint)

    async def _wait_for_next(self) -> None:
        """Return when the first bytes of the next request are there. Until then the connection may have to make room."""
        if not self._http.trailing_data[0]:
            self._waiting_for_head[self] = None
            with trio.fail_after(self._bounds.keep_alive):
                self._http.receive_data(await self._stream.receive_some(_READ_SIZE))

    async def _exchange(self) -> bool:
        """One request and its response; whether another may follow."""
        head = await self._head()
        if not isinstance(head, h11.Request):
            return False
        request = _request(head, self.peer)
        verdict = self._inspect(request)
        if isinstance(verdict, Reply):
            return await self._answer_early(verdict, bodiless=request.method == "HEAD")
        async with self._bodies.reserved(_announced(request, verdict.body)):
            body = await self._body(verdict.body)
            if body is None:
                return await self._answer_early(Reply(413))
            if body:
                request = msgspec.structs.replace(request, body=body)
            if self._bounds.finish and request.method in _WRITING:
                return await self._finish(verdict.handler, request)
            reply = await verdict.handler(request)
        return await self._answer(reply, bodiless=request.method == "HEAD")

    async def _finish(self, handler: Handler, request: Request) -> bool:
        """Handle a request that may change something, and answer it, also while the server is cancelled: a client that gets no answer
        sends the same again.
        """
        with trio.move_on_after(self._bounds.finish, shield=True):
            return await self._answer(await handler(request))
        return False

    async def _head(self) -> h11.Event:
        self._waiting_for_head[self] = None
        self._deadline = trio.current_time() + self._bounds.head
        head = await self._next_event()
        self._waiting_for_head.pop(self, None)
        return head

    async def _body(self, most: int) -> bytes | None:
        """The whole body, or None when it is too long."""
        body = bytearray()
        self._deadline = trio.current_time() + self._bounds.transfer
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            if isinstance(event, h11.ConnectionClosed) or len(body) > most:
                return None
        return bytes(body)

    async def _answer_early(self, reply: Reply, *, bodiless: bool = False) -> bool:
        """Answer before the body was read; whether another request may follow, as after a request without a body."""
        if self._http.their_state is h11.SEND_BODY and isinstance(self._http.next_event(), h11.EndOfMessage):
            return await self._answer(reply, bodiless=bodiless)
        await self._answer(
            msgspec.structs.replace(reply, headers={**reply.headers, "Connection": "close"}), bodiless=bodiless
        )
        await self._linger()
        return False

    async def _linger(self) -> None:
        left = _MOST_LINGER
        with trio.move_on_after(_LINGER):
            await self._stream.send_eof()
            while left > 0 and (chunk := await self._stream.receive_some(_READ_SIZE)):
                left -= len(chunk)

    async def _answer(self, reply: Reply, *, bodiless: bool = False) -> bool:
        """`bodiless`: the response to HEAD has the length of the body and no body."""
        if reply.ending is Ending.DROPPED:
            return False
        if reply.stream is not None and not bodiless:
            return await self._answer_stream(reply, reply.stream)
        wire = self._send(_response(reply))
        cut = len(reply.body) // 2 if reply.ending is Ending.CUT else len(reply.body)
        if reply.body and not bodiless:
            wire += self._send(h11.Data(data=reply.body[:cut]))
        if reply.ending is Ending.CUT:
            await self._write(wire)
            return False
        await self._write(wire + self._send(h11.EndOfMessage()))
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _answer_stream(self, reply: Reply, make: Callable[[], AsyncGenerator[bytes, None]]) -> bool:
        """Send the pieces as they come, until there are no more or the client is gone."""
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in reply.headers.items()]
        await self._write(self._send(h11.Response(status_code=reply.status, headers=headers)))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_gone, nursery.cancel_scope)
                async with aclosing(make()) as pieces:
                    async for piece in pieces:
                        await self._write(self._send(h11.Data(data=piece)))
                await self._write(self._send(h11.EndOfMessage()))
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.TooSlowError):
            pass  # the client left or stalled
        return False

    async def _cancel_when_gone(self, scope: trio.CancelScope) -> None:
        """The client of a stream sends nothing more: whatever comes, its end included, ends the stream."""
        with suppress(trio.BrokenResourceError):
            await self._stream.receive_some(_READ_SIZE)
        scope.cancel()

    async def _refuse(self, status: int) -> None:
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        try:
            await self._answer(Reply(status, {"Connection": "close"}))
        except (trio.BrokenResourceError, trio.TooSlowError):
            return

    async def _next_event(self) -> h11.Event:
        while not isinstance(event := self._http.next_event(), h11.Event):
            if self._http.they_are_waiting_for_100_continue:
                await self._write(self._send(h11.InformationalResponse(status_code=100, headers=[])))
            with trio.fail_at(min(self._deadline, trio.current_time() + self._bounds.idle)):
                self._http.receive_data(await self._stream.receive_some(_READ_SIZE))
        return event

    def _send(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    async def _write(self, wire: bytes) -> None:
        with trio.fail_after(self._bounds.idle):
            await self._stream.send_all(wire)


class _Memory:
    """Bytes that large bodies may use together: a further one waits until there is room. Small ones do not count."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._used = 0
        self._waiting = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def reserved(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes for the length of the block. One body always has room, whatever its size."""
        if size <= _SMALL:
            yield
            return
        while self._used and self._used + size > self._most:
            await self._waiting.park()
        self._used += size
        try:
            yield
        finally:
            self._used -= size
            self._waiting.unpark_all()


def _announced(request: Request, most: int) -> int:
    """The bytes that a body may turn out to have. h11 has checked that the length is a number."""
    if "transfer-encoding" in request.headers:
        return most
    return min(int(request.headers.get("content-length", "0")), most)


def _request(head: h11.Request, peer: int | None) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(
        head.method.decode("ascii"), path, dict(parse_qsl(query, keep_blank_values=True)), headers, b"", peer
    )


def _response(reply: Reply) -> h11.Response:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in reply.headers.items()]
    if reply.status != 204:
        headers.append((b"Content-Length", b"%d" % len(reply.body)))
    return h11.Response(status_code=reply.status, headers=headers)
