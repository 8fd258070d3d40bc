"""A lane and its senders in virtual time, with a destination and a store in memory."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from tests.delivery.lane_fixture import DOWN, HIGH, LIMITED, LOW, NORMAL, URGENT, LaneFixture, about, elapse
from trio.testing import MockClock

from tocsind.delivery.condition import Condition
from tocsind.events import BreakerOpened, DestinationNote, Disabled, Enabled, ProbeFailed, RateLimited, Recovered
from tocsind.journal import LaneState
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery, Priority, State
from tocsind.policy.limiter import UNSTATED_WAIT
from tocsind.policy.outcomes import Cause, Deferred, Delivered, RateHeaders, Reach, Refused, Report, Unknown
from tocsind.policy.pace import Pace
from tocsind.policy.window import WINDOW
from tocsind.testing.memory import Answer, MemoryDestination

# --- order ------------------------------------------------------------------------------------------------------------


async def test_lane_sends_by_priority_then_in_order_of_acceptance(
    autojump_clock: MockClock,
) -> None:
    fixture = LaneFixture()
    await fixture.block_for(10)
    async with fixture.running():
        for number in (1, 2, 3):
            for priority in (LOW, NORMAL, HIGH, URGENT):
                fixture.owe(f"{priority.label} {number}", priority=priority)
        await elapse(9.9)
        assert fixture.destination.titles == []
        await elapse(1)
    assert fixture.destination.titles == [f"{p.label} {n}" for p in Priority for n in (1, 2, 3)]


async def test_urgent_delivery_overtakes_waiting_low_ones(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(1, 10.0))
    fixture.owe("a", "b", "c", priority=LOW)
    async with fixture.running():
        await elapse(5)
        fixture.owe("urgent", priority=URGENT)
        await elapse(100)
    assert fixture.destination.titles == ["a", "urgent", "b", "c"]


async def test_low_backlog_leaves_reserve_of_limit_to_urgent_delivery(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(30, 60.0))
    fixture.owe(*(f"low {number}" for number in range(1000)), priority=LOW)
    async with fixture.running():
        await elapse(30)
        assert len(fixture.destination.tries) == 26
        fixture.owe("urgent", priority=URGENT)
        await elapse(0)
        assert fixture.destination.titles[-1] == "urgent"
        assert fixture.destination.times[-1] == pytest.approx(30)


async def test_lane_has_at_most_one_request_in_flight(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(seconds=1.0)
    for priority in Priority:
        fixture.owe(*"abc", priority=priority)
    async with fixture.running():
        await elapse(60)
    assert (len(fixture.destination.tries), fixture.destination.most_in_flight) == (12, 1)


async def test_lane_settles_and_claims_in_one_commit_while_batches_arrive(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(seconds=1.0)
    fixture.owe(*"abcde")
    async with fixture.running():
        await elapse(60)
    assert fixture.destination.titles == list("abcde")
    assert [fixture.destination.most_in_flight, fixture.store.shared_commits] == [1, 4]


async def test_lane_measures_next_batch_while_a_request_is_in_flight(autojump_clock: MockClock) -> None:
    measured: list[str] = []

    def size(delivery: Delivery) -> int:
        measured.append(delivery.signal.title)
        return 0

    fixture = LaneFixture()
    fixture.destination = MemoryDestination(size=size, seconds=5.0)
    fixture.lane = fixture.new_lane()
    fixture.owe("first", "second")
    async with fixture.running():
        await elapse(1.0)
        assert (fixture.destination.titles, measured) == (["first"], ["first", "second"])
        await elapse(5.0)
        assert (fixture.destination.titles, measured) == (["first", "second"], ["first", "second"])


async def test_lane_claims_nothing_in_the_commit_that_settles_a_failure(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(DOWN, DOWN, DOWN, seconds=1.0)
    fixture.owe(*"abc")
    async with fixture.running():
        await elapse(3.5)
    assert len(fixture.destination.tries) > 3
    assert fixture.store.shared_commits == 0


async def test_dropped_delivery_is_not_claimed_with_a_settlement(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(seconds=1.0)
    _, second, _ = fixture.owe(*"abc")
    async with fixture.running():
        await elapse(0.5)
        fixture.store.drop(second)
        await elapse(60)
    assert fixture.destination.titles == ["a", "c"]


async def test_delivery_that_arrives_during_the_wait_for_a_turn_joins_the_batch(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(most=10)
    await fixture.block_for(10)
    fixture.owe("early")
    async with fixture.running():
        await elapse(5)
        fixture.owe("late", "later")
        await elapse(10)
    assert [[d.signal.title for d in each.batch] for each in fixture.destination.tries] == [["early", "late", "later"]]


async def test_failed_batch_counts_as_one_failure(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(DOWN, most=10, limit=Rate(2, 60.0), breaker=BreakerLimits(failures=2))
    fixture.owe(*"abcde")
    async with fixture.running():
        await elapse(0)
        assert [len(each.batch) for each in fixture.destination.tries] == [5]
        assert fixture.lane.breaker.failures == 1
        assert fixture.lane.condition().word == "ready"


async def test_mail_that_some_recipients_have_waits_and_is_no_failure_of_its_destination(
    autojump_clock: MockClock,
) -> None:
    waits = Deferred("452", Cause.PARTLY)
    fixture = LaneFixture(waits, waits, breaker=BreakerLimits(failures=1))
    (number,) = fixture.owe("a")
    async with fixture.running():
        await elapse(0)
        assert fixture.store.state(number) is State.QUEUED
        assert fixture.lane.breaker.failures == 0
        await elapse(200)
        assert fixture.store.state(number) is State.SENT


# --- the limiter ----------------------------------------------------------------------------------------------------------


async def test_configured_limit_paces_lane_and_is_its_condition(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(2, 10.0))
    fixture.owe(*"abcde", priority=URGENT)
    async with fixture.running():
        await elapse(1)
        assert fixture.lane.condition() == Condition("limited", "the configured limit of 2 in 10 s", about(9.0))
        assert repr(fixture.lane) == "<Lane d limited>"
        await elapse(100)
    assert fixture.destination.times == pytest.approx([0, 0, 10, 10, 20])


async def test_rate_limited_delivery_stays_first_and_breaker_stays_closed(
    autojump_clock: MockClock,
) -> None:
    fixture = LaneFixture(*[LIMITED] * 5, breaker=BreakerLimits(failures=1))
    (first, _) = fixture.owe("first", "second")
    async with fixture.running():
        await elapse(1)
        assert fixture.store.state(first) is State.QUEUED
        assert fixture.lane.condition() == Condition("limited", "429", about(19.0))
        await elapse(200)
    assert fixture.destination.titles == ["first"] * 6 + ["second"]
    assert fixture.destination.times == pytest.approx([0, 20, 40, 60, 80, 100, 100])
    assert fixture.emitted(RateLimited) == [RateLimited("d", "429", 20.0)] * 5
    assert (fixture.lane.snapshot().trips, fixture.emitted(BreakerOpened)) == (0, [])


async def test_rate_limit_without_a_time_blocks_for_unstated_wait(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Deferred("429", Cause.LIMITED, Reach.ENDPOINT))
    fixture.owe("a")
    async with fixture.running():
        await elapse(10)
    assert fixture.destination.times == pytest.approx([0, UNSTATED_WAIT])


async def test_urgent_delivery_overtakes_rate_limited_one(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(LIMITED)
    fixture.owe("normal")
    async with fixture.running():
        await elapse(1)
        fixture.owe("urgent", priority=URGENT)
        await elapse(30)
    assert fixture.destination.titles == ["normal", "urgent", "normal"]


async def test_block_of_the_kind_closes_and_saves_the_host_limit(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Deferred("blocked by Cloudflare", Cause.LIMITED, Reach.KIND, wait=60.0))
    fixture.owe("a")
    async with fixture.running():
        await elapse(1)
        address = fixture.lane.limiter.address
        assert (address.blocked_until - fixture.clock.now(), address.blocked_because) == (
            about(59.0),
            "blocked by Cloudflare",
        )
    assert fixture.store.scopes["address:memory"].blocked_because == "blocked by Cloudflare"


async def test_lane_obeys_rate_headers_of_a_response(autojump_clock: MockClock) -> None:
    spent = Report((Delivered(),), RateHeaders(limit=5, remaining=0, reset_after=7.0))
    fixture = LaneFixture(spent, pace=Pace(Rate(5, 2.0), None, None))
    fixture.owe("a", "b")
    async with fixture.running():
        await elapse(1)
        assert fixture.lane.condition() == Condition("limited", "the webhook's limit of 5 in 2.02 s", about(6.0))
        await elapse(30)
    assert fixture.destination.times == pytest.approx([0, 7])


# --- deferrals -----------------------------------------------------------------------------------------------------------


async def test_deferred_delivery_does_not_delay_others(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(DOWN, retry=Retry(first=8.0, most=60.0))
    fixture.owe("a", "b", "c")
    async with fixture.running():
        await elapse(1)
        assert fixture.sent() == ["b", "c"]
        await elapse(30)
    assert fixture.destination.titles == ["a", "b", "c", "a"]
    assert fixture.destination.times[-1] == pytest.approx(4.0)  # half of the ceiling: the draw is 0


@pytest.mark.parametrize("jitter", [0.0, 0.999])
async def test_retry_waits_stay_within_backoff_ceilings(autojump_clock: MockClock, jitter: float) -> None:
    fixture = LaneFixture(
        *[DOWN] * 6, jitter=jitter, retry=Retry(first=1.0, most=10.0), breaker=BreakerLimits(failures=99)
    )
    fixture.owe("a")
    async with fixture.running():
        await elapse(100)
    waits = [
        later - sooner for sooner, later in zip(fixture.destination.times, fixture.destination.times[1:], strict=False)
    ]
    assert waits == pytest.approx([(0.5 + jitter / 2) * ceiling for ceiling in (1, 2, 4, 8, 10, 10)])


async def test_retry_waits_as_long_as_retry_after_says(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Deferred("503", wait=90.0), retry=Retry(first=1.0, most=60.0))
    fixture.owe("a")
    async with fixture.running():
        await elapse(89)
        assert len(fixture.destination.tries) == 1
        await elapse(2)
    assert fixture.destination.times == pytest.approx([0, 90])


async def test_unknown_outcome_of_a_repeatable_destination_is_repeated_without_a_mark(
    autojump_clock: MockClock,
) -> None:
    fixture = LaneFixture(*[Unknown("cut off")] * 3)
    destination = fixture.destination
    destination.repeatable = True
    fixture.owe("alert")
    async with fixture.running():
        await elapse(60)
    assert fixture.sent() == ["alert"]
    assert len(destination.tries) == 4
    assert not any(delivery.maybe_duplicate for each in destination.tries for delivery in each.batch)


async def test_unknown_outcome_is_retried_once_as_possible_duplicate_except_low(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Unknown("no answer"))
    fixture.owe("normal")
    async with fixture.running():
        await elapse(60)
    assert [each.batch[0].maybe_duplicate for each in fixture.destination.tries] == [False, True]
    low = LaneFixture(Unknown("no answer"))
    (number,) = low.owe("low", priority=LOW)
    async with low.running():
        await elapse(60)
    assert (low.store.state(number), len(low.destination.tries)) == (State.UNKNOWN, 1)


async def test_refused_delivery_is_dead_and_next_one_is_sent(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Refused("400"), fallbacks={"d": ("file",)})
    (bad, good) = fixture.owe("bad", "good")
    async with fixture.running():
        await elapse(1)
    assert (fixture.store.state(bad), fixture.store.state(good)) == (State.DEAD, State.SENT)
    assert fixture.store.titles(State.QUEUED, "file") == ["bad"]
    assert fixture.lane.condition().word == "ready"


async def test_dropped_or_expired_delivery_is_not_sent(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(1, 10.0))
    (_, dropped, late, _) = [
        *fixture.owe("first", "dropped", priority=URGENT),
        *fixture.owe("late", priority=URGENT, expires=5),
        *fixture.owe("last", priority=URGENT),
    ]
    async with fixture.running():
        await elapse(1)
        fixture.store.drop(dropped)
        await elapse(100)
    assert fixture.destination.titles == ["first", "last"]
    assert fixture.destination.times == pytest.approx([0, 10])
    assert fixture.store.state(late) is State.QUEUED  # housekeeping expires it, not the lane


# --- the breaker -----------------------------------------------------------------------------------------------------------


def down(*script: Answer, **more: Any) -> LaneFixture:
    """A destination that is down: the breaker opens after three failures, and rests for 10, 20, 35, 35 ... seconds."""
    limits = BreakerLimits(failures=3, rest=10.0, most=35.0)
    return LaneFixture(*script, otherwise=DOWN, breaker=limits, retry=Retry(first=0.0, most=0.0), **more)


async def test_failures_in_a_row_open_breaker_and_set_condition(autojump_clock: MockClock) -> None:
    fixture = down()
    fixture.owe(*"abcdef")
    async with fixture.running():
        await elapse(1)
        assert len(fixture.destination.tries) == 3
        assert fixture.lane.condition() == Condition("failing", "503", about(9.0))
    assert fixture.emitted(BreakerOpened) == [BreakerOpened("d", "503", 10.0)]
    assert fixture.lane.snapshot().trips == 1


async def test_success_between_failures_keeps_breaker_closed(autojump_clock: MockClock) -> None:
    now_and_then: list[Answer] = [DOWN, DOWN, Delivered()]
    fixture = down(*now_and_then * 5)
    fixture.owe(*"abcde")
    async with fixture.running():
        await elapse(1)
    assert (len(fixture.destination.tries), fixture.lane.snapshot().trips, fixture.sent()) == (15, 0, list("abcde"))


async def test_open_breaker_sends_one_probe_per_rest_up_to_longest_rest(autojump_clock: MockClock) -> None:
    fixture = down()
    for priority in Priority:
        fixture.owe(*(f"{number}" for number in range(50)), priority=priority)
    async with fixture.running():
        await elapse(140)
    assert fixture.destination.times == pytest.approx([0, 0, 0, 10, 30, 65, 100, 135])
    assert [fact.rest for fact in fixture.emitted(ProbeFailed) if isinstance(fact, ProbeFailed)] == pytest.approx(
        [20, 35, 35, 35, 35]
    )
    assert fixture.lane.snapshot().trips == 1


async def test_lane_is_probing_and_sends_nothing_else_while_a_probe_is_in_flight(autojump_clock: MockClock) -> None:
    fixture = down(seconds=5.0)
    fixture.owe(*"abcdef")
    async with fixture.running():
        await elapse(26)  # three failures of five seconds, a rest of ten
        assert fixture.lane.condition().word == "probing"
        assert (fixture.destination.in_flight, len(fixture.destination.tries)) == (1, 4)


async def test_successful_probe_closes_breaker_and_urgent_goes_first(autojump_clock: MockClock) -> None:
    fixture = down(DOWN, DOWN, DOWN)
    fixture.destination.otherwise = Delivered()
    fixture.owe(*"abc")
    async with fixture.running():
        await elapse(1)
        fixture.owe("urgent", priority=URGENT)
        await elapse(20)
        assert fixture.lane.condition() == Condition("ready")
    assert fixture.destination.titles[3] == "urgent"
    assert fixture.emitted(Recovered) == [Recovered("d")]
    assert sorted(fixture.sent()) == ["a", "b", "c", "urgent"]


async def test_rate_limited_probe_releases_its_permit(autojump_clock: MockClock) -> None:
    fixture = down(DOWN, DOWN, DOWN, LIMITED)
    fixture.destination.otherwise = Delivered()
    fixture.owe("a")
    async with fixture.running():
        await elapse(100)
    assert fixture.destination.times == pytest.approx([0, 0, 0, 10, 30])
    assert (fixture.lane.snapshot().trips, fixture.emitted(ProbeFailed)) == (1, [])


async def test_probe_without_a_claimed_delivery_uses_no_permit(autojump_clock: MockClock) -> None:
    fixture = down(DOWN, DOWN, DOWN)
    fixture.destination.otherwise = Delivered()
    (first, second) = fixture.owe("a", "b", priority=URGENT)
    async with fixture.running():
        await elapse(1)
        fixture.store.drop(first)
        await elapse(20)
    assert fixture.store.state(second) is State.SENT
    assert fixture.destination.times[-1] == pytest.approx(10)


async def test_refusal_counts_as_answer_and_resets_failures(autojump_clock: MockClock) -> None:
    fixture = down(DOWN, DOWN, Refused("400"), DOWN, DOWN, Delivered())
    fixture.owe("a", "b")
    async with fixture.running():
        await elapse(1)
    assert (fixture.lane.snapshot().trips, len(fixture.destination.tries)) == (0, 6)


# --- disabled ---------------------------------------------------------------------------------------------------------------


async def test_destination_that_is_gone_is_disabled_and_queue_moves_to_fallback(
    autojump_clock: MockClock,
) -> None:
    fixture = LaneFixture(Refused("404", disable=True), fallbacks={"d": ("file",)})
    titles = [f"{number}" for number in range(1200)]  # more than two chunks
    fixture.owe(*titles)
    async with fixture.running():
        await elapse(1)
        assert fixture.lane.condition() == Condition("disabled", "404")
        fixture.owe("late", priority=URGENT)
        await elapse(1)
    assert len(fixture.destination.tries) == 1
    assert fixture.emitted(Disabled) == [Disabled("d", "404")]
    assert fixture.store.titles(State.REROUTED, "d") == [*titles, "late"]
    assert sorted(fixture.store.titles(State.QUEUED, "file")) == sorted([*titles, "late"])


async def test_disabled_lane_without_fallback_keeps_queue_until_enabled(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Refused("404", disable=True))
    fixture.owe("a", "b")
    async with fixture.running():
        await elapse(10)
        assert fixture.store.titles(State.QUEUED, "d") == ["a", "b"]
        await fixture.lane.enable()
        await elapse(1)
        assert fixture.lane.condition() == Condition("ready")
    assert fixture.sent() == ["a", "b"]
    assert fixture.emitted(Enabled) == [Enabled("d")]


async def test_enable_is_saved_and_ends_rest_of_breaker(autojump_clock: MockClock) -> None:
    fixture = down(DOWN, DOWN, DOWN, Refused("404", disable=True))
    fixture.destination.otherwise = Delivered()
    fixture.owe("a")
    async with fixture.running():
        await elapse(15)
        assert fixture.store.memories["d"].disabled == "404"
        await fixture.lane.enable()
        assert fixture.store.memories["d"] == LaneState("d", fixture.lane.options.fingerprint, trips=1)
        await elapse(0)
    assert fixture.sent() == ["a"]


async def test_excluded_destination_stays_disabled_after_enable_and_is_not_saved(
    autojump_clock: MockClock,
) -> None:
    fixture = LaneFixture(disabled="DISCORD_WEBHOOK is not set", fallbacks={"d": ("file",)})
    fixture.owe("a")
    async with fixture.running():
        await elapse(1)
        await fixture.lane.enable()
        await elapse(1)
    assert fixture.lane.condition() == Condition("disabled", "DISCORD_WEBHOOK is not set")
    assert fixture.store.memories["d"].disabled is None
    assert (fixture.destination.tries, fixture.store.titles(State.QUEUED, "file")) == ([], ["a"])


# --- restarts -----------------------------------------------------------------------------------------------------------------


async def restarted(fixture: LaneFixture, away: float) -> None:
    """The daemon stops, and starts again after some seconds with a new lane."""
    await trio.sleep(away)
    fixture.lane = fixture.new_lane()
    await fixture.open()


async def test_breaker_rest_continues_after_restart(autojump_clock: MockClock) -> None:
    fixture = down()
    fixture.owe(*"abc")
    async with fixture.running():
        await elapse(1)
    await restarted(fixture, 3)
    assert fixture.lane.condition() == Condition("failing", "503", about(6.0))
    assert fixture.lane.snapshot().trips == 1
    async with fixture.running():
        await elapse(10)
    assert fixture.destination.times == pytest.approx([0, 0, 0, 10])
    assert fixture.lane.condition().seconds == pytest.approx(16.0)  # the second rest, of twenty


async def test_block_and_earlier_requests_count_after_restart(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(LIMITED)
    fixture.owe("a", "b", "c")
    async with fixture.running():
        await elapse(1)
    await restarted(fixture, 4)
    assert fixture.lane.condition() == Condition("limited", "429", about(15.0))
    paced = LaneFixture(limit=Rate(2, 10.0))
    paced.owe(*"abcd", priority=URGENT)
    async with paced.running():
        await elapse(1)
    await restarted(paced, 4)
    async with paced.running():
        await elapse(20)
    assert paced.destination.times == pytest.approx([0, 0, 10, 10])


async def test_disabled_destination_stays_disabled_after_restart(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Refused("404", disable=True))
    fixture.owe("a")
    async with fixture.running():
        await elapse(1)
    await restarted(fixture, 1)
    assert fixture.lane.condition() == Condition("disabled", "404")


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
async def test_set_wall_clock_extends_no_rest_and_no_limit_over_restart(autojump_clock: MockClock, step: float) -> None:
    fixture = down(limit=Rate(3, 10.0))
    fixture.owe(*"abc", priority=URGENT)
    async with fixture.running():
        await elapse(1)
    fixture.clock.step(step)
    await restarted(fixture, 1)
    fixture.destination.otherwise = Delivered()
    async with fixture.running():
        await elapse(46)  # the longest rest, and one window of the configured limit
    assert fixture.sent() == ["a", "b", "c"]


async def test_set_wall_clock_changes_no_rate_while_daemon_runs(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(1, 10.0))
    fixture.owe(*"abc", priority=URGENT)
    async with fixture.running():
        await elapse(1)
        fixture.clock.set_wall(-86400)
        await elapse(10)
        fixture.clock.set_wall(2 * 86400)
        await elapse(20)
    assert fixture.destination.times == pytest.approx([0, 10, 20])


# --- memory ---------------------------------------------------------------------------------------------------------------------


async def test_backlog_of_hundred_thousand_stays_in_journal_except_windows(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(most=50, seconds=0.01)
    for number in range(25_000):
        for priority in Priority:
            fixture.store.owe("d", f"{number}", priority)
    await fixture.block_for(10)
    async with fixture.running():
        await elapse(5)
        # each window is full
        assert 4 * WINDOW <= len(fixture.store.fed) <= 4 * (2 * WINDOW)
        await elapse(6)
        await fixture.block_for(10)
        await trio.testing.wait_all_tasks_blocked()
        sent = len(fixture.sent())
        assert 1_000 < sent < 99_000
        in_memory = len(fixture.store.fed) - sent
        assert in_memory <= 4 * (2 * WINDOW + 50)


async def test_deferred_deliveries_in_memory_are_bounded(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(otherwise=DOWN, retry=Retry(first=1e6, most=1e6), breaker=BreakerLimits(failures=10**9))
    fixture.owe(*(f"{number}" for number in range(1000)))
    async with fixture.running():
        await elapse(100)
        assert len(fixture.destination.tries) == WINDOW
        assert len(fixture.store.fed) <= 3 * WINDOW


async def test_urgent_delivery_is_sent_while_window_is_full_of_deferred_ones(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(*[DOWN] * WINDOW, retry=Retry(first=1e6, most=1e6), breaker=BreakerLimits(failures=10**9))
    fixture.owe(*(f"{number}" for number in range(100)))
    async with fixture.running():
        await elapse(1)
        fixture.owe("urgent", priority=URGENT)
        await elapse(1)
    assert fixture.sent() == ["urgent"]


async def test_long_backlog_is_sent_completely_and_in_order(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(most=7)
    titles = [f"{number}" for number in range(5 * WINDOW + 3)]
    fixture.owe(*titles)
    async with fixture.running():
        await elapse(1)
    assert fixture.destination.titles == titles


async def test_rewind_sends_no_delivery_twice(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(limit=Rate(1, 1.0))
    titles = [f"{number}" for number in range(3 * WINDOW)]
    fixture.owe(*titles, priority=URGENT)
    async with fixture.running():
        for _ in range(10):
            fixture.lane.rewind()
            await elapse(3.3)
        await elapse(300)
    assert fixture.destination.titles == titles


async def test_rewind_does_not_shorten_wait_of_deferred_delivery(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(DOWN, retry=Retry(first=100.0, most=100.0))
    fixture.owe("a")
    async with fixture.running():
        await elapse(1)
        fixture.lane.rewind()
        await elapse(10)
        assert len(fixture.destination.tries) == 1
        await elapse(60)
    assert fixture.destination.times == pytest.approx([0, 50])


async def test_requeued_delivery_behind_cursor_is_sent(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Refused("400"))
    (dead, _) = fixture.owe("dead", "alive")
    async with fixture.running():
        await elapse(1)
        fixture.store.requeue(dead)
        await elapse(1)
    assert fixture.destination.titles == ["dead", "alive", "dead"]
    assert fixture.sent() == ["dead", "alive"]


# --- leaving -----------------------------------------------------------------------------------------------------------------------


async def test_cancelled_lane_finishes_request_in_flight_and_begins_no_other(
    autojump_clock: MockClock,
) -> None:
    fixture = LaneFixture(seconds=8.0)
    (first, second) = fixture.owe("first", "second")
    async with fixture.running():
        await elapse(1)
    assert (fixture.store.state(first), fixture.store.state(second)) == (State.SENT, State.QUEUED)
    assert fixture.destination.cut_off == 0
    assert fixture.destination.closed


async def test_abandon_cancels_request_in_flight_and_leaves_attempt_open(autojump_clock: MockClock) -> None:
    fixture = LaneFixture()
    fixture.destination.hold()
    (number, _) = fixture.owe("first", "second")
    async with fixture.running() as nursery:
        await elapse(1)
        nursery.cancel_scope.cancel()
        fixture.lane.abandon()
    assert (fixture.destination.cut_off, len(fixture.destination.tries)) == (1, 1)
    assert fixture.store.state(number) is State.SENDING
    assert fixture.destination.closed


async def test_abandoned_probe_releases_its_permit(autojump_clock: MockClock) -> None:
    fixture = down()
    fixture.owe("a")
    async with fixture.running() as nursery:
        await elapse(9)
        fixture.destination.hold()
        await elapse(2)
        assert fixture.lane.condition().word == "probing"
        nursery.cancel_scope.cancel()
        fixture.lane.abandon()
    now = fixture.clock.now()
    assert fixture.lane.condition().word == "failing"
    assert fixture.lane.breaker.ready_at(now) == now


async def test_probe_that_finishes_during_stop_updates_saved_breaker(autojump_clock: MockClock) -> None:
    fixture = down(seconds=1.0)
    fixture.owe("a")
    async with fixture.running():
        await elapse(13.5)
        assert fixture.lane.condition().word == "probing"
    memory = fixture.store.memories["d"]
    assert memory.rests == 2
    assert memory.rest_until == pytest.approx(fixture.clock.wall() + 20)


async def test_exception_in_destination_ends_the_lane(autojump_clock: MockClock) -> None:
    fixture = LaneFixture()

    class Broken(MemoryDestination):
        async def deliver(self, batch: Any) -> Any:
            raise ZeroDivisionError(f"with {len(batch)}")

    fixture.destination = Broken()
    fixture.lane = fixture.new_lane()
    fixture.owe("a")
    await fixture.open()
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True, allow_unwrapped=True):
        await fixture.lane.run()
    assert fixture.destination.closed


async def test_unsent_requests_use_up_no_limit(autojump_clock: MockClock) -> None:
    pace = Pace(Rate(5, 2.0), Rate(30, 60.0), Rate(45, 1.1))
    unsent = Deferred("cannot connect (Connection refused): nothing was sent", unsent=True)
    fixture = LaneFixture(
        *[unsent] * 26,
        pace=pace,
        limit=Rate(30, 60.0),
        retry=Retry(most=1.0),
        breaker=BreakerLimits(rest=0.5, most=0.5),
    )
    fixture.owe("a")
    async with fixture.running():
        await elapse(60)
        assert fixture.sent() == ["a"]
        used = {window.name: window.count - window.left for window in fixture.lane.limiter.windows(fixture.clock.now())}
    assert len(fixture.destination.tries) == 27
    assert (used["ours"], used["channel"]) == (1, 1)
    assert len(fixture.store.asked) == 1


async def test_note_about_destination_is_emitted_once(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(otherwise=Report((Delivered(),), note="no ids"))
    fixture.owe("a", "b")
    async with fixture.running():
        await elapse(1)
    assert fixture.emitted(DestinationNote) == [DestinationNote("d", "no ids")]
    assert fixture.lane.snapshot().note == "no ids"


async def test_note_about_destination_ends_with_an_empty_note(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(Report((Delivered(),), note="no text"), otherwise=Report((Delivered(),), note=""))
    fixture.owe("a", "b", "c")
    async with fixture.running():
        await elapse(1)
    assert fixture.emitted(DestinationNote) == [DestinationNote("d", "no text")]
    assert fixture.lane.snapshot().note is None


async def test_problem_of_a_note_is_new_until_a_note_takes_it_back(autojump_clock: MockClock) -> None:
    texts = ("550 id=1", "550 id=2", "", "550 id=3")
    reports = [Report((Delivered(),), note=text, is_problem=bool(text)) for text in texts]
    fixture = LaneFixture(*reports)
    fixture.owe("a", "b", "c", "d")
    async with fixture.running():
        await elapse(4)
    assert fixture.emitted(DestinationNote) == [
        DestinationNote("d", "550 id=1", is_problem=True),
        DestinationNote("d", "550 id=2"),
        DestinationNote("d", "550 id=3", is_problem=True),
    ]


async def test_ambiguous_outage_marks_few_deliveries_as_possible_duplicates(
    autojump_clock: MockClock,
) -> None:
    down = Deferred("503", ambiguous=True)
    fixture = LaneFixture(*[down] * 9, most=10, breaker=BreakerLimits(rest=10.0, most=20.0))
    fixture.owe(*(f"signal {n}" for n in range(40)))
    async with fixture.running():
        await elapse(120)
        assert len(fixture.sent()) == 40
    sizes = [len(each.batch) for each in fixture.destination.tries]
    assert sizes[:10] == [10, *[1] * 9], "one full message, then single ones until one is answered"
    marked = {each.number for tried in fixture.destination.tries[9:] for each in tried.batch if each.maybe_duplicate}
    assert 10 <= len(marked) <= 14


async def test_ambiguous_outage_probes_with_deliveries_already_marked(autojump_clock: MockClock) -> None:
    down = Deferred("503", ambiguous=True)
    fixture = LaneFixture(*[down] * 8, most=10, breaker=BreakerLimits(rest=10.0, most=20.0))
    async with fixture.running():
        for n in range(15):
            fixture.owe(f"signal {n}")
            await elapse(3)
        await elapse(120)
        assert len(fixture.sent()) == 15
    risked = {title for each in fixture.destination.tries[:8] for title in [each.batch[0].signal.title]}
    assert len(risked) <= 4
