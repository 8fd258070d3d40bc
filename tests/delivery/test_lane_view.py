"""`Lane.snapshot()`: what observers read of a lane."""

from __future__ import annotations

from math import inf

import pytest
import trio
from tests.delivery.lane_fixture import DOWN, HIGH, LIMITED, LOW, NORMAL, URGENT, LaneFixture, elapse
from trio.testing import MockClock

from tocsind.delivery.condition import Condition
from tocsind.delivery.lane_view import SenderView
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import Fitness, Patience


async def test_snapshot_of_an_idle_lane_has_no_problem(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(4, 60.0), fallback=("f",))
    async with fixture.running():
        await elapse(1)
        view = fixture.lane.snapshot()
    assert (view.name, view.kind, view.fallbacks) == ("d", "memory", ("f",))
    assert (view.condition, view.fitness, view.breaker_ready) == (Condition("ready"), Fitness.WORKING, True)
    assert (view.disabled, view.excluded, view.failing_for, view.in_flight_for) == (None, None, 0.0, None)
    assert not view.outage.is_on
    assert not view.outage.is_over_patience
    assert set(view.outage.moves_after.values()) == {inf}
    assert [window.left for window in view.limits.windows] == [4]
    assert (set(view.limits.ready_in.values()), set(view.limits.waits_for.values())) == ({0.0}, {None})
    assert [sender.priority for sender in view.senders] == list(Priority)
    assert not any(sender.has_work or sender.read_pending for sender in view.senders)


async def test_snapshot_shows_request_in_flight_and_taken_turn(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(seconds=10.0)
    fixture.owe("a", priority=URGENT)
    async with fixture.running():
        await elapse(4)
        view = fixture.lane.snapshot()
    assert view.in_flight_for == pytest.approx(4.0)
    assert (view.turn_taken, view.turns, view.turn_queue) == (True, 1, fixture.lane.turns.name)


async def test_snapshot_shows_open_breaker_and_outage(autojump_clock: MockClock) -> None:
    down = BreakerLimits(failures=1, rest=100.0)
    fixture = LaneFixture(
        otherwise=DOWN, breaker=down, patience=Patience(5.0, 60.0, 600.0, None), retry=Retry(first=1.0)
    )
    fixture.owe("a")
    async with fixture.running():
        await elapse(10)
        view = fixture.lane.snapshot()
    assert (view.condition.word, view.condition.reason, view.trips, view.breaker_ready) == ("failing", "503", 1, False)
    assert view.failing_for == pytest.approx(10.0)
    assert view.outage.is_on
    assert view.outage.fails
    assert view.outage.is_over_patience
    assert view.outage.seconds == pytest.approx(10.0)
    assert view.outage.moves_after == {
        URGENT: pytest.approx(-5.0),
        HIGH: pytest.approx(50.0),
        NORMAL: pytest.approx(590.0),
        LOW: inf,
    }
    assert view.limits.ready_in[NORMAL] == pytest.approx(90.0)
    assert view.fitness is Fitness.FAILS


async def test_snapshot_shows_server_block_with_its_reason(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(LIMITED)
    fixture.owe("a")
    async with fixture.running():
        await elapse(1)
        view = fixture.lane.snapshot()
    assert view.condition.word == "limited"
    assert view.limits.blocked_for == pytest.approx(19.0)
    assert view.limits.waits_for[URGENT] == "429"
    assert view.limits.host_block is None


async def test_snapshot_shows_block_of_the_whole_host(autojump_clock: MockClock) -> None:
    fixture = LaneFixture()
    await fixture.open()
    fixture.lane.limiter.address.block(fixture.clock.now() + 30.0, "banned")
    assert fixture.lane.snapshot().limits.host_block == "banned"
    await trio.sleep(31)
    assert fixture.lane.snapshot().limits.host_block is None


async def test_snapshot_of_an_excluded_destination_has_no_senders(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(disabled="not set up")
    async with fixture.running():
        await elapse(1)
        view = fixture.lane.snapshot()
    assert (view.disabled, view.excluded, view.condition.word) == ("not set up", "not set up", "disabled")
    assert (view.senders, view.fitness) == ((), Fitness.DISABLED)


async def test_snapshot_of_a_sender_shows_work_that_waits_for_its_limit(autojump_clock: MockClock) -> None:
    fixture = LaneFixture()
    await fixture.block_for(10)
    fixture.owe("a", priority=HIGH)
    async with fixture.running():
        await elapse(1)
        senders = {sender.priority: sender for sender in fixture.lane.snapshot().senders}
    assert senders[HIGH] == SenderView(HIGH, has_work=True, read_pending=False, reads=senders[HIGH].reads)
    assert not senders[LOW].has_work


async def test_snapshot_is_not_changed_by_later_events(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(otherwise=DOWN, breaker=BreakerLimits(failures=1, rest=100.0))
    async with fixture.running():
        await elapse(1)
        before = fixture.lane.snapshot()
        fixture.owe("a")
        await elapse(1)
        after = fixture.lane.snapshot()
    assert (before.trips, after.trips) == (0, 1)
    assert before.condition.word == "ready"
