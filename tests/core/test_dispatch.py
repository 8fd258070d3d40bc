"""Dispatch over a real journal, on the real clock: a real thread cannot be jumped over."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from tests.daemon.inprocess import housekeeping

from tocsin.errors import InvalidSignal
from tocsin.signals import Signal
from tocsind.config import Config, DaemonOptions, DestinationOptions, FileOptions
from tocsind.core.admission import Peer
from tocsind.core.assembly import assemble
from tocsind.errors import StorageFull
from tocsind.events import (
    Accepted,
    Ambiguous,
    Dead,
    Deferred,
    DroppedByOperator,
    Duplicate,
    Event,
    Expired,
    IntakeClosed,
    IntakeOpened,
    Requeued,
    Rerouted,
    Sent,
    StorageProblem,
    Unrouted,
)
from tocsind.journal import Journal, LaneState, LimitState, RequestRecord, RequestStart, queries
from tocsind.policy import outcomes
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement, State
from tocsind.policy.outcomes import Delivered, Outcome, Refused, Unknown
from tocsind.policy.patience import Fitness
from tocsind.policy.routes import Route, Thresholds
from tocsind.testing.clock import SteppedClock

PEER = Peer(uid=1000, gid=1000, pid=4711)
RETRY = Retry(first=8.0, most=60.0, give_up=3600.0)
PATIENCE = 20.0


def config(routes: tuple[Route, ...] = (Route(("a",)),), **daemon: Any) -> Config:
    """Three destinations; `a` falls back on `b`, and `b` on `c`."""
    fallbacks = {"a": ("b",), "b": ("c",), "c": ()}
    destinations = {
        name: DestinationOptions(name, "file", FileOptions("x"), fallback=fallback)
        for name, fallback in fallbacks.items()
    }
    return Config(DaemonOptions(**{"reserve": 0, **daemon}), Thresholds(), destinations, routes, (), "test")


class RecordingLane:
    """What a lane is told."""

    edits_at = None

    def __init__(self) -> None:
        self.woken: list[Priority] = []
        self.rewound = 0

    def wake(self, priority: Priority) -> None:
        self.woken.append(priority)

    def rewind(self) -> None:
        self.rewound += 1

    def refresh(self) -> None:
        raise NotImplementedError("no test folds here")

    def fitness(self) -> Fitness:
        return Fitness.WORKING

    def recheck_fallbacks(self) -> None:
        raise NotImplementedError("no lane comes back here")


class Desk:
    """A dispatch, and what it told whom."""

    def __init__(self, journal: Journal, folder: Path, known: Config) -> None:
        self.clock = SteppedClock()
        self.facts: list[Event] = []
        self.heard = trio.Event()
        self.journal = journal
        self.core = assemble(journal, known, self.clock, self._hear, folder, jitter=lambda: 0.5)
        self.lanes = {name: RecordingLane() for name in known.destinations}
        self.core.wakeups.lanes.update(self.lanes)

    def _hear(self, fact: Event) -> None:
        self.facts.append(fact)
        self.heard.set()
        self.heard = trio.Event()

    async def until(self, kind: type[Event]) -> None:
        with trio.fail_after(PATIENCE):
            while not any(isinstance(fact, kind) for fact in self.facts):
                await self.heard.wait()

    async def accept(self, title: str = "BUY", **fields: Any) -> str:
        (receipt,) = await self.core.acceptor.accept([Signal(title, **fields)], PEER)
        assert receipt.state == "stored"
        return receipt.id

    async def begin(self, destination: str = "a", priority: Priority = Priority.NORMAL) -> Delivery:
        (delivery,) = await self.core.store.begin(
            await self.core.store.feed(destination, priority, 0, 10),
            RequestStart(destination, "channel", expedited=False),
        )
        return delivery

    async def attempt(
        self, outcome: Outcome, destination: str = "a", priority: Priority = Priority.NORMAL
    ) -> Settlement:
        delivery = await self.begin(destination, priority)
        (settlement,) = await self.core.store.settle([delivery], [outcome], RETRY, None, ())
        return settlement

    async def standing(self, id_: str) -> dict[str, str]:
        told = await self.journal.run(queries.why, id_)
        assert told is not None
        return {each["destination"]: each["state"] for each in told["deliveries"]}

    def told(self, *kinds: type[Event]) -> list[Event]:
        return [fact for fact in self.facts if isinstance(fact, kinds)]


@asynccontextmanager
async def opened(folder: Path, known: Config | None = None) -> AsyncIterator[Desk]:
    async with Journal(folder) as journal:
        yield Desk(journal, folder, known or config())


def no_room(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1").fetchall()


def room(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()


# --- in -----------------------------------------------------------------------------------------------------------------


async def test_a_signal_is_stored_routed_told_and_its_lane_is_woken(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept(priority="urgent")
        assert await desk.standing(id_) == {"a": "queued"}
        assert desk.facts == [Accepted(id_, "urgent", ("a",), 1000, 4711)]
        assert (desk.lanes["a"].woken, desk.lanes["b"].woken) == ([Priority.URGENT], [])


async def test_stored_is_said_only_after_the_commit(tmp_path: Path) -> None:
    committed: list[str] = []

    def listen(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(committed.append)

    async with opened(tmp_path) as desk:
        await desk.journal.run(listen)
        committed.clear()
        await desk.accept()
        assert committed[-1] == "COMMIT"
        assert any("INSERT OR IGNORE INTO signals" in statement for statement in committed)


async def test_the_same_signal_again_is_a_duplicate_and_wakes_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        one = Signal("BUY")
        receipts = await desk.core.acceptor.accept([one, one, Signal("SELL")], PEER)
        assert [receipt.state for receipt in receipts] == ["stored", "duplicate", "stored"]
        assert desk.told(Duplicate) == [Duplicate(one.id)]
        assert len(desk.lanes["a"].woken) == 1  # once for all that came together
        await desk.core.acceptor.accept([one], PEER)
        assert len(desk.lanes["a"].woken) == 1


async def test_what_no_route_takes_is_stored_as_dead_and_told(tmp_path: Path) -> None:
    async with opened(tmp_path, config(routes=())) as desk:
        (receipt,) = await desk.core.acceptor.accept([Signal("BUY")], PEER)
        assert (receipt.state, receipt.reason) == ("stored", "no route of the configuration takes this signal")
        assert desk.told(Unrouted) == [Unrouted(receipt.id)]
        assert await desk.core.waiters.wait_settled(receipt.id, 0) == "dead"


async def test_a_destination_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        desk.core.acceptor.check(Signal("BUY", to=["a", "c"]))
        with pytest.raises(InvalidSignal, match="no destination 'x'; there are a, b, c"):
            desk.core.acceptor.check(Signal("BUY", to=["a", "x"]))


async def test_a_full_disk_closes_the_intake_and_room_opens_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await desk.journal.run(no_room)
        with pytest.raises(StorageFull):
            await desk.core.acceptor.accept([Signal("BUY", body="x" * 100_000)], PEER)
        reason = desk.core.disk_guard.closed
        assert reason == "the disk is full"
        await desk.journal.run(room)
        await desk.accept(body="x" * 100_000)
        assert desk.core.disk_guard.closed is None
        assert [type(fact) for fact in desk.facts] == [IntakeClosed, IntakeOpened, Accepted]


async def test_below_the_reserve_nothing_is_taken_and_what_is_here_is_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept()
        desk.core.config.current = config(reserve=2**62)
        for _ in range(2):
            with pytest.raises(StorageFull, match="kept in reserve"):
                await desk.core.acceptor.accept([Signal("BUY")], PEER)
        assert len(desk.told(IntakeClosed)) == 1
        await desk.attempt(Delivered())
        assert await desk.standing(id_) == {"a": "sent"}
        desk.core.config.current = config(reserve=0)
        await desk.accept()
        assert len(desk.told(IntakeOpened)) == 1


# --- out -----------------------------------------------------------------------------------------------------------------


async def test_what_arrived_is_settled_with_its_message_and_age(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept()
        desk.clock.step(30)
        settlement = await desk.attempt(Delivered("m1"))
        assert settlement == Settlement(State.SENT, message="m1")
        (fact,) = desk.told(Sent)
        assert isinstance(fact, Sent)
        assert (fact.id, fact.destination, fact.attempts, fact.message) == (id_, "a", 1, "m1")
        assert fact.seconds == pytest.approx(30, abs=10)


async def test_what_was_deferred_is_queued_and_told_with_its_wait(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept()
        assert (await desk.attempt(outcomes.Deferred("503"))).wait == 4.0
        assert desk.told(Deferred) == [Deferred(id_, "a", 1, 4.0, "503")]
        assert await desk.standing(id_) == {"a": "queued"}


async def test_fallbacks_are_walked_each_once_until_nobody_is_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept()
        for name in "abc":
            await desk.attempt(Refused("400"), name)
        assert await desk.standing(id_) == {"a": "dead", "b": "dead", "c": "dead"}
        why = "it could not be delivered there"
        assert desk.told(Dead, Rerouted) == [
            Dead(id_, "a", "400"),
            Rerouted(id_, "a", "b", why),
            Dead(id_, "b", "400"),
            Rerouted(id_, "b", "c", why),
            Dead(id_, "c", "400"),
        ]
        assert desk.lanes["b"].woken == list(Priority)


async def test_what_is_in_doubt_twice_goes_to_the_fallback_marked(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept()
        for _ in range(2):
            await desk.attempt(Unknown("no answer"))
        assert desk.told(Ambiguous) == [Ambiguous(id_, "a", "no answer")]
        assert (await desk.begin("b")).maybe_duplicate


async def test_a_disabled_destinations_queue_is_diverted_and_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept(to=["a", "b"])
        assert await desk.core.store.divert("a", "404") is True
        assert await desk.core.store.divert("a", "404") is False
        assert await desk.core.store.divert("c", "404") is False
        assert await desk.standing(id_) == {"a": "rerouted", "b": "queued", "c": "queued"}
        assert desk.told(Rerouted) == [Rerouted(id_, "a", "c", "404")]


async def test_a_queue_with_nowhere_left_to_go_is_buried(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept(to=["b", "c"])
        assert await desk.core.store.divert("b", "404") is True
        assert desk.told(Dead) == [Dead(id_, "b", "404")]


async def test_an_outcome_waits_for_room_and_is_written_down_then(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk, trio.open_nursery() as nursery:
        id_ = await desk.accept()
        delivery = await desk.begin()
        await desk.journal.run(no_room)
        long = Refused("x" * 100_000)
        nursery.start_soon(desk.core.store.settle, [delivery], [long], RETRY, None, ())
        await desk.until(StorageProblem)
        assert await desk.standing(id_) == {"a": "sending"}
        await desk.journal.run(room)
        await desk.until(Dead)
        assert (await desk.standing(id_))["a"] == "dead"
        assert len(desk.told(StorageProblem)) == 1


async def test_what_was_in_flight_at_the_end_of_a_run_is_replayed_in_doubt(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await desk.accept()
        await desk.begin()
    async with opened(tmp_path) as desk:
        assert await desk.core.store.replay() == 1
        again = await desk.begin()
        assert (again.maybe_duplicate, again.attempts) == (True, 2)


async def test_what_lanes_and_scopes_learned_and_when_they_asked_is_recalled(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await desk.accept()
        await desk.begin()
        learned = LimitState("channel:1", count=12, learned_at=5.0)
        await desk.core.store.save(LaneState("a", trips=3), [learned])
        assert (await desk.core.store.load_lane("a")).trips == 3
        assert await desk.core.store.load_limit("channel:1") == learned
        assert await desk.core.store.requests("channel", "a") == [RequestRecord(None, expedited=False, destination="a")]


# --- time ------------------------------------------------------------------------------------------------------------------


async def test_what_waited_too_long_expires_and_the_next_deadline_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        late = await desk.accept(expires=10)
        await desk.accept(expires=1000)
        desk.clock.step(500)
        deadline = await desk.core.store.expire()
        assert deadline == pytest.approx(desk.clock.wall() + 500, abs=10)
        assert desk.told(Expired) == [Expired(late, "a")]
        assert await desk.core.waiters.wait_settled(late, 0) == "dropped"


@pytest.mark.parametrize("step", [86_400.0, 36_000.0, -86_400.0])
async def test_wall_clock_step_expires_nothing_before_its_time_and_nothing_after(tmp_path: Path, step: float) -> None:
    async with opened(tmp_path) as desk:
        before = await desk.accept(expires=1000)
        desk.clock.set_wall(step)
        after = await desk.accept(expires=1000)
        await desk.core.store.expire()
        assert not desk.told(Expired)
        desk.clock.step(1001)
        await desk.core.store.expire()
        assert desk.told(Expired) == [Expired(before, "a"), Expired(after, "a")]


async def test_wall_clock_step_gives_up_on_no_delivery_in_retry_wait(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept()
        await desk.attempt(outcomes.Deferred("503"))
        desk.clock.set_wall(86_400)
        await desk.attempt(outcomes.Deferred("503"))
        assert await desk.standing(id_) == {"a": "queued"}
        desk.clock.step(RETRY.give_up)
        await desk.attempt(outcomes.Deferred("503"))
        assert (await desk.standing(id_))["a"] == "dead"


async def test_wall_clock_step_changes_no_age(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await desk.accept()
        desk.clock.set_wall(86_400)
        await desk.attempt(Delivered())
        await desk.accept()
        (oldest,) = (await desk.journal.run(queries.ages)).values()
        assert desk.clock.steady() - oldest == pytest.approx(0, abs=10)
        await desk.attempt(Delivered())
        assert [fact.seconds for fact in desk.told(Sent) if isinstance(fact, Sent)] == pytest.approx([0, 0], abs=10)


async def test_wall_clock_step_forgets_nothing_early(tmp_path: Path) -> None:
    async with opened(tmp_path, config(ledger=100.0)) as desk:
        ids = [await desk.accept()]
        await desk.attempt(Delivered())
        desk.clock.set_wall(86_400)
        ids.append(await desk.accept())
        await desk.attempt(Delivered())
        desk.clock.set_wall(-2 * 86_400)
        ids.append(await desk.accept())
        await desk.attempt(Delivered())
        await desk.core.store.delete_old()
        assert [await desk.core.waiters.wait_settled(id_, 0) for id_ in ids] == ["delivered"] * 3


async def test_the_keeper_expires_a_signal_that_came_after_it_began_to_wait(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(housekeeping(desk.journal, desk.core, (), desk.clock).run)
        far = await desk.accept(expires=1000)
        near = await desk.accept(expires=0.05)
        assert await desk.core.waiters.wait_settled(near, PATIENCE) == "dropped"
        assert await desk.core.waiters.wait_settled(far, 0) == "queued"
        nursery.cancel_scope.cancel()


async def test_the_ledger_forgets_what_is_older_than_it_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path, config(ledger=100.0)) as desk:
        old = await desk.accept()
        await desk.attempt(Delivered())
        desk.clock.step(101)
        young = await desk.accept()
        await desk.core.store.delete_old()
        assert await desk.core.waiters.wait_settled(old, 0) is None
        assert await desk.standing(young) == {"a": "queued"}


# --- what people decide -------------------------------------------------------------------------------------------------------


async def test_retry_puts_back_what_is_dead_and_has_the_lanes_look_again(tmp_path: Path) -> None:
    async with opened(tmp_path, config()) as desk:
        id_ = await desk.accept(to="c")
        await desk.attempt(Refused("400"), "c")
        assert await desk.core.operator.retry(id_) == 1
        assert await desk.standing(id_) == {"c": "queued"}
        assert desk.told(Requeued) == [Requeued(1)]
        assert desk.lanes["c"].rewound == 1
        assert await desk.core.operator.retry(id_) == 0
        assert desk.lanes["c"].rewound == 1
        assert await desk.core.operator.replaced_by(id_) == "it is queued"


async def test_what_no_route_took_goes_where_todays_routes_say(tmp_path: Path) -> None:
    async with opened(tmp_path, config(routes=())) as desk:
        one, two, three = [await desk.accept() for _ in range(3)]
        assert await desk.core.operator.retry(one) == 0
        why = "it is dead: no route of the configuration takes this signal"
        assert await desk.core.operator.replaced_by(one) == why
        desk.core.config.current = config()
        assert await desk.core.operator.retry(one) == 1
        assert await desk.standing(one) == {"unrouted": "rerouted", "a": "queued"}
        assert await desk.core.operator.retry_all("a") == 0
        assert await desk.core.operator.retry_all(None) == 2
        assert [(await desk.standing(id_))["a"] for id_ in (two, three)] == ["queued", "queued"]


async def test_drop_settles_what_waits_and_tells_who_waited(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        id_ = await desk.accept(to=["a", "b"])
        assert await desk.core.operator.drop(id_) == 2
        assert desk.told(DroppedByOperator) == [DroppedByOperator(id_, 2)]
        assert await desk.core.operator.drop(id_) == 0
        assert await desk.core.waiters.wait_settled(id_, 0) == "dropped"


# --- who waits -----------------------------------------------------------------------------------------------------------------


async def test_whoever_waits_for_a_signal_is_told_when_its_last_delivery_is_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk, trio.open_nursery() as nursery:
        id_ = await desk.accept(to=["a", "b"])
        answers: list[str | None] = []

        async def wait() -> None:
            answers.append(await desk.core.waiters.wait_settled(id_, PATIENCE))

        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await desk.attempt(Delivered(), "a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert answers == []
        await desk.attempt(Delivered(), "b")
    assert answers == ["delivered", "delivered"]
    assert len(desk.core.waiters) == 0


async def test_whoever_waits_in_vain_is_told_that_it_is_still_queued(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        assert await desk.core.waiters.wait_settled(await desk.accept(), 0.01) == "queued"
        assert await desk.core.waiters.wait_settled("01ARZ3NDEKTSV4RRFFQ69G5FAV", PATIENCE) is None
        assert len(desk.core.waiters) == 0
