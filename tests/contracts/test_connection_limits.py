"""The limits of the socket server, on a real socket and a real journal, with short timeouts."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.contracts.raw_peer import framed, request, send
from tests.contracts.running_server import exchange, receive, running_server

from tocsind.events import Accepted
from tocsind.ipc import Limits

SHORT = 0.05  # seconds; a test awaits what follows and does not sleep
LONG = 600.0


async def write_forever(stream: trio.SocketStream, data: bytes, pause: float = 0.0) -> None:
    """Write without reading, `pause` seconds between two writes."""
    while True:
        await stream.send_all(data)
        await trio.sleep(pause)


async def test_incomplete_frame_is_answered_with_timeout_and_closed(tmp_path: Path) -> None:
    async with running_server(tmp_path, frame=SHORT) as at, at.connect() as stream:
        await stream.send_all(framed(json.dumps(send("half")))[:20])
        reply = await receive(stream)
        assert reply is not None
        assert reply["error"]["kind"] == "broken-frame"
        assert "within 0.05 s" in reply["error"]["message"]
        assert await receive(stream) is None
        assert at.refusals() == [reply["error"]["message"]]


async def test_trickling_frame_has_the_same_deadline_as_a_stalled_one(tmp_path: Path) -> None:
    async with running_server(tmp_path, frame=SHORT) as at, at.connect() as stream:
        await stream.send_all(framed("x" * 100_000)[:5])
        with pytest.raises(trio.BrokenResourceError):
            await write_forever(stream, b"x", pause=SHORT / 10)


async def test_idle_connection_is_closed_without_reply(tmp_path: Path) -> None:
    async with running_server(tmp_path, idle=10 * SHORT, frame=LONG) as at, at.connect() as stream:
        assert (await exchange(stream, send("x")))["ok"] is True
        assert await receive(stream) is None
        assert at.refusals() == []


async def test_peer_that_does_not_read_its_reply_in_time_is_disconnected(tmp_path: Path) -> None:
    async with running_server(tmp_path, frame=SHORT, idle=LONG) as at, at.connect() as stream:
        with pytest.raises(trio.BrokenResourceError):
            await write_forever(stream, framed(json.dumps(request("status"))))


async def test_new_connection_evicts_the_longest_idle_one(tmp_path: Path) -> None:
    async with running_server(tmp_path, per_uid=2) as at, at.connect() as first, at.connect() as second:
        await exchange(first, send("a"))
        await exchange(second, send("b"))
        await at.until_idle()
        async with at.connect() as third:
            assert (await exchange(third, send("c")))["ok"] is True
            assert await receive(first) is None
            assert (await exchange(second, send("d")))["ok"] is True


async def test_simultaneous_connections_stay_within_limit(tmp_path: Path) -> None:
    async with running_server(tmp_path, per_uid=4) as at, trio.open_nursery() as nursery:
        closed: list[int] = []

        async def come(number: int) -> None:
            async with at.connect() as stream:
                if await receive(stream) is None:
                    closed.append(number)

        for number in range(40):
            nursery.start_soon(come, number)
        await at.until(lambda: len(closed) == 36)
        assert len(at.server.table) == 4
        nursery.cancel_scope.cancel()


async def test_new_connection_ends_the_oldest_wait_when_none_is_idle(tmp_path: Path) -> None:
    async with running_server(tmp_path, per_uid=2) as at, at.connect() as first, at.connect() as second:
        id_ = (await exchange(first, send("x")))["receipt"]["id"]
        for number, busy in enumerate((first, second), 1):
            await busy.send_all(framed(json.dumps(request("wait", id=id_, seconds=LONG))))
            await at.until_following(number)
        async with at.connect() as late:
            assert (await exchange(late, send("y")))["receipt"]["state"] == "stored"
            reply = await receive(first)
            assert reply is not None
            assert reply["error"]["kind"] == "busy"
            assert await receive(first) is None
            assert at.refusals() == [reply["error"]["message"]]


async def test_connections_of_all_users_are_bounded(tmp_path: Path) -> None:
    async with running_server(tmp_path, connections=1) as at, at.connect() as first:
        await exchange(first, send("x"))
        await at.until_idle()
        async with at.connect() as second:
            assert (await exchange(second, send("y")))["ok"] is True
            assert await receive(first) is None


@pytest.mark.parametrize(
    "message", [request("tail", follow=True), request("wait", id="", seconds=LONG)], ids=["tail", "wait"]
)
async def test_streamed_reply_ends_when_peer_disconnects(tmp_path: Path, message: dict[str, Any]) -> None:
    async with running_server(tmp_path) as at:
        async with at.connect() as stream:
            id_ = (await exchange(stream, send("x")))["receipt"]["id"]
            message = {**message, "id": id_} if "id" in message else message
            await stream.send_all(framed(json.dumps(message)))
            await at.until_busy(1)
        await at.until(lambda: not at.server.table)


async def test_incomplete_frames_beyond_byte_limit_are_closed_largest_first(tmp_path: Path) -> None:
    body = json.dumps(send("x", body="y" * 3000))
    async with (
        running_server(tmp_path, unfinished_per_uid=5000) as at,
        at.connect() as large,
        at.connect() as small,
        at.connect() as later,
    ):
        await large.send_all(framed(body)[:2900])
        await at.until(lambda: at.server.table.unfinished == 2900)
        await small.send_all(framed(body)[:1000])
        await at.until(lambda: at.server.table.unfinished == 3900)
        await later.send_all(framed(body)[:1500])
        reply = await receive(large)
        assert reply is not None
        assert (reply["error"]["kind"], await receive(large)) == ("busy", None)
        assert "bytes" in reply["error"]["message"]
        await small.send_all(framed(body)[1000:])
        assert (await receive(small) or {})["receipt"]["state"] == "stored"
        await at.until(lambda: at.server.table.unfinished == 1500)
        assert at.refusals() == [reply["error"]["message"]]


async def test_unread_replies_count_towards_byte_limit(tmp_path: Path) -> None:
    async with running_server(tmp_path, unfinished_per_uid=500, idle=LONG, frame=LONG) as at, at.connect() as stream:
        with pytest.raises(trio.BrokenResourceError):
            await write_forever(stream, framed(json.dumps(request("status"))))


async def test_oldest_tail_ends_when_user_opens_too_many(tmp_path: Path) -> None:
    async with running_server(tmp_path, tails_per_uid=1) as at, at.connect() as first, at.connect() as second:
        await first.send_all(framed(json.dumps(request("tail", follow=True))))
        await at.until_following(1)
        await second.send_all(framed(json.dumps(request("tail", follow=True))))
        reply = await receive(first)
        assert reply is not None
        assert (reply["error"]["kind"], await receive(first)) == ("busy", None)
        await at.until_following(1)


async def test_requests_beyond_concurrency_limit_wait(tmp_path: Path) -> None:
    async with running_server(tmp_path, in_service=1) as at, trio.open_nursery() as nursery:
        replies: list[dict[str, Any]] = []

        async def ask_for(message: dict[str, Any]) -> None:
            async with at.connect() as stream:
                replies.append(await exchange(stream, message))

        for number in range(20):
            nursery.start_soon(ask_for, send(str(number)))
            nursery.start_soon(ask_for, request("status"))
            nursery.start_soon(ask_for, request("nonsense"))
            nursery.start_soon(ask_for, request("send", signal={"title": "x"}, ack="received"))
        await at.until(lambda: len(replies) == 80)
        assert sum(reply["ok"] for reply in replies) == 60


async def test_client_that_shut_down_writing_still_receives_tail(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at, at.connect() as follower, at.connect() as other:
        id_ = (await exchange(other, send("x")))["receipt"]["id"]
        await follower.send_all(framed(json.dumps(request("wait", id=id_, seconds=LONG))))
        follower.socket.shutdown(socket.SHUT_WR)
        assert (await exchange(other, request("drop", id=id_)))["deliveries"] == 1
        assert (await receive(follower) or {})["state"] == "dropped"


async def test_drain_answers_requests_already_read_and_refuses_later_ones(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at, at.connect() as stream:
        assert (await exchange(stream, send("x")))["ok"] is True
        at.server.close()
        reply = await exchange(stream, send("too late"))
        assert reply["error"]["kind"] == "stopping"
        assert await receive(stream) is None


async def test_senders_without_ack_are_throttled_while_too_much_is_unsynced(tmp_path: Path) -> None:
    async with running_server(tmp_path, unsynced=1) as at, at.connect() as stream:
        await stream.send_all(framed(json.dumps(request("send", signal={"title": "x"}, ack="received"))) * 50)
        for _ in range(50):
            assert (await receive(stream) or {})["receipt"]["state"] == "stored"
        await at.until(lambda: sum(isinstance(event, Accepted) for event in at.events) == 50)
        assert at.server._unsynced.value == 1


def test_default_limits_leave_room_for_a_user_and_the_host() -> None:
    usual = Limits()
    assert usual.per_uid < usual.connections
    assert usual.frame < usual.idle
