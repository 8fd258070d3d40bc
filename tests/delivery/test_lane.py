"""A lane and its senders in virtual time, between two neighbours in memory."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from tests.delivery.lane_fixture import DOWN, HIGH, LIMITED, LOW, NORMAL, URGENT, Stage, about, passing
from trio.testing import MockClock

from tocsind.delivery.lane_view import Condition
from tocsind.destinations.registry import Pace
from tocsind.events import BreakerOpened, DestinationNote, Disabled, Enabled, ProbeFailed, RateLimited, Recovered
from tocsind.journal import LaneState
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority, State
from tocsind.policy.limiter import UNSTATED_WAIT
from tocsind.policy.outcomes import Cause, Deferred, Delivered, RateHeaders, Reach, Refused, Report, Unknown
from tocsind.policy.window import WINDOW
from tocsind.testing.memory import Answer, MemoryDestination

# --- order ------------------------------------------------------------------------------------------------------------


async def test_when_the_lane_opens_the_most_pressing_go_first_and_in_order_within_each(
    autojump_clock: MockClock,
) -> None:
    stage = Stage()
    await stage.close_for(10)
    async with stage.running():
        for number in (1, 2, 3):
            for priority in (LOW, NORMAL, HIGH, URGENT):
                stage.owe(f"{priority.label} {number}", priority=priority)
        await passing(9.9)
        assert stage.destination.titles == []
        await passing(1)
    assert stage.destination.titles == [f"{p.label} {n}" for p in Priority for n in (1, 2, 3)]


async def test_an_urgent_latecomer_overtakes_all_that_waits(autojump_clock: MockClock) -> None:
    stage = Stage(limit=Rate(1, 10.0))
    stage.owe("a", "b", "c", priority=LOW)
    async with stage.running():
        await passing(5)
        stage.owe("urgent", priority=URGENT)
        await passing(100)
    assert stage.destination.titles == ["a", "urgent", "b", "c"]


async def test_a_thousand_low_signals_leave_the_reserve_to_an_urgent_one(autojump_clock: MockClock) -> None:
    stage = Stage(limit=Rate(30, 60.0))
    stage.owe(*(f"low {number}" for number in range(1000)), priority=LOW)
    async with stage.running():
        await passing(30)
        assert len(stage.destination.tries) == 26
        stage.owe("urgent", priority=URGENT)
        await passing(0)
        assert stage.destination.titles[-1] == "urgent"
        assert stage.destination.times[-1] == pytest.approx(30)


async def test_there_is_never_more_than_one_request_in_flight(autojump_clock: MockClock) -> None:
    stage = Stage(seconds=1.0)
    for priority in Priority:
        stage.owe(*"abc", priority=priority)
    async with stage.running():
        await passing(60)
    assert (len(stage.destination.tries), stage.destination.most_in_flight) == (12, 1)


async def test_settlement_and_next_claim_share_a_commit_while_all_arrives(autojump_clock: MockClock) -> None:
    stage = Stage(seconds=1.0)
    stage.owe(*"abcde")
    async with stage.running():
        await passing(60)
    assert stage.destination.titles == list("abcde")
    assert [stage.destination.most_in_flight, stage.books.shared_commits] == [1, 4]


async def test_nothing_is_claimed_in_the_commit_that_settles_a_failure(autojump_clock: MockClock) -> None:
    stage = Stage(DOWN, DOWN, DOWN, seconds=1.0)
    stage.owe(*"abc")
    async with stage.running():
        await passing(3.5)
    assert len(stage.destination.tries) > 3
    assert stage.books.shared_commits == 0


async def test_delivery_that_was_dropped_meanwhile_is_not_claimed_with_a_settlement(autojump_clock: MockClock) -> None:
    stage = Stage(seconds=1.0)
    _, second, _ = stage.owe(*"abc")
    async with stage.running():
        await passing(0.5)
        stage.books.drop(second)
        await passing(60)
    assert stage.destination.titles == ["a", "c"]


async def test_what_comes_while_the_turn_is_awaited_joins_the_batch(autojump_clock: MockClock) -> None:
    stage = Stage(most=10)
    await stage.close_for(10)
    stage.owe("early")
    async with stage.running():
        await passing(5)
        stage.owe("late", "later")
        await passing(10)
    assert [[d.signal.title for d in each.batch] for each in stage.destination.tries] == [["early", "late", "later"]]


async def test_one_batch_is_one_request_and_teaches_once(autojump_clock: MockClock) -> None:
    stage = Stage(DOWN, most=10, limit=Rate(2, 60.0), breaker=BreakerLimits(failures=2))
    stage.owe(*"abcde")
    async with stage.running():
        await passing(0)
        assert [len(each.batch) for each in stage.destination.tries] == [5]
        assert stage.lane.breaker.failures == 1
        assert stage.lane.condition().word == "ready"


# --- the gate ----------------------------------------------------------------------------------------------------------


async def test_our_own_limit_paces_the_lane_and_says_so(autojump_clock: MockClock) -> None:
    stage = Stage(limit=Rate(2, 10.0))
    stage.owe(*"abcde", priority=URGENT)
    async with stage.running():
        await passing(1)
        assert stage.lane.condition() == Condition("limited", "the configured limit of 2 in 10 s", about(9.0))
        assert repr(stage.lane) == "<Lane d limited>"
        await passing(100)
    assert stage.destination.times == pytest.approx([0, 0, 10, 10, 20])


async def test_a_rate_limit_keeps_the_delivery_at_the_head_and_never_trips_the_breaker(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(*[LIMITED] * 5, breaker=BreakerLimits(failures=1))
    (first, _) = stage.owe("first", "second")
    async with stage.running():
        await passing(1)
        assert stage.books.state(first) is State.QUEUED
        assert stage.lane.condition() == Condition("limited", "429", about(19.0))
        await passing(200)
    assert stage.destination.titles == ["first"] * 6 + ["second"]
    assert stage.destination.times == pytest.approx([0, 20, 40, 60, 80, 100, 100])
    assert stage.told(RateLimited) == [RateLimited("d", "429", 20.0)] * 5
    assert (stage.lane.snapshot().trips, stage.told(BreakerOpened)) == (0, [])


async def test_a_rate_limit_that_names_no_time_is_believed_for_a_moment(autojump_clock: MockClock) -> None:
    stage = Stage(Deferred("429", Cause.LIMITED, Reach.ENDPOINT))
    stage.owe("a")
    async with stage.running():
        await passing(10)
    assert stage.destination.times == pytest.approx([0, UNSTATED_WAIT])


async def test_an_urgent_one_overtakes_what_a_rate_limit_sent_back(autojump_clock: MockClock) -> None:
    stage = Stage(LIMITED)
    stage.owe("normal")
    async with stage.running():
        await passing(1)
        stage.owe("urgent", priority=URGENT)
        await passing(30)
    assert stage.destination.titles == ["normal", "urgent", "normal"]


async def test_a_block_of_the_whole_kind_closes_the_address(autojump_clock: MockClock) -> None:
    stage = Stage(Deferred("blocked by Cloudflare", Cause.LIMITED, Reach.KIND, wait=60.0))
    stage.owe("a")
    async with stage.running():
        await passing(1)
        address = stage.lane.limiter.address
        assert (address.blocked_until - stage.clock.now(), address.blocked_because) == (
            about(59.0),
            "blocked by Cloudflare",
        )
    assert stage.books.scopes["address:memory"].blocked_because == "blocked by Cloudflare"


async def test_what_an_answer_tells_of_the_webhooks_window_is_kept_to(autojump_clock: MockClock) -> None:
    spent = Report((Delivered(),), RateHeaders(limit=5, remaining=0, reset_after=7.0))
    stage = Stage(spent, pace=Pace(Rate(5, 2.0), None, None))
    stage.owe("a", "b")
    async with stage.running():
        await passing(1)
        assert stage.lane.condition() == Condition("limited", "the webhook's limit of 5 in 2.02 s", about(6.0))
        await passing(30)
    assert stage.destination.times == pytest.approx([0, 7])


# --- deferrals -----------------------------------------------------------------------------------------------------------


async def test_a_deferred_delivery_waits_by_itself_while_others_go_on(autojump_clock: MockClock) -> None:
    stage = Stage(DOWN, retry=Retry(first=8.0, most=60.0))
    stage.owe("a", "b", "c")
    async with stage.running():
        await passing(1)
        assert stage.sent() == ["b", "c"]
        await passing(30)
    assert stage.destination.titles == ["a", "b", "c", "a"]
    assert stage.destination.times[-1] == pytest.approx(4.0)  # half of the ceiling: the draw is one half


@pytest.mark.parametrize("jitter", [0.0, 0.999])
async def test_retries_come_within_their_ceilings(autojump_clock: MockClock, jitter: float) -> None:
    stage = Stage(*[DOWN] * 6, jitter=jitter, retry=Retry(first=1.0, most=10.0), breaker=BreakerLimits(failures=99))
    stage.owe("a")
    async with stage.running():
        await passing(100)
    waits = [
        later - sooner for sooner, later in zip(stage.destination.times, stage.destination.times[1:], strict=False)
    ]
    assert waits == pytest.approx([jitter * ceiling for ceiling in (1, 2, 4, 8, 10, 10)])


async def test_retry_after_is_honoured(autojump_clock: MockClock) -> None:
    stage = Stage(Deferred("503", wait=90.0), retry=Retry(first=1.0, most=60.0))
    stage.owe("a")
    async with stage.running():
        await passing(89)
        assert len(stage.destination.tries) == 1
        await passing(2)
    assert stage.destination.times == pytest.approx([0, 90])


async def test_what_nobody_can_say_is_sent_once_more_in_doubt_and_low_is_not(autojump_clock: MockClock) -> None:
    stage = Stage(Unknown("no answer"))
    stage.owe("normal")
    async with stage.running():
        await passing(60)
    assert [each.batch[0].maybe_duplicate for each in stage.destination.tries] == [False, True]
    low = Stage(Unknown("no answer"))
    (number,) = low.owe("low", priority=LOW)
    async with low.running():
        await passing(60)
    assert (low.books.state(number), len(low.destination.tries)) == (State.UNKNOWN, 1)


async def test_a_refused_delivery_is_dead_and_the_next_goes_on(autojump_clock: MockClock) -> None:
    stage = Stage(Refused("400"), fallbacks={"d": ("file",)})
    (bad, good) = stage.owe("bad", "good")
    async with stage.running():
        await passing(1)
    assert (stage.books.state(bad), stage.books.state(good)) == (State.DEAD, State.SENT)
    assert stage.books.titles(State.QUEUED, "file") == ["bad"]
    assert stage.lane.condition().word == "ready"


async def test_what_is_dropped_or_too_late_while_it_waits_is_not_sent(autojump_clock: MockClock) -> None:
    stage = Stage(limit=Rate(1, 10.0))
    (_, dropped, late, _) = [
        *stage.owe("first", "dropped", priority=URGENT),
        *stage.owe("late", priority=URGENT, expires=5),
        *stage.owe("last", priority=URGENT),
    ]
    async with stage.running():
        await passing(1)
        stage.books.drop(dropped)
        await passing(100)
    assert stage.destination.titles == ["first", "last"]
    assert stage.destination.times == pytest.approx([0, 10])
    assert stage.books.state(late) is State.QUEUED  # the keeper's work, not the lane's


# --- the breaker -----------------------------------------------------------------------------------------------------------


def down(*script: Answer, **more: Any) -> Stage:
    """A far end that is down: three failures trip, rests of 10, 20, 35, 35 ... seconds."""
    limits = BreakerLimits(failures=3, rest=10.0, most=35.0)
    return Stage(*script, otherwise=DOWN, breaker=limits, retry=Retry(first=0.0, most=0.0), **more)


async def test_failures_in_a_row_trip_the_breaker_and_the_lane_says_so(autojump_clock: MockClock) -> None:
    stage = down()
    stage.owe(*"abcdef")
    async with stage.running():
        await passing(1)
        assert len(stage.destination.tries) == 3
        assert stage.lane.condition() == Condition("failing", "503", about(9.0))
    assert stage.told(BreakerOpened) == [BreakerOpened("d", "503", 10.0)]
    assert stage.lane.snapshot().trips == 1


async def test_a_success_between_failures_keeps_the_lane_ready(autojump_clock: MockClock) -> None:
    now_and_then: list[Answer] = [DOWN, DOWN, Delivered()]
    stage = down(*now_and_then * 5)
    stage.owe(*"abcde")
    async with stage.running():
        await passing(1)
    assert (len(stage.destination.tries), stage.lane.snapshot().trips, stage.sent()) == (15, 0, list("abcde"))


async def test_a_resting_far_end_is_probed_once_a_rest_and_the_rest_grows_to_its_cap(autojump_clock: MockClock) -> None:
    stage = down()
    for priority in Priority:
        stage.owe(*(f"{number}" for number in range(50)), priority=priority)
    async with stage.running():
        await passing(140)
    assert stage.destination.times == pytest.approx([0, 0, 0, 10, 30, 65, 100, 135])
    assert [fact.rest for fact in stage.told(ProbeFailed) if isinstance(fact, ProbeFailed)] == pytest.approx(
        [20, 35, 35, 35, 35]
    )
    assert stage.lane.snapshot().trips == 1


async def test_while_a_probe_is_out_the_lane_says_so_and_nobody_else_goes(autojump_clock: MockClock) -> None:
    stage = down(seconds=5.0)
    stage.owe(*"abcdef")
    async with stage.running():
        await passing(26)  # three failures of five seconds, a rest of ten
        assert stage.lane.condition().word == "probing"
        assert (stage.destination.in_flight, len(stage.destination.tries)) == (1, 4)


async def test_a_probe_that_passes_ends_the_rest_and_urgent_goes_first(autojump_clock: MockClock) -> None:
    stage = down(DOWN, DOWN, DOWN)
    stage.destination.otherwise = Delivered()
    stage.owe(*"abc")
    async with stage.running():
        await passing(1)
        stage.owe("urgent", priority=URGENT)
        await passing(20)
        assert stage.lane.condition() == Condition("ready")
    assert stage.destination.titles[3] == "urgent"
    assert stage.told(Recovered) == [Recovered("d")]
    assert sorted(stage.sent()) == ["a", "b", "c", "urgent"]


async def test_a_probe_that_meets_a_rate_limit_gives_its_permit_back(autojump_clock: MockClock) -> None:
    stage = down(DOWN, DOWN, DOWN, LIMITED)
    stage.destination.otherwise = Delivered()
    stage.owe("a")
    async with stage.running():
        await passing(100)
    assert stage.destination.times == pytest.approx([0, 0, 0, 10, 30])
    assert (stage.lane.snapshot().trips, stage.told(ProbeFailed)) == (1, [])


async def test_a_probe_for_which_nothing_could_be_claimed_costs_no_permit(autojump_clock: MockClock) -> None:
    stage = down(DOWN, DOWN, DOWN)
    stage.destination.otherwise = Delivered()
    (first, second) = stage.owe("a", "b", priority=URGENT)
    async with stage.running():
        await passing(1)
        stage.books.drop(first)
        await passing(20)
    assert stage.books.state(second) is State.SENT
    assert stage.destination.times[-1] == pytest.approx(10)


async def test_a_refusal_is_an_answer_of_a_healthy_far_end(autojump_clock: MockClock) -> None:
    stage = down(DOWN, DOWN, Refused("400"), DOWN, DOWN, Delivered())
    stage.owe("a", "b")
    async with stage.running():
        await passing(1)
    assert (stage.lane.snapshot().trips, len(stage.destination.tries)) == (0, 6)


# --- disabled ---------------------------------------------------------------------------------------------------------------


async def test_a_destination_that_is_gone_is_disabled_and_its_whole_queue_goes_to_the_fallback(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(Refused("404", disable=True), fallbacks={"d": ("file",)})
    titles = [f"{number}" for number in range(1200)]  # more than two chunks
    stage.owe(*titles)
    async with stage.running():
        await passing(1)
        assert stage.lane.condition() == Condition("disabled", "404")
        stage.owe("late", priority=URGENT)
        await passing(1)
    assert len(stage.destination.tries) == 1
    assert stage.told(Disabled) == [Disabled("d", "404")]
    assert stage.books.titles(State.REROUTED, "d") == [*titles, "late"]
    assert sorted(stage.books.titles(State.QUEUED, "file")) == sorted([*titles, "late"])


async def test_without_a_fallback_the_queue_stays_and_enable_sends_it(autojump_clock: MockClock) -> None:
    stage = Stage(Refused("404", disable=True))
    stage.owe("a", "b")
    async with stage.running():
        await passing(10)
        assert stage.books.titles(State.QUEUED, "d") == ["a", "b"]
        await stage.lane.enable()
        await passing(1)
        assert stage.lane.condition() == Condition("ready")
    assert stage.sent() == ["a", "b"]
    assert stage.told(Enabled) == [Enabled("d")]


async def test_enabling_is_remembered_and_ends_a_rest(autojump_clock: MockClock) -> None:
    stage = down(DOWN, DOWN, DOWN, Refused("404", disable=True))
    stage.destination.otherwise = Delivered()
    stage.owe("a")
    async with stage.running():
        await passing(15)
        assert stage.books.memories["d"].disabled == "404"
        await stage.lane.enable()
        assert stage.books.memories["d"] == LaneState("d", stage.lane.options.fingerprint, trips=1)
        await passing(0)
    assert stage.sent() == ["a"]


async def test_what_the_configuration_switched_off_stays_off_and_is_not_remembered_as_gone(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(disabled="DISCORD_WEBHOOK is not set", fallbacks={"d": ("file",)})
    stage.owe("a")
    async with stage.running():
        await passing(1)
        await stage.lane.enable()
        await passing(1)
    assert stage.lane.condition() == Condition("disabled", "DISCORD_WEBHOOK is not set")
    assert stage.books.memories["d"].disabled is None
    assert (stage.destination.tries, stage.books.titles(State.QUEUED, "file")) == ([], ["a"])


# --- restarts -----------------------------------------------------------------------------------------------------------------


async def restarted(stage: Stage, away: float) -> None:
    """The daemon stops for a while and comes back with a new lane."""
    await trio.sleep(away)
    stage.lane = stage.new_lane()
    await stage.open()


async def test_a_rest_goes_on_after_a_restart(autojump_clock: MockClock) -> None:
    stage = down()
    stage.owe(*"abc")
    async with stage.running():
        await passing(1)
    await restarted(stage, 3)
    assert stage.lane.condition() == Condition("failing", "503", about(6.0))
    assert stage.lane.snapshot().trips == 1
    async with stage.running():
        await passing(10)
    assert stage.destination.times == pytest.approx([0, 0, 0, 10])
    assert stage.lane.condition().seconds == pytest.approx(16.0)  # the second rest, of twenty


async def test_a_block_and_the_requests_of_before_count_after_a_restart(autojump_clock: MockClock) -> None:
    stage = Stage(LIMITED)
    stage.owe("a", "b", "c")
    async with stage.running():
        await passing(1)
    await restarted(stage, 4)
    assert stage.lane.condition() == Condition("limited", "429", about(15.0))
    paced = Stage(limit=Rate(2, 10.0))
    paced.owe(*"abcd", priority=URGENT)
    async with paced.running():
        await passing(1)
    await restarted(paced, 4)
    async with paced.running():
        await passing(20)
    assert paced.destination.times == pytest.approx([0, 0, 10, 10])


async def test_what_was_told_never_to_come_back_stays_away_after_a_restart(autojump_clock: MockClock) -> None:
    stage = Stage(Refused("404", disable=True))
    stage.owe("a")
    async with stage.running():
        await passing(1)
    await restarted(stage, 1)
    assert stage.lane.condition() == Condition("disabled", "404")


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
async def test_a_wall_clock_that_was_set_stretches_neither_rest_nor_pace(
    autojump_clock: MockClock, step: float
) -> None:
    stage = down(limit=Rate(3, 10.0))
    stage.owe(*"abc", priority=URGENT)
    async with stage.running():
        await passing(1)
    stage.clock.step(step)
    await restarted(stage, 1)
    stage.destination.otherwise = Delivered()
    async with stage.running():
        await passing(46)  # the longest rest, and one window of our limit
    assert stage.sent() == ["a", "b", "c"]


async def test_a_step_of_the_wall_clock_while_we_run_changes_no_rate(autojump_clock: MockClock) -> None:
    stage = Stage(limit=Rate(1, 10.0))
    stage.owe(*"abc", priority=URGENT)
    async with stage.running():
        await passing(1)
        stage.clock.set_wall(-86400)
        await passing(10)
        stage.clock.set_wall(2 * 86400)
        await passing(20)
    assert stage.destination.times == pytest.approx([0, 10, 20])


# --- memory ---------------------------------------------------------------------------------------------------------------------


async def test_a_backlog_of_a_hundred_thousand_stays_in_the_journal_but_for_a_window(autojump_clock: MockClock) -> None:
    stage = Stage(most=50, seconds=0.01)
    for number in range(25_000):
        for priority in Priority:
            stage.books.owe("d", f"{number}", priority)
    await stage.close_for(10)
    async with stage.running():
        await passing(5)
        # in the channel, in hand, and one look ahead
        assert 4 * WINDOW <= len(stage.books.fed) <= 4 * (2 * WINDOW)
        await passing(6)
        await stage.close_for(10)
        await trio.testing.wait_all_tasks_blocked()
        sent = len(stage.sent())
        assert 1_000 < sent < 99_000
        in_memory = len(stage.books.fed) - sent
        assert in_memory <= 4 * (2 * WINDOW + 50)


async def test_a_far_end_that_fails_now_and_then_does_not_fill_the_memory(autojump_clock: MockClock) -> None:
    stage = Stage(otherwise=DOWN, retry=Retry(first=1e6, most=1e6), breaker=BreakerLimits(failures=10**9))
    stage.owe(*(f"{number}" for number in range(1000)))
    async with stage.running():
        await passing(100)
        assert len(stage.destination.tries) == WINDOW
        assert len(stage.books.fed) <= 3 * WINDOW


async def test_a_window_of_deferred_deliveries_does_not_stop_what_is_more_pressing(autojump_clock: MockClock) -> None:
    stage = Stage(*[DOWN] * WINDOW, retry=Retry(first=1e6, most=1e6), breaker=BreakerLimits(failures=10**9))
    stage.owe(*(f"{number}" for number in range(100)))
    async with stage.running():
        await passing(1)
        stage.owe("urgent", priority=URGENT)
        await passing(1)
    assert stage.sent() == ["urgent"]


async def test_a_long_backlog_is_sent_in_order_and_nothing_is_left_out(autojump_clock: MockClock) -> None:
    stage = Stage(most=7)
    titles = [f"{number}" for number in range(5 * WINDOW + 3)]
    stage.owe(*titles)
    async with stage.running():
        await passing(1)
    assert stage.destination.titles == titles


async def test_a_rewind_hands_nothing_out_twice(autojump_clock: MockClock) -> None:
    stage = Stage(limit=Rate(1, 1.0))
    titles = [f"{number}" for number in range(3 * WINDOW)]
    stage.owe(*titles, priority=URGENT)
    async with stage.running():
        for _ in range(10):
            stage.lane.rewind()
            await passing(3.3)
        await passing(300)
    assert stage.destination.titles == titles


async def test_a_rewind_does_not_hurry_what_is_deferred(autojump_clock: MockClock) -> None:
    stage = Stage(DOWN, retry=Retry(first=100.0, most=100.0))
    stage.owe("a")
    async with stage.running():
        await passing(1)
        stage.lane.rewind()
        await passing(10)
        assert len(stage.destination.tries) == 1
        await passing(60)
    assert stage.destination.times == pytest.approx([0, 50])


async def test_what_a_person_puts_back_is_sent_although_the_cursor_has_passed_it(autojump_clock: MockClock) -> None:
    stage = Stage(Refused("400"))
    (dead, _) = stage.owe("dead", "alive")
    async with stage.running():
        await passing(1)
        stage.books.requeue(dead)
        await passing(1)
    assert stage.destination.titles == ["dead", "alive", "dead"]
    assert stage.sent() == ["dead", "alive"]


# --- leaving -----------------------------------------------------------------------------------------------------------------------


async def test_what_is_in_flight_finishes_when_the_lane_is_cancelled_and_nothing_new_begins(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(seconds=8.0)
    (first, second) = stage.owe("first", "second")
    async with stage.running():
        await passing(1)
    assert (stage.books.state(first), stage.books.state(second)) == (State.SENT, State.QUEUED)
    assert stage.destination.cut_off == 0
    assert stage.destination.closed


async def test_abandon_cuts_off_what_is_in_flight_and_leaves_its_attempt_open(autojump_clock: MockClock) -> None:
    stage = Stage()
    stage.destination.hold()
    (number, _) = stage.owe("first", "second")
    async with stage.running() as nursery:
        await passing(1)
        nursery.cancel_scope.cancel()
        stage.lane.abandon()
    assert (stage.destination.cut_off, len(stage.destination.tries)) == (1, 1)
    assert stage.books.state(number) is State.SENDING
    assert stage.destination.closed


async def test_a_probe_that_is_cut_off_gives_its_permit_back(autojump_clock: MockClock) -> None:
    stage = down()
    stage.owe("a")
    async with stage.running() as nursery:
        await passing(9)
        stage.destination.hold()
        await passing(2)
        assert stage.lane.condition().word == "probing"
        nursery.cancel_scope.cancel()
        stage.lane.abandon()
    now = stage.clock.now()
    assert stage.lane.condition().word == "failing"
    assert stage.lane.breaker.ready_at(now) == now


async def test_a_probe_that_finishes_while_the_lane_leaves_is_learned_from(autojump_clock: MockClock) -> None:
    stage = down(seconds=1.0)
    stage.owe("a")
    async with stage.running():
        await passing(13.5)
        assert stage.lane.condition().word == "probing"
    memory = stage.books.memories["d"]
    assert memory.rests == 2
    assert memory.rest_until == pytest.approx(stage.clock.wall() + 20)


async def test_a_bug_in_a_destination_is_loud(autojump_clock: MockClock) -> None:
    stage = Stage()

    class Broken(MemoryDestination):
        async def deliver(self, batch: Any) -> Any:
            raise ZeroDivisionError(f"with {len(batch)}")

    stage.destination = Broken()
    stage.lane = stage.new_lane()
    stage.owe("a")
    await stage.open()
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True, allow_unwrapped=True):
        await stage.lane.run()
    assert stage.destination.closed


async def test_requests_that_never_reached_the_far_end_take_nothing_from_its_limits(autojump_clock: MockClock) -> None:
    pace = Pace(Rate(5, 2.0), Rate(30, 60.0), Rate(45, 1.1))
    unsent = Deferred("cannot connect (Connection refused): nothing was sent", unsent=True)
    stage = Stage(
        *[unsent] * 26,
        pace=pace,
        limit=Rate(30, 60.0),
        retry=Retry(most=1.0),
        breaker=BreakerLimits(rest=0.5, most=0.5),
    )
    stage.owe("a")
    async with stage.running():
        await passing(60)
        assert stage.sent() == ["a"]
        used = {window.name: window.count - window.left for window in stage.lane.limiter.windows(stage.clock.now())}
    assert len(stage.destination.tries) == 27
    assert (used["ours"], used["channel"]) == (1, 1)
    assert len(stage.books.asked) == 1


async def test_a_note_about_a_destination_is_told_once(autojump_clock: MockClock) -> None:
    stage = Stage(otherwise=Report((Delivered(),), note="no ids"))
    stage.owe("a", "b")
    async with stage.running():
        await passing(1)
    assert stage.told(DestinationNote) == [DestinationNote("d", "no ids")]
    assert stage.lane.snapshot().note == "no ids"


async def test_an_outage_in_doubt_marks_one_message_and_a_few_and_not_all_that_waited(
    autojump_clock: MockClock,
) -> None:
    down = Deferred("503", ambiguous=True)
    stage = Stage(*[down] * 9, most=10, breaker=BreakerLimits(rest=10.0, most=20.0))
    stage.owe(*(f"signal {n}" for n in range(40)))
    async with stage.running():
        await passing(120)
        assert len(stage.sent()) == 40
    sizes = [len(each.batch) for each in stage.destination.tries]
    assert sizes[:10] == [10, *[1] * 9], "one full message, then single ones until one is answered"
    marked = {each.number for tried in stage.destination.tries[9:] for each in tried.batch if each.maybe_duplicate}
    assert 10 <= len(marked) <= 14


async def test_while_alerts_trickle_into_an_outage_only_the_first_are_risked(autojump_clock: MockClock) -> None:
    down = Deferred("503", ambiguous=True)
    stage = Stage(*[down] * 8, most=10, breaker=BreakerLimits(rest=10.0, most=20.0))
    async with stage.running():
        for n in range(15):
            stage.owe(f"signal {n}")
            await passing(3)
        await passing(120)
        assert len(stage.sent()) == 15
    risked = {title for each in stage.destination.tries[:8] for title in [each.batch[0].signal.title]}
    assert len(risked) <= 4
