"""The way in, over a real journal and on the real clock: trio's test clock would jump while the journal thread works."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.core.fixture import PEER, config, fill_disk, free_disk, opened

from tocsin.errors import InvalidSignal
from tocsin.signals import Signal
from tocsind.errors import StorageFull
from tocsind.events import Accepted, Duplicate, IntakeClosed, IntakeOpened, Unrouted
from tocsind.policy.delivery import Priority
from tocsind.policy.outcomes import Delivered
from tocsind.policy.sources import DAEMON_SOURCE


async def test_accept_stores_and_routes_a_signal_and_wakes_its_lane(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept(priority="urgent")
        assert await fixture.states(id_) == {"a": "queued"}
        assert fixture.events == [Accepted(id_, "urgent", ("a",), 1000, 4711)]
        assert (fixture.lanes["a"].woken, fixture.lanes["b"].woken) == ([Priority.URGENT], [])


async def test_accept_returns_receipts_only_after_the_commit(tmp_path: Path) -> None:
    committed: list[str] = []

    def listen(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(committed.append)

    async with opened(tmp_path) as fixture:
        await fixture.journal.run(listen)
        committed.clear()
        await fixture.accept()
        assert committed[-1] == "COMMIT"
        assert any("INSERT OR IGNORE INTO signals" in statement for statement in committed)


async def test_repeated_signal_is_a_duplicate_and_wakes_no_lane(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        one = Signal("BUY")
        receipts = await fixture.core.acceptor.accept([one, one, Signal("SELL")], PEER)
        assert [receipt.state for receipt in receipts] == ["stored", "duplicate", "stored"]
        assert fixture.events_of(Duplicate) == [Duplicate(one.id)]
        assert len(fixture.lanes["a"].woken) == 1  # once for all that came together
        await fixture.core.acceptor.accept([one], PEER)
        assert len(fixture.lanes["a"].woken) == 1


async def test_signal_without_route_is_stored_as_dead_and_reported(tmp_path: Path) -> None:
    async with opened(tmp_path, config(routes=())) as fixture:
        (receipt,) = await fixture.core.acceptor.accept([Signal("BUY")], PEER)
        assert (receipt.state, receipt.reason) == ("stored", "no route of the configuration takes this signal")
        assert fixture.events_of(Unrouted) == [Unrouted(receipt.id)]
        assert await fixture.core.waiters.wait_settled(receipt.id, 0) == "dead"


async def test_check_names_an_unknown_destination(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        fixture.core.acceptor.check(Signal("BUY", to=["a", "c"]))
        with pytest.raises(InvalidSignal, match="no destination 'x'; there are a, b, c"):
            fixture.core.acceptor.check(Signal("BUY", to=["a", "x"]))


async def test_full_disk_closes_the_guard_and_room_opens_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await fixture.journal.run(fill_disk)
        with pytest.raises(StorageFull):
            await fixture.core.acceptor.accept([Signal("BUY", body="x" * 100_000)], PEER)
        reason = fixture.core.disk_guard.closed
        assert reason == "the disk is full"
        await fixture.journal.run(free_disk)
        await fixture.accept(body="x" * 100_000)
        assert fixture.core.disk_guard.closed is None
        assert [type(event) for event in fixture.events] == [IntakeClosed, IntakeOpened, Accepted]


async def test_below_the_reserve_signals_are_refused_and_deliveries_are_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept()
        fixture.core.config.current = config(reserve=2**62)
        for _ in range(2):
            with pytest.raises(StorageFull, match="kept in reserve"):
                await fixture.core.acceptor.accept([Signal("BUY")], PEER)
        assert len(fixture.events_of(IntakeClosed)) == 1
        await fixture.attempt(Delivered())
        assert await fixture.states(id_) == {"a": "sent"}
        fixture.core.config.current = config(reserve=0)
        await fixture.accept()
        assert len(fixture.events_of(IntakeOpened)) == 1


async def test_host_is_named_once_signals_of_another_host_were_seen(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        own = os.uname().nodename

        async def host_of(**fields: Any) -> str | None:
            await fixture.accept(**fields)
            return (await fixture.begin()).signal.host

        assert await host_of() is None
        assert await host_of(host=own) == own
        assert await host_of() is None
        fixture.core.acceptor.preview(Signal("a dry run", host="web1"))
        assert await host_of() is None
        assert await host_of(host="web1") == "web1"
        assert await host_of() == own


async def test_signal_of_the_daemon_itself_names_its_host(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await fixture.core.acceptor.accept([Signal("a is disabled", source=DAEMON_SOURCE)], PEER, from_daemon=True)
        assert (await fixture.begin()).signal.host == os.uname().nodename
