"""The HTTP server's bounds: bodies, peers, kept connections, and refusals that a client can read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tocsind.http_server import Bounds, Handler, Inspect, Reply, Request, WebServer

BIG = 1024 * 1024


class Streams:
    """Connections to a server, over socket pairs."""

    def __init__(self, nursery: trio.Nursery, web: WebServer) -> None:
        self._nursery = nursery
        self._web = web
        self.opened: list[trio.SocketStream] = []

    async def open(self, peer: int | None = None) -> trio.SocketStream:
        """A new connection of this peer, which the server has accepted."""
        here, there = trio.socket.socketpair()
        self._nursery.start_soon(self._web.serve_connection, trio.SocketStream(there), peer)
        self.opened.append(trio.SocketStream(here))
        await trio.testing.wait_all_tasks_blocked()
        return self.opened[-1]


@asynccontextmanager
async def serving(handler: Handler, bounds: Bounds, inspect: Inspect | None = None) -> AsyncIterator[Streams]:
    async with trio.open_nursery() as nursery:
        streams = Streams(nursery, WebServer(handler, bounds, inspect))
        yield streams
        for each in streams.opened:
            await each.aclose()
        nursery.cancel_scope.cancel()


def post(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


async def answered(stream: trio.SocketStream) -> bytes:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        chunk = await stream.receive_some(65536)
        if not chunk:
            break
        answer += chunk
    return answer


async def no_content(_: Request) -> Reply:
    return Reply(204)


async def test_large_bodies_wait_for_room_and_small_ones_do_not() -> None:
    release = trio.Event()
    told, sizes = trio.open_memory_channel[int](10)

    async def handler(request: Request) -> Reply:
        await told.send(len(request.body))
        if len(request.body) == BIG:
            await release.wait()
        return Reply(204)

    async with serving(handler, Bounds(bodies=1.5 * BIG)) as streams, trio.open_nursery() as nursery:
        with trio.fail_after(30):
            for _ in range(2):
                nursery.start_soon((await streams.open()).send_all, post(BIG))
            assert await sizes.receive() == BIG
            small = await streams.open()
            await small.send_all(post(10))
            assert (await answered(small)).startswith(b"HTTP/1.1 204")
            assert await sizes.receive() == 10
            await trio.testing.wait_all_tasks_blocked(0.05)
            with pytest.raises(trio.WouldBlock):
                sizes.receive_nowait()
            release.set()
            assert await sizes.receive() == BIG


async def test_kept_connection_serves_many_requests_and_ends_when_idle() -> None:
    async with serving(no_content, Bounds(keep_alive=1.0)) as streams:
        stream = await streams.open()
        for _ in range(3):
            await stream.send_all(post(3))
            assert (await answered(stream)).startswith(b"HTTP/1.1 204")
        with trio.fail_after(30):
            assert await stream.receive_some(1) == b""


async def test_peer_has_a_bound_of_its_own() -> None:
    async with serving(no_content, Bounds(connections=10, per_peer=2)) as streams:
        greedy = [await streams.open(peer=7) for _ in range(3)]
        other = await streams.open(peer=8)
        await other.send_all(post(1))
        assert (await answered(other)).startswith(b"HTTP/1.1 204")
        with trio.fail_after(30):
            assert await greedy[0].receive_some(1) == b""  # the one that waited longest made room
        await greedy[2].send_all(post(1))
        assert (await answered(greedy[2])).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize("early", [False, True])
async def test_refusal_before_the_end_of_a_body_reaches_the_client(early: bool) -> None:
    def refuse(_: Request) -> Reply:
        return Reply(401)

    bounds = Bounds(body=BIG)
    async with serving(no_content, bounds, refuse if early else None) as streams, trio.open_nursery() as nursery:
        stream = await streams.open()
        nursery.start_soon(stream.send_all, post(4 * BIG))
        with trio.fail_after(30):
            answer = await answered(stream)
        assert answer.startswith(b"HTTP/1.1 401" if early else b"HTTP/1.1 413")
        assert b"Connection: close" in answer


async def test_body_has_one_deadline_however_it_trickles() -> None:
    async with serving(no_content, Bounds(idle=5, transfer=0.2)) as streams:
        stream = await streams.open()
        await stream.send_all(post(1000)[:-999])
        with trio.fail_after(30), pytest.raises(trio.BrokenResourceError):
            await trickle(stream)


async def trickle(stream: trio.SocketStream) -> None:
    """Send one byte after the other for ever."""
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.02)


async def test_stream_ends_when_its_reader_takes_nothing() -> None:
    ended = trio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * BIG
        finally:
            ended.set()

    async def handler(_: Request) -> Reply:
        return Reply(200, {"Connection": "close"}, stream=endless)

    async with serving(handler, Bounds(idle=0.2)) as streams:
        reader = await streams.open()
        await reader.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with trio.fail_after(30):
            await ended.wait()
            while await reader.receive_some(BIG):
                pass
