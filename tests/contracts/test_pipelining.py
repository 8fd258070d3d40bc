"""Many requests on one connection before the first reply: each is answered, in order, whatever stands between them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.contracts.raw_peer import framed, request, send
from tests.contracts.test_connection_limits import House, ask, hear, house

from tocsind.events import Accepted, IntakeClosed, SignalRefused, SignalsLost

MANY = 700  # signals of 300 bytes: more than a socket takes at once


def pipelined(*messages: dict[str, Any]) -> bytes:
    return b"".join(framed(json.dumps(message)) for message in messages)


def accepted(at: House) -> list[str]:
    return [fact.id for fact in at.facts if isinstance(fact, Accepted)]


def many(number: int) -> dict[str, Any]:
    return request("send_many", signals=[{"title": f"{each}", "body": "x" * 280} for each in range(number)])


async def test_frame_in_pieces_is_read_as_one(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.visit() as stream:
        assert len((await ask(stream, many(MANY)))["receipts"]) == MANY
        await at.until(lambda: len(accepted(at)) == MANY)


async def test_pipelined_replies_of_different_handlers_keep_request_order(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.visit() as stream:
        await stream.send_all(
            pipelined(
                send("first"),
                request("send", signal={"title": "early"}, ack="received"),
                request("status"),
                send("second"),
                request("send", signal={"title": "x", "to": "nowhere"}),
                many(3),
                request("queue"),
                request("send", signal={"title": "silent"}, ack="none"),
                request("nonsense"),
                send("last"),
            )
        )
        told = [await hear(stream) or {} for _ in range(9)]
        assert [min(set(reply) - {"ok"}) for reply in told] == [
            "receipt",
            "receipt",
            "status",
            "receipt",
            "error",
            "receipts",
            "deliveries",
            "error",
            "receipt",
        ]
        assert told[2]["status"]["counters"]["signals_accepted"] == 0  # this house has no observer that counts
        assert [row["title"] for row in told[6]["deliveries"]] == ["first", "early", "second", "0", "1", "2"]
        await at.until(lambda: len(accepted(at)) == 8)
        assert sum(isinstance(fact, SignalRefused) for fact in at.facts) == 1


async def test_long_pipeline_is_answered_completely(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.visit() as stream:
        await stream.send_all(pipelined(*(send(str(number)) for number in range(100))))
        ids = [(await hear(stream) or {})["receipt"]["id"] for _ in range(100)]
        await at.until(lambda: len(accepted(at)) == 100)
        assert accepted(at) == ids


async def test_late_reader_gets_every_reply_in_order(tmp_path: Path) -> None:
    async with house(tmp_path, frame=100.0) as at, at.visit() as stream, trio.open_nursery() as nursery:
        requests, signals = 12, 300  # a commit for each request; their replies are more than a socket holds

        async def talk() -> None:
            for _ in range(requests):
                await stream.send_all(pipelined(many(signals)))

        nursery.start_soon(talk)
        await at.until_busy(1)  # the door has given up writing, and waits for us to read
        replies = [await hear(stream) or {} for _ in range(requests)]
        ids = [receipt["id"] for reply in replies for receipt in reply["receipts"]]
        await at.until(lambda: len(accepted(at)) == requests * signals)
        assert accepted(at) == ids


async def test_signal_of_client_that_disconnects_after_request_is_stored(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        async with at.visit() as stream:
            await stream.send_all(pipelined(send("and gone")))
        await at.until(lambda: len(accepted(at)) == 1 and not at.door.table)


def leave_no_room(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1").fetchall()


async def test_pipelined_send_on_full_disk_is_refused_in_order_and_closes_intake(tmp_path: Path) -> None:
    async with house(tmp_path) as at, at.visit() as stream:
        await at.door._handlers._journal.run(leave_no_room)
        large = request("send", signal={"title": "x", "body": "x" * 60_000})
        await stream.send_all(pipelined(large, large))
        for _ in range(2):
            assert (await hear(stream) or {})["error"]["kind"] == "full"
        await at.until(lambda: any(isinstance(fact, IntakeClosed) for fact in at.facts))
        assert accepted(at) == []


@pytest.mark.parametrize("ack", ["received", "none"])
async def test_signal_with_ack_none_lost_to_full_disk_emits_event(tmp_path: Path, ack: str) -> None:
    async with house(tmp_path) as at, at.visit() as stream:
        await at.door._handlers._journal.run(leave_no_room)
        large = request("send", signal={"title": "x", "body": "x" * 60_000}, ack=ack)
        await stream.send_all(pipelined(large))
        await at.until(lambda: any(isinstance(fact, SignalsLost) for fact in at.facts))
        assert [fact.signals for fact in at.facts if isinstance(fact, SignalsLost)] == [1]
