"""Many requests on one connection before the first reply: each is answered, in order."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.contracts.raw_peer import framed, request, send
from tests.contracts.running_server import RunningServer, exchange, receive, running_server

from tocsind.events import Accepted, IntakeClosed, SignalRefused, SignalsLost

MANY = 700  # signals of 300 bytes: more than fits into the socket's buffer


def pipelined(*messages: dict[str, Any]) -> bytes:
    return b"".join(framed(json.dumps(message)) for message in messages)


def accepted(at: RunningServer) -> list[str]:
    return [event.id for event in at.events if isinstance(event, Accepted)]


def many(number: int) -> dict[str, Any]:
    return request("send_many", signals=[{"title": f"{each}", "body": "x" * 280} for each in range(number)])


async def test_frame_in_pieces_is_read_as_one(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at, at.connect() as stream:
        assert len((await exchange(stream, many(MANY)))["receipts"]) == MANY
        await at.until(lambda: len(accepted(at)) == MANY)


async def test_pipelined_replies_of_different_handlers_keep_request_order(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at, at.connect() as stream:
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
        replies = [await receive(stream) or {} for _ in range(9)]
        assert [min(set(reply) - {"ok"}) for reply in replies] == [
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
        assert replies[2]["status"]["counters"]["signals_accepted"] == 0  # no observer counts here
        assert [row["title"] for row in replies[6]["deliveries"]] == ["first", "early", "second", "0", "1", "2"]
        await at.until(lambda: len(accepted(at)) == 8)
        assert sum(isinstance(event, SignalRefused) for event in at.events) == 1


async def test_long_pipeline_is_answered_completely(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at, at.connect() as stream:
        await stream.send_all(pipelined(*(send(str(number)) for number in range(100))))
        ids = [(await receive(stream) or {})["receipt"]["id"] for _ in range(100)]
        await at.until(lambda: len(accepted(at)) == 100)
        assert accepted(at) == ids


async def test_late_reader_gets_every_reply_in_order(tmp_path: Path) -> None:
    async with running_server(tmp_path, frame=100.0) as at, at.connect() as stream, trio.open_nursery() as nursery:
        requests, signals = 12, 300  # a commit for each request; the replies do not fit into the socket's buffer

        async def write_requests() -> None:
            for _ in range(requests):
                await stream.send_all(pipelined(many(signals)))

        nursery.start_soon(write_requests)
        await at.until_busy(1)  # the server cannot write any more, and waits for the client to read
        replies = [await receive(stream) or {} for _ in range(requests)]
        ids = [receipt["id"] for reply in replies for receipt in reply["receipts"]]
        await at.until(lambda: len(accepted(at)) == requests * signals)
        assert accepted(at) == ids


async def test_signal_of_client_that_disconnects_after_request_is_stored(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at:
        async with at.connect() as stream:
            await stream.send_all(pipelined(send("and gone")))
        await at.until(lambda: len(accepted(at)) == 1 and not at.server.table)


def fill_journal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1").fetchall()


async def test_pipelined_send_on_full_disk_is_refused_in_order_and_closes_intake(tmp_path: Path) -> None:
    async with running_server(tmp_path) as at, at.connect() as stream:
        await at.server._handlers._journal.run(fill_journal)
        large = request("send", signal={"title": "x", "body": "x" * 60_000})
        await stream.send_all(pipelined(large, large))
        for _ in range(2):
            assert (await receive(stream) or {})["error"]["kind"] == "full"
        await at.until(lambda: any(isinstance(event, IntakeClosed) for event in at.events))
        assert accepted(at) == []


@pytest.mark.parametrize("ack", ["received", "none"])
async def test_signal_with_ack_none_lost_to_full_disk_emits_event(tmp_path: Path, ack: str) -> None:
    async with running_server(tmp_path) as at, at.connect() as stream:
        await at.server._handlers._journal.run(fill_journal)
        large = request("send", signal={"title": "x", "body": "x" * 60_000}, ack=ack)
        await stream.send_all(pipelined(large))
        await at.until(lambda: any(isinstance(event, SignalsLost) for event in at.events))
        assert [event.signals for event in at.events if isinstance(event, SignalsLost)] == [1]
