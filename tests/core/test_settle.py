"""The lanes' store over a real journal: attempts, fallbacks, and state that outlives a restart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
import trio
from tests.core.fixture import RETRY, fill_disk, free_disk, opened

from tocsind.events import Ambiguous, Dead, Deferred, Rerouted, Sent, StorageProblem
from tocsind.journal import LaneState, LimitState, RequestRecord, RequestStart
from tocsind.policy import outcomes
from tocsind.policy.delivery import Priority, Settlement, State
from tocsind.policy.outcomes import Delivered, Refused, Unknown


async def test_delivered_attempt_is_settled_with_message_and_age(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept()
        fixture.clock.step(30)
        settlement = await fixture.attempt(Delivered("m1"))
        assert settlement == Settlement(State.SENT, message="m1")
        (event,) = fixture.events_of(Sent)
        assert isinstance(event, Sent)
        assert (event.id, event.destination, event.attempts, event.message) == (id_, "a", 1, "m1")
        assert event.seconds == pytest.approx(30, abs=10)


async def test_deferred_attempt_is_queued_again_with_its_wait(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept()
        assert (await fixture.attempt(outcomes.Deferred("503"))).wait == 4.0
        assert fixture.events_of(Deferred) == [Deferred(id_, "a", 1, 4.0, "503")]
        assert await fixture.states(id_) == {"a": "queued"}


async def test_refused_delivery_tries_each_fallback_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept()
        for name in "abc":
            await fixture.attempt(Refused("400"), name)
        assert await fixture.states(id_) == {"a": "dead", "b": "dead", "c": "dead"}
        why = "it could not be delivered there"
        assert fixture.events_of(Dead, Rerouted) == [
            Dead(id_, "a", "400"),
            Rerouted(id_, "a", "b", why),
            Dead(id_, "b", "400"),
            Rerouted(id_, "b", "c", why),
            Dead(id_, "c", "400"),
        ]
        assert fixture.lanes["b"].woken == list(Priority)


async def test_delivery_ambiguous_twice_goes_to_the_fallback_as_a_possible_duplicate(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept()
        for _ in range(2):
            await fixture.attempt(Unknown("no answer"))
        assert fixture.events_of(Ambiguous) == [Ambiguous(id_, "a", "no answer")]
        assert (await fixture.begin("b")).maybe_duplicate


async def test_divert_moves_the_queue_of_a_disabled_destination(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept(to=["a", "b"])
        assert await fixture.core.store.divert("a", "404") is True
        assert await fixture.core.store.divert("a", "404") is False
        assert await fixture.core.store.divert("c", "404") is False
        assert await fixture.states(id_) == {"a": "rerouted", "b": "queued", "c": "queued"}
        assert fixture.events_of(Rerouted) == [Rerouted(id_, "a", "c", "404")]


async def test_divert_without_untried_fallback_makes_deliveries_dead(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept(to=["b", "c"])
        assert await fixture.core.store.divert("b", "404") is True
        assert fixture.events_of(Dead) == [Dead(id_, "b", "404")]


async def test_settle_waits_while_the_disk_is_full(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture, trio.open_nursery() as nursery:
        id_ = await fixture.accept()
        delivery = await fixture.begin()
        await fixture.journal.run(fill_disk)
        long = Refused("x" * 100_000)
        nursery.start_soon(fixture.core.store.settle, [delivery], [long], RETRY, None, ())
        await fixture.until(StorageProblem)
        assert await fixture.states(id_) == {"a": "sending"}
        await fixture.journal.run(free_disk)
        await fixture.until(Dead)
        assert (await fixture.states(id_))["a"] == "dead"
        assert len(fixture.events_of(StorageProblem)) == 1


async def test_replay_requeues_open_attempts_as_possible_duplicates(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await fixture.accept()
        await fixture.begin()
    async with opened(tmp_path) as fixture:
        assert await fixture.core.store.replay() == 1
        again = await fixture.begin()
        assert (again.maybe_duplicate, again.attempts) == (True, 2)


async def test_state_of_lanes_limits_and_requests_is_saved_and_loaded(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await fixture.accept()
        await fixture.begin()
        learned = LimitState("channel:1", count=12, learned_at=5.0)
        await fixture.core.store.save(LaneState("a", trips=3), [learned])
        assert (await fixture.core.store.load_lane("a")).trips == 3
        assert await fixture.core.store.load_limit("channel:1") == learned
        assert await fixture.core.store.requests("channel", "a") == [
            RequestRecord(None, expedited=False, destination="a")
        ]


async def test_settle_and_begin_records_the_outcome_when_the_claim_cannot_read_a_row(tmp_path: Path) -> None:
    def damage(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE living SET lines = x'C1'")

    asking = RequestStart("a", "channel", expedited=False, edits_at="here")
    async with opened(tmp_path) as fixture:
        store = fixture.core.store
        ids = [await fixture.accept("one", key="k")]
        told = await store.begin(await store.feed("a", Priority.NORMAL, 0, 10), asking)
        await store.settle(told, [Delivered()], RETRY, None, ())
        ids += [await fixture.accept("two"), await fixture.accept("three", key="k")]
        two, three = await store.feed("a", Priority.NORMAL, 0, 10)
        batch = await store.begin([two], asking)
        await fixture.journal.run(damage)
        with pytest.raises(msgspec.DecodeError):
            await store.settle_and_begin(batch, [Delivered()], RETRY, None, (), following=[three], asking=asking)
        assert [(await fixture.states(id_))["a"] for id_ in ids] == ["sent", "sent", "queued"]
        assert len(fixture.events_of(Sent)) == 2
