"""Many signals: frames, order, and what one bad signal or one bad moment does to the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering, refusing, stored
from tests.outboxes import held

import tocsin
from tocsin import Client, Signal, wire


def test_send_many_sends_frames_of_five_hundred_signals(serve: Serve) -> None:
    server = serve()
    signals = [Signal(f"{n}") for n in range(1200)]
    with Client(server.path, timeout=5) as client:
        receipts = client.send_many(signals)
    assert [receipt.id for receipt in receipts] == [signal.id for signal in signals]
    assert [len(request["signals"]) for request in server.requests] == [500, 500, 200]


def test_send_many_sends_no_frame_over_the_limit(serve: Serve) -> None:
    server = serve()
    signals = [Signal(f"{n}", body="ü" * 4000, fields={str(i): "ü" * 600 for i in range(20)}) for n in range(40)]
    with Client(server.path, timeout=5) as client:
        assert {receipt.state for receipt in client.send_many(signals)} == {"stored"}
    assert len(server.requests) > 3
    assert all(len(wire.encode(request)) <= wire.MAX_FRAME for request in server.requests)


def test_send_many_returns_receipts_in_order_with_invalid_signals(serve: Serve) -> None:
    mixed: list[Any] = [
        Signal("a"),
        {"title": "b"},
        {"titel": "c"},
        None,
        Signal("d"),
        {},
        "text",
        {"title": "x" * 300_000},
    ]
    with Client(serve().path) as client:
        receipts = client.send_many(mixed)
    assert [receipt.state for receipt in receipts] == [
        *("stored", "stored", "stored", "refused", "stored", "refused", "stored", "stored"),
    ]
    assert receipts[4].id == mixed[4].id


def test_send_many_sends_the_signals_before_a_broken_iterator(serve: Serve) -> None:
    def breaking() -> Iterator[Signal]:
        yield Signal("a")
        raise ZeroDivisionError

    with Client(serve().path) as client:
        assert [receipt.state for receipt in client.send_many(breaking())] == ["stored", "refused"]


@pytest.mark.parametrize("signals", [None, 3])
def test_send_many_raises_nothing_for_nonsense(folder: Path, signals: Any) -> None:
    assert {receipt.state for receipt in Client(folder / "s").send_many(signals)} == {"refused"}


@pytest.mark.parametrize("one", ["text", {"title": "a"}, Signal("a")])
def test_send_many_takes_one_signal_without_a_list_around_it(folder: Path, one: Any) -> None:
    assert [receipt.state for receipt in Client(folder / "s").send_many(one)] == ["spooled"]


def test_send_many_of_nothing_needs_no_daemon(folder: Path) -> None:
    assert Client(folder / "s", strict=True).send_many([]) == []


def test_send_many_spools_the_rest_after_a_frame_that_failed(serve: Serve, spool: Path) -> None:
    replies = iter([True, False])
    server = serve(answering(lambda request: stored(request) if next(replies) else None))
    with Client(server.path, timeout=2.0) as client:
        receipts = client.send_many([Signal(f"{n}") for n in range(2000)])
    assert [receipt.state for receipt in receipts] == ["stored"] * 500 + ["spooled"] * 1500
    assert len({receipt.id for receipt in receipts}) == 2000
    assert len(server.requests) <= 2
    kept = [signal["id"] for signal in held(spool)]
    assert kept == [receipt.id for receipt in receipts[500:]]


def test_send_many_drops_signals_that_the_spool_refuses_and_logs_it(folder: Path) -> None:
    (folder / "file").touch()
    receipts = Client(folder / "s", spool=folder / "file").send_many([{"title": f"{n}"} for n in range(600)])
    assert {receipt.state for receipt in receipts} == {"dropped"}
    assert len({receipt.id for receipt in receipts}) == 600
    assert all("no daemon" in (each.reason or "") and "Not a directory" in (each.reason or "") for each in receipts)


def test_strict_send_many_checks_all_signals_before_it_sends(serve: Serve) -> None:
    server = serve()
    with Client(server.path, strict=True) as client, pytest.raises(tocsin.InvalidSignal):
        client.send_many([{"title": "a"}, {"priority": "high"}])
    assert server.visits == 0


def test_strict_send_many_raises_the_daemons_refusal(serve: Serve) -> None:
    with Client(serve(answering(refusing("full"))).path, strict=True) as client, pytest.raises(tocsin.RequestFailed):
        client.send_many([{"title": "a"}])


def test_refused_receipt_without_an_id_gets_the_signals_id(serve: Serve) -> None:
    def answer(_: Any) -> Any:
        return {"ok": True, "receipts": [{"id": "", "state": "refused", "reason": "to: no such destination"}]}

    with Client(serve(answering(answer)).path) as client:
        [receipt] = client.send_many([signal := Signal("a", to="nowhere")])
    assert (receipt.id, receipt.state) == (signal.id, "refused")
