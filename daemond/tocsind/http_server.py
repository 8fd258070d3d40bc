"""A small HTTP/1.1 server: h11 parses, trio transfers the bytes.

It is used by `observe.http_endpoints` and by the fake Discord. A handler turns a Request into a Reply and takes the time that it likes. It
may ask for a bad ending: a response cut in the middle, or none at all. Real servers do both, so the fake has to.

Everything is bounded: headers by h11, bodies by `Bounds.body`, connections by `Bounds.connections`, the time to receive the head of a
request by `Bounds.head`, and every other read and write by `Bounds.idle` seconds. When all connections are in use, a new one replaces the
one that has waited longest for a complete head: a client that sends heads slowly, or none, keeps no other client out. A client that
violates the protocol gets a plain 4xx and a closed connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import h11
import msgspec
import trio

_READ_SIZE: Final = 65_536


class Bounds(msgspec.Struct, frozen=True):
    """What one client may use."""

    body: int = 30 * 1024 * 1024
    """Bytes of a request body; more is answered 413. Discord's 10 MiB a file, with room to be wrong."""
    headers: int = 16 * 1024
    idle: float = 75.0
    """Seconds a connection may make no progress."""
    head: float = 75.0
    """Seconds until the head of a request is complete."""
    connections: int = 512


class Request(msgspec.Struct, frozen=True):
    """One complete request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


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


Handler: TypeAlias = Callable[[Request], Awaitable[Reply]]


class WebServer:
    """Serves one handler on any number of connections. `serve_connection` is for `trio.serve_listeners`."""

    def __init__(self, handler: Handler, bounds: Bounds) -> None:
        self._handler = handler
        self._bounds = bounds
        self.open_connections = 0
        self.connections = 0
        """Connections ever opened: whether a client keeps them alive shows here."""

        self._waiting_for_head: dict[
            _Connection, None
        ] = {}  # connections that wait for the head of a request, the longest wait first

    async def serve_connection(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open_connections += 1
        connection = _Connection(stream, self._handler, self._bounds, self._waiting_for_head)
        try:
            async with stream:
                if self.open_connections <= self._bounds.connections or self._make_room():
                    with connection.scope:
                        await connection.run()
        finally:
            self._waiting_for_head.pop(connection, None)
            self.open_connections -= 1

    def _make_room(self) -> bool:
        """End the connection that has waited longest for a head; False when none waits for one."""
        longest = next(iter(self._waiting_for_head), None)
        if longest is not None:
            del self._waiting_for_head[longest]  # at once, or two new connections would replace the same one
            longest.scope.cancel()
        return longest is not None


class _Connection:
    def __init__(
        self, stream: trio.SocketStream, handler: Handler, bounds: Bounds, waiting_for_head: dict[_Connection, None]
    ) -> None:
        self.scope = trio.CancelScope()
        self._waiting_for_head = waiting_for_head
        self._stream = stream
        self._handler = handler
        self._bounds = bounds
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=bounds.headers)

    async def run(self) -> None:
        """Answer requests until either side ends the connection."""
        try:
            while await self._exchange():
                self._http.start_next_cycle()
        except (trio.BrokenResourceError, trio.TooSlowError):
            return  # the client left or stalled
        except h11.RemoteProtocolError as problem:
            await self._refuse(problem.error_status_hint)

    async def _exchange(self) -> bool:
        """One request and its response; whether another may follow."""
        head = await self._head()
        if not isinstance(head, h11.Request):
            return False
        body = await self._body()
        if body is None:
            await self._refuse(413)
            return False
        return await self._answer(await self._handler(_request(head, body)), bodiless=head.method == b"HEAD")

    async def _head(self) -> h11.Event:
        self._waiting_for_head[self] = None
        with trio.fail_after(self._bounds.head):
            head = await self._next_event()
        self._waiting_for_head.pop(self, None)
        return head

    async def _body(self) -> bytes | None:
        """The whole body, or None when it is too long."""
        body = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            if isinstance(event, h11.ConnectionClosed) or len(body) > self._bounds.body:
                return None
        return bytes(body)

    async def _answer(self, reply: Reply, *, bodiless: bool = False) -> bool:
        """`bodiless`: the response to HEAD has the length of the body and no body."""
        if reply.ending is Ending.DROPPED:
            return False
        wire = self._send(_response(reply))
        cut = len(reply.body) // 2 if reply.ending is Ending.CUT else len(reply.body)
        if reply.body and not bodiless:
            wire += self._send(h11.Data(data=reply.body[:cut]))
        if reply.ending is Ending.CUT:
            await self._write(wire)
            return False
        await self._write(wire + self._send(h11.EndOfMessage()))
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

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
            with trio.fail_after(self._bounds.idle):
                self._http.receive_data(await self._stream.receive_some(_READ_SIZE))
        return event

    def _send(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    async def _write(self, wire: bytes) -> None:
        with trio.fail_after(self._bounds.idle):
            await self._stream.send_all(wire)


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)


def _response(reply: Reply) -> h11.Response:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in reply.headers.items()]
    if reply.status != 204:
        headers.append((b"Content-Length", b"%d" % len(reply.body)))
    return h11.Response(status_code=reply.status, headers=headers)
