"""Silences over a real journal: what they settle, their counts, their end, and what a restart finds."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
import trio
from tests.core.fixture import PATIENCE, PEER, CoreFixture, config, opened

from tocsin.signals import Signal
from tocsind.core.admission import Peer
from tocsind.core.silences import SilenceRefused
from tocsind.events import Accepted, SilenceAdded, Silenced, SilenceEnded, Unrouted
from tocsind.journal import queries
from tocsind.policy.silence import MAX_PER_USER, Silence

OTHER = Peer(uid=1001, gid=1001, pid=99)
DAEMON = Peer(uid=0, gid=0, pid=1)


async def silenced(fixture: CoreFixture, key: str = "symbol", value: str = "BTC", seconds: float = 3600) -> Silence:
    return await fixture.core.silences.add([(key, value)], seconds, "deploy", PEER)


async def test_matching_signal_is_settled_as_silenced_and_wakes_no_lane(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        silence = await silenced(fixture)
        id_ = await fixture.accept(symbol="BTC", expires=60)
        other = await fixture.accept(symbol="ETH")
        assert await fixture.states(id_) == {"a": "silenced"}
        assert await fixture.states(other) == {"a": "queued"}
        assert fixture.events_of(Accepted, Silenced) == [
            Accepted(id_, "normal", (), 1000, 4711),
            Silenced(id_, silence.id),
            Accepted(other, "normal", ("a",), 1000, 4711),
        ]
        assert len(fixture.lanes["a"].woken) == 1
        story = await fixture.journal.run(queries.why, id_)
        assert story is not None
        assert story["state"] == "silenced"
        assert story["deliveries"][0]["reason"] == f"silence {silence.id} of uid 1000 (symbol=BTC): deploy"
        assert await fixture.core.waiters.wait_settled(id_, 0) == "silenced"


async def test_receipt_of_a_silenced_signal_is_stored_and_says_why(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        silence = await silenced(fixture)
        (receipt,) = await fixture.core.acceptor.accept([Signal("BUY", symbol="BTC")], PEER)
        assert (receipt.state, receipt.reason) == ("stored", f"not sent: {silence.settlement()}")


async def test_silenced_signal_without_a_route_is_not_dead(tmp_path: Path) -> None:
    async with opened(tmp_path, config(routes=())) as fixture:
        await silenced(fixture)
        id_ = await fixture.accept(symbol="BTC")
        assert await fixture.states(id_) == {"unrouted": "silenced"}
        assert not fixture.events_of(Unrouted)


async def test_silence_counts_each_signal_once_and_its_highest_priority(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await silenced(fixture)
        signal = Signal("BUY", symbol="BTC", to=["a", "b"], priority="high")
        for _ in range(2):  # the second is a duplicate
            await fixture.core.acceptor.accept([signal], PEER)
        await fixture.accept(symbol="BTC", priority="low")
        (silence,) = await fixture.core.silences.list_active()
        assert (silence.signals, silence.highest) == (2, 1)
        assert await fixture.states(signal.id) == {"a": "silenced", "b": "silenced"}


async def test_silence_ends_at_its_time_and_waits_for_its_report(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        silences = fixture.core.silences
        silence = await silenced(fixture, seconds=100)
        await fixture.accept(symbol="BTC")
        assert silences.until_next_end() == pytest.approx(100, abs=5)
        assert (len(silences), await silences.list_unreported()) == (1, [])
        fixture.clock.step(100)
        assert await fixture.states(await fixture.accept(symbol="BTC")) == {"a": "queued"}
        (ended,) = await silences.list_unreported()
        assert (ended.id, ended.signals, len(silences)) == (silence.id, 1, 0)
        assert silences.until_next_end() == inf
        await silences.on_reported(ended)
        assert await silences.list_unreported() == []


async def test_other_user_may_end_a_silence_and_is_recorded(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        silence = await silenced(fixture)
        await fixture.core.silences.end(silence.id, OTHER)
        assert fixture.events_of(SilenceAdded, SilenceEnded) == [
            SilenceAdded(silence.id, "symbol=BTC", 3600, "deploy", 1000, 4711),
            SilenceEnded(silence.id, "symbol=BTC", 0, 1001, 99),
        ]
        (ended,) = await fixture.core.silences.list_unreported()
        assert ended.ended_by == 1001
        assert await fixture.states(await fixture.accept(symbol="BTC")) == {"a": "queued"}
        with pytest.raises(SilenceRefused, match="is in force"):
            await fixture.core.silences.end(silence.id, OTHER)


async def test_signals_that_wait_when_a_silence_begins_are_settled_and_counted_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture, trio.open_nursery() as nursery:
        nursery.start_soon(fixture.core.silences.run)
        sending = await fixture.accept("in flight", symbol="BTC")
        await fixture.begin()
        waiting = [await fixture.accept(str(n), symbol="BTC", priority="urgent") for n in range(2)]
        both = await fixture.accept("both", symbol="BTC", to=["a", "b"])
        other = await fixture.accept("other", symbol="ETH")
        silence = await silenced(fixture)
        await fixture.until(Silenced, 3)
        assert await fixture.core.waiters.wait_settled(both, PATIENCE) == "silenced"
        assert await fixture.states(sending) == {"a": "sending"}
        assert [await fixture.states(id_) for id_ in waiting] == [{"a": "silenced"}] * 2
        assert (await fixture.states(both), await fixture.states(other)) == (
            {"a": "silenced", "b": "silenced"},
            {"a": "queued"},
        )
        (listed,) = await fixture.core.silences.list_active()
        assert (listed.id, listed.signals, listed.highest) == (silence.id, 3, 0)
        nursery.cancel_scope.cancel()


async def test_kill_before_the_waiting_signals_were_settled_is_made_up_for_by_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept(symbol="BTC")
        await silenced(fixture)
    async with opened(tmp_path) as fixture, trio.open_nursery() as nursery:
        await fixture.core.silences.load()
        nursery.start_soon(fixture.core.silences.run)
        await fixture.until(Silenced)
        assert await fixture.states(id_) == {"a": "silenced"}
        nursery.cancel_scope.cancel()


async def test_silences_of_one_user_are_limited(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        for number in range(MAX_PER_USER):
            await silenced(fixture, value=str(number))
        with pytest.raises(SilenceRefused, match="has 100 silences already"):
            await silenced(fixture, value="one more")
        await fixture.core.silences.add([("symbol", "x")], 60, None, OTHER)
        with pytest.raises(SilenceRefused, match="unknown key"):
            await silenced(fixture, key="colour")


async def test_silence_and_its_count_survive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        silence = await silenced(fixture)
        await fixture.accept(symbol="BTC")
    async with opened(tmp_path) as fixture:
        await fixture.core.silences.load()
        assert await fixture.states(await fixture.accept(symbol="BTC")) == {"a": "silenced"}
        (found,) = await fixture.core.silences.list_active()
        assert (found.id, found.when, found.signals) == (silence.id, (("symbol", "BTC"),), 2)


async def test_daemons_own_signal_is_silenced_by_its_source_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await silenced(fixture, key="priority", value="normal")
        own = [Signal("alarm", source="tocsin", priority="normal") for _ in range(2)]
        await fixture.core.acceptor.accept(own[:1], DAEMON, from_daemon=True)
        await silenced(fixture, key="source", value="tocsin")
        await fixture.core.acceptor.accept(own[1:], DAEMON, from_daemon=True)
        assert [await fixture.states(each.id) for each in own] == [{"a": "queued"}, {"a": "silenced"}]


async def test_old_silences_are_deleted_once_they_are_reported(tmp_path: Path) -> None:
    async with opened(tmp_path, config(ledger=1000.0)) as fixture:
        for value in ("BTC", "ETH"):
            await silenced(fixture, value=value, seconds=10)
        fixture.clock.step(2000)
        first, second = await fixture.core.silences.list_unreported()
        await fixture.core.silences.on_reported(first)
        await fixture.core.store.delete_old()
        rows = await fixture.journal.run(lambda connection: connection.execute("SELECT id FROM silences").fetchall())
        assert rows == [(second.id,)]
