"""The door's own limits, on a real socket and a real journal, with times short enough to be waited out."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.contracts.raw_peer import framed, request, send
from tests.daemon.inprocess import importer, status_view, supervisor
from tests.harness import PATIENCE, file, route

from tocsind.clock import SystemClock
from tocsind.config import parse
from tocsind.core.admission import Peer
from tocsind.core.assembly import assemble
from tocsind.destinations.http import HttpClient
from tocsind.events import Accepted, ConnectionRefused, Event
from tocsind.ipc import Handlers, Limits, Server, open_listener
from tocsind.ipc.connection_table import Phase
from tocsind.journal import Journal
from tocsind.observe.event_feed import EventFeed
from tocsind.observe.metrics import Metrics

SHORT = 0.05  # seconds; what must happen then is awaited, never slept for
LONG = 600.0


class House:
    """A door with all that stands behind it, and no lane running: what is accepted stays queued."""

    def __init__(self, path: Path, door: Server, facts: list[Event]) -> None:
        self.path = path
        self.door = door
        self.facts = facts

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[trio.SocketStream]:
        stream = await trio.open_unix_socket(self.path)
        assert isinstance(stream, trio.SocketStream)
        async with stream:
            yield stream

    def refusals(self) -> list[str]:
        return [fact.reason for fact in self.facts if isinstance(fact, ConnectionRefused)]

    async def until_idle(self) -> None:
        """Until every connection waits for its next request: a peer may have its reply before the door has turned around."""
        await self.until(lambda: all(each.phase is Phase.IDLE for each in self.door.table.slots))

    async def until_busy(self, connections: int) -> None:
        """Until so many connections are here, and all have asked for something that takes long."""
        await self.until(
            lambda: [each.phase is not Phase.IDLE for each in self.door.table.slots] == [True] * connections
        )

    async def until_following(self, connections: int) -> None:
        """Until so many connections are tails or waits."""
        phases = [Phase.FOLLOWING] * connections
        await self.until(lambda: [each.phase for each in self.door.table.slots if each.phase is phases[0]] == phases)

    async def until(self, true: Callable[[], bool]) -> None:
        """Until something that other tasks bring about is so."""
        while not true():
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def house(folder: Path, **limits: Any) -> AsyncIterator[House]:
    facts: list[Event] = []
    clock, emit, path = SystemClock(), facts.append, folder / "door.sock"
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
                waiters=core.waiters,
                lanes=lanes,
                spool=spool,
                status=status,
                tail=EventFeed(clock),
                add_webhook=nobody_lends,
                clock=clock,
                emit=emit,
            )
            door = Server(handlers, emit, Limits(**limits))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(spool.run)
                await spool.first_pass_done.wait()
                nursery.start_soon(door.serve, open_listener(str(path)))
                yield House(path, door, facts)
                nursery.cancel_scope.cancel()


async def nobody_lends(_: str, __: Peer) -> str:
    raise AssertionError("no webhook is lent here")


async def ask(stream: trio.SocketStream, message: dict[str, Any]) -> dict[str, Any]:
    await stream.send_all(framed(json.dumps(message)))
    reply = await hear(stream)
    assert reply is not None, "the door hung up"
    return reply


async def hear(stream: trio.SocketStream) -> dict[str, Any] | None:
    """The next reply; None when the connection was closed."""
    header = await exactly(stream, 4)
    body = await exactly(stream, int.from_bytes(header, "big")) if header else b""
    return json.loads(body) if body else None


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    """So many bytes; fewer when the connection was closed."""
    got = b""
    while len(got) < size and (chunk := await stream.receive_some(size - len(got))):
        got += chunk
    return got


async def for_ever(stream: trio.SocketStream, data: bytes, pause: float = 0.0) -> None:
    """Write and never read; `pause` makes it a trickle."""
    while True:
        await stream.send_all(data)
        await trio.sleep(pause)


async def test_incomplete_frame_is_answered_with_timeout_and_closed(tmp_path: Path) -> None:
    async with house(tmp_path, frame=SHORT) as at, at.visit() as stream:
        await stream.send_all(framed(json.dumps(send("half")))[:20])
        reply = await hear(stream)
        assert reply is not None
        assert reply["error"]["kind"] == "broken-frame"
        assert "within 0.05 s" in reply["error"]["message"]
        assert await hear(stream) is None
        assert at.refusals() == [reply["error"]["message"]]


async def test_trickling_frame_has_the_same_deadline_as_a_stalled_one(tmp_path: Path) -> None:
    async with house(tmp_path, frame=SHORT) as at, at.visit() as stream:
        await stream.send_all(framed("x" * 100_000)[:5])
        with pytest.raises(trio.BrokenResourceError):
            await for_ever(stream, b"x", pause=SHORT / 10)


async def test_idle_connection_is_closed_without_reply(tmp_path: Path) -> None:
    async with house(tmp_path, idle=SHORT, frame=LONG) as at, at.visit() as stream:
        assert (await ask(stream, send("x")))["ok"] is True
        assert await hear(stream) is None
        assert at.refusals() == []


async def test_peer_that_does_not_read_its_reply_in_time_is_disconnected(tmp_path: Path) -> None:
    async with house(tmp_path, frame=SHORT, idle=LONG) as at, at.visit() as stream:
        with pytest.raises(trio.BrokenResourceError):
            await for_ever(stream, framed(json.dumps(request("status"))))


async def test_new_connection_evicts_the_longest_idle_one(tmp_path: Path) -> None:
    async with house(tmp_path, per_uid=2) as at, at.visit() as first, at.visit() as second:
        await ask(first, send("a"))
        await ask(second, send("b"))
        await at.until_idle()
        async with at.visit() as third:
            assert (await ask(third, send("c")))["ok"] is True
            assert await hear(first) is None
            assert (await ask(second, send("d")))["ok"] is True


async def test_simultaneous_connections_stay_within_limit(tmp_path: Path) -> None:
    async with house(tmp_path, per_uid=4) as at, trio.open_nursery() as nursery:
        closed: list[int] = []

        async def come(number: int) -> None:
            async with at.visit() as stream:
                if await hear(stream) is None:
                    closed.append(number)

        for number in range(40):
            nursery.start_soon(come, number)
        await at.until(lambda: len(closed) == 36)
        assert len(at.door.table) == 4
        nursery.cancel_scope.cancel()


async def test_new_connection_ends_the_oldest_wait_when_none_is_idle(tmp_path: Path) -> None:
    async with house(tmp_path, per_uid=2) as at, at.visit() as first, at.visit() as second:
        id_ = (await ask(first, send("x")))["receipt"]["id"]
        for number, busy in enumerate((first, second), 1):
            await busy.send_all(framed(json.dumps(request("wait", id=id_, seconds=LONG))))
            await at.until_following(number)
        async with at.visit() as late:
            assert (await ask(late, send("y")))["receipt"]["state"] == "stored"
            reply = await hear(first)
            assert reply is not None
            assert reply["error"]["kind"] == "busy"
            assert await hear(first) is None
            assert at.refusals() == [reply["error"]["message"]]


async def test_connections_of_all_users_are_bounded(tmp_path: Path) -> None:
    async with house(tmp_path, connections=1) as at, at.visit() as first:
        await ask(first, send("x"))
        await at.until_idle()
        async with at.visit() as second:
            assert (await ask(second, send("y")))["ok"] is True
            assert await hear(first) is None


@pytest.mark.parametrize(
    "message", [request("tail", follow=True), request("wait", id="", seconds=LONG)], ids=["tail", "wait"]
)
async def test_streamed_reply_ends_when_peer_disconnects(tmp_path: Path, message: dict[str, Any]) -> None:
    async with house(tmp_path) as at:
        async with at.visit() as stream:
            id_ = (await ask(stream, send("x")))["receipt"]["id"]
            message = {**message, "id": id_} if "id" in message else message
            await stream.send_all(framed(json.dumps(message)))
            await at.until_busy(1)
        await at.until(lambda: not at.door.table)


async def test_incomplete_frames_beyond_byte_limit_are_closed_largest_first(tmp_path: Path) -> None:
    body = json.dumps(send("x", body="y" * 3000))
    async with (
        house(tmp_path, unfinished_per_uid=5000) as at,
        at.visit() as large,
        at.visit() as small,
        at.visit() as later,
    ):
        await large.send_all(framed(body)[:2900])
        await at.until(lambda: at.door.table.unfinished == 2900)
        await small.send_all(framed(body)[:1000])
        await at.until(lambda: at.door.table.unfinished == 3900)
        await later.send_all(framed(body)[:1500])
        reply = await hear(large)
        assert reply is not None
        assert (reply["error"]["kind"], await hear(large)) == ("busy", None)
        assert "bytes" in reply["error"]["message"]
        await small.send_all(framed(body)[1000:])
        assert (await hear(small) or {})["receipt"]["state"] == "stored"
        await at.until(lambda: at.door.table.unfinished == 1500)
        assert at.refusals() == [reply["error"]["message"]]


async def test_unread_replies_count_towards_byte_limit(tmp_path: Path) -> None:
    async with house(tmp_path, unfinished_per_uid=500, idle=LONG, frame=LONG) as at, at.visit() as stream:
        with pytest.raises(trio.BrokenResourceError):
            await for_ever(stream, framed(json.dumps(request("status"))))


async def test_oldest_tail_ends_when_user_opens_too_many(tmp_path: Path) -> None:
    async with house(tmp_path, tails_per_uid=1) as at, at.visit() as first, at.visit() as second:
        await first.send_all(framed(json.dumps(request("tail", follow=True))))
        await at.until_following(1)
        await second.send_all(framed(json.dumps(request("tail", follow=True))))
        reply = await hear(first)
        assert reply is not None
        assert (reply["error"]["kind"], await hear(first)) == ("busy", None)
        await at.until_following(1)


async def test_requests_beyond_concurrency_limit_wait(tmp_path: Path) -> None:
    async with house(tmp_path, in_service=1) as at, trio.open_nursery() as nursery:
        replies: list[dict[str, Any]] = []

        async def ask_for(message: dict[str, Any]) -> None:
            async with at.visit() as stream:
                replies.append(await ask(stream, message))

        for number in range(20):
            nursery.start_soon(ask_for, send(str(number)))
            nursery.start_soon(ask_for, request("status"))
            nursery.start_soon(ask_for, request("nonsense"))
            nursery.start_soon(ask_for, request("send", signal={"title": "x"}, ack="received"))
        await at.until(lambda: len(replies) == 80)
        assert sum(reply["ok"] for reply in replies) == 60


async def test_client_that_shut_down_writing_still_receives_tail(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.visit() as follower, at.visit() as other:
        id_ = (await ask(other, send("x")))["receipt"]["id"]
        await follower.send_all(framed(json.dumps(request("wait", id=id_, seconds=LONG))))
        follower.socket.shutdown(socket.SHUT_WR)
        assert (await ask(other, request("drop", id=id_)))["deliveries"] == 1
        assert (await hear(follower) or {})["state"] == "dropped"


async def test_drain_answers_requests_already_read_and_refuses_later_ones(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.visit() as stream:
        assert (await ask(stream, send("x")))["ok"] is True
        at.door.close()
        reply = await ask(stream, send("too late"))
        assert reply["error"]["kind"] == "stopping"
        assert await hear(stream) is None


async def test_senders_without_ack_are_throttled_while_too_much_is_unsynced(tmp_path: Path) -> None:
    async with house(tmp_path, unsynced=1) as at, at.visit() as stream:
        await stream.send_all(framed(json.dumps(request("send", signal={"title": "x"}, ack="received"))) * 50)
        for _ in range(50):
            assert (await hear(stream) or {})["receipt"]["state"] == "stored"
        await at.until(lambda: sum(isinstance(fact, Accepted) for fact in at.facts) == 50)
        assert at.door._unsynced.value == 1


def test_default_limits_leave_room_for_a_user_and_the_host() -> None:
    usual = Limits()
    assert usual.per_uid < usual.connections
    assert usual.frame < usual.idle
