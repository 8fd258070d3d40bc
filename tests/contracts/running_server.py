"""The Unix-socket server on a real socket and a real journal, in the test's own event loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from tests.contracts.raw_peer import framed
from tests.daemon.inprocess import importer, status_view, supervisor
from tests.harness import PATIENCE, file, route

from tocsind.clock import SystemClock
from tocsind.config import parse
from tocsind.core.admission import Peer
from tocsind.core.assembly import assemble
from tocsind.destinations.http import HttpClient
from tocsind.events import ConnectionRefused, Event
from tocsind.expectations import Expectations
from tocsind.ipc import Handlers, Limits, Server, open_listener
from tocsind.ipc.connection_table import Phase
from tocsind.journal import Journal
from tocsind.observe.event_feed import EventFeed
from tocsind.observe.metrics import Metrics
from tocsind.observe.story import Stories


class RunningServer:
    """A server with its journal and spool importer. No lane runs, so accepted signals stay queued."""

    def __init__(self, path: Path, server: Server, events: list[Event]) -> None:
        self.path = path
        self.server = server
        self.events = events

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[trio.SocketStream]:
        stream = await trio.open_unix_socket(self.path)
        assert isinstance(stream, trio.SocketStream)
        async with stream:
            yield stream

    def refusals(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, ConnectionRefused)]

    async def until_idle(self) -> None:
        """Wait until every connection waits for its next request. A client may have its reply earlier than that."""
        await self.until(lambda: all(each.phase is Phase.IDLE for each in self.server.table.slots))

    async def until_busy(self, connections: int) -> None:
        """Wait until there are so many connections, and each is being served."""
        await self.until(
            lambda: [each.phase is not Phase.IDLE for each in self.server.table.slots] == [True] * connections
        )

    async def until_following(self, connections: int) -> None:
        """Wait until so many connections are tails or waits."""
        phases = [Phase.FOLLOWING] * connections
        await self.until(lambda: [each.phase for each in self.server.table.slots if each.phase is phases[0]] == phases)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until other tasks have made the condition true."""
        while not true():
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def running_server(folder: Path, **limits: Any) -> AsyncIterator[RunningServer]:
    events: list[Event] = []
    clock, emit, path = SystemClock(), events.append, folder / "server.sock"
    config = parse(file() + route("local-file"), "alerts.toml")
    with trio.fail_after(PATIENCE):
        async with Journal(folder) as journal, HttpClient() as client:
            core = assemble(journal, config, clock, emit, folder)
            lanes = supervisor(core, clock, emit, folder, client)
            status = status_view(journal, core, lanes, Metrics(clock), clock)
            spool = importer(folder / "spool", journal, core, clock, emit)
            handlers = Handlers(
                journal,
                core.acceptor,
                operator=core.operator,
                silences=core.silences,
                expectations=Expectations(journal, core.acceptor, config=core.config, clock=clock, emit=emit),
                waiters=core.waiters,
                lanes=lanes,
                spool=spool,
                status=status,
                stories=Stories(journal, lanes, clock),
                feed=EventFeed(clock),
                add_webhook=reject_webhook,
                reload=no_reload,
                clock=clock,
                emit=emit,
            )
            server = Server(handlers, emit, Limits(**limits))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(spool.run)
                await spool.first_pass_done.wait()
                nursery.start_soon(server.serve, open_listener(str(path)))
                yield RunningServer(path, server, events)
                nursery.cancel_scope.cancel()


async def reject_webhook(_: str, __: Peer) -> str:
    raise AssertionError("no test adds a webhook here")


async def no_reload() -> dict[str, Any]:
    raise AssertionError("no test reloads here")


async def exchange(stream: trio.SocketStream, message: dict[str, Any]) -> dict[str, Any]:
    await stream.send_all(framed(json.dumps(message)))
    reply = await receive(stream)
    assert reply is not None, "the server closed the connection"
    return reply


async def receive(stream: trio.SocketStream) -> dict[str, Any] | None:
    """The next reply; None when the connection was closed."""
    header = await exactly(stream, 4)
    body = await exactly(stream, int.from_bytes(header, "big")) if header else b""
    return json.loads(body) if body else None


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    """Read `size` bytes; fewer when the connection was closed."""
    got = b""
    while len(got) < size and (chunk := await stream.receive_some(size - len(got))):
        got += chunk
    return got
