"""Outages of a destination in virtual time: what moves to the fallback, when, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tests.delivery.lane_fixture import DOWN, HIGH, LOW, NORMAL, URGENT, LaneFixture, elapse
from trio.testing import MockClock

from tocsind.config import AlarmsOptions
from tocsind.delivery.condition import Condition
from tocsind.delivery.lane import Lane
from tocsind.events import Recovered
from tocsind.observe.health import Readings, evaluate
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority, State
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Reach, Refused, Unknown
from tocsind.policy.patience import Fitness, Patience
from tocsind.testing.memory import Answer

BACK = ChannelInfo(answered=True)
AWAY = ChannelInfo(problem=DOWN)
TIMEOUT = Unknown("no answer")
CLOUDFLARE = Deferred("blocked by Cloudflare", Cause.LIMITED, Reach.KIND, wait=3600.0)


class Spare:
    """The lane of a fallback, with the methods that the store calls."""

    def __init__(self, fitness: Fitness = Fitness.WORKING) -> None:
        self.is_fit = fitness

    def wake(self, priority: Priority) -> None:
        pass

    def rewind(self) -> None:
        pass

    def recheck_fallbacks(self) -> None:
        pass

    def fitness(self) -> Fitness:
        return self.is_fit


def outage(*script: Answer, otherwise: Answer = DOWN, **options: Any) -> LaneFixture:
    """A lane `d` that fails, with the fallback `f`. A query fails as well, unless a test says otherwise."""
    fixture = LaneFixture(*script, otherwise=otherwise, fallbacks={"d": ("f",)}, **options)
    fixture.destination.places.extend([ChannelInfo()])  # for the query at the start
    fixture.destination.place = AWAY
    return fixture


def moved(fixture: LaneFixture) -> list[str]:
    return fixture.store.titles(State.QUEUED, "f")


async def test_signal_moves_to_the_fallback_when_its_patience_is_over(autojump_clock: MockClock) -> None:
    fixture = outage()
    (urgent,), (high,), (normal,), (low,) = (fixture.owe(each.label, priority=each) for each in Priority)
    async with fixture.running():
        for seconds, expected in ((29, []), (2, ["urgent"]), (88, ["urgent"]), (2, ["urgent", "high"])):
            await elapse(seconds)
            assert moved(fixture) == expected
        await elapse(600)
        assert moved(fixture) == ["urgent", "high", "normal"]
        await elapse(3600)
        assert moved(fixture) == ["urgent", "high", "normal"]
    states = [fixture.store.state(number) for number in (urgent, high, normal, low)]
    assert states == [State.REROUTED, State.REROUTED, State.REROUTED, State.QUEUED]
    assert fixture.store.reason(urgent) == "to f: d has been failing since 2026-01-01T00:00:00Z: 503"


async def test_patience_includes_the_deadlines_of_a_destination_that_hangs(autojump_clock: MockClock) -> None:
    fixture = outage(otherwise=TIMEOUT, seconds=10.0)
    fixture.destination.query_seconds = 10.0
    fixture.destination.places.clear()
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(29)
        assert moved(fixture) == []
        await elapse(2)
        assert moved(fixture) == ["urgent"]


async def test_signal_that_arrives_during_the_outage_moves_at_once_and_is_not_tried(autojump_clock: MockClock) -> None:
    fixture = outage()
    fixture.owe("first", priority=URGENT)
    async with fixture.running():
        await elapse(300)
        for number in range(20):
            tries = len(fixture.destination.tries)
            fixture.owe(f"urgent {number}", priority=URGENT)
            await elapse(0.1)
            assert moved(fixture)[-1] == f"urgent {number}"
            assert len(fixture.destination.tries) == tries
            await elapse(17)


async def test_short_outage_moves_nothing(autojump_clock: MockClock) -> None:
    fixture = outage(DOWN, DOWN, DOWN, otherwise=Delivered(), jitter=0.9)
    fixture.owe("a", "b", priority=URGENT)
    async with fixture.running():
        await elapse(300)
    assert (moved(fixture), sorted(fixture.sent())) == ([], ["a", "b"])


async def test_patience_starts_again_after_each_delivery_of_flapping_destination(autojump_clock: MockClock) -> None:
    script: list[Answer] = [DOWN, DOWN, DOWN, Delivered()]
    fixture = outage(*script * 20, otherwise=Delivered(), jitter=0.9)
    async with fixture.running():
        for number in range(20):
            fixture.owe(str(number), priority=URGENT)
            await elapse(20)
    assert (moved(fixture), len(fixture.sent())) == ([], 20)


async def test_destination_that_fails_every_second_request_keeps_its_signals(autojump_clock: MockClock) -> None:
    script: list[Answer] = [DOWN, Delivered()]
    fixture = outage(*script * 60, otherwise=Delivered())
    async with fixture.running():
        for number in range(60):
            fixture.owe(str(number), priority=Priority(number % 4))
            await elapse(5)
        await elapse(300)
    assert (moved(fixture), len(fixture.sent())) == ([], 60)


async def test_low_signal_is_the_probe_and_ends_the_outage(autojump_clock: MockClock) -> None:
    fixture = outage(*[DOWN] * 9, otherwise=Delivered())
    fixture.owe("urgent", priority=URGENT)
    fixture.owe("low", priority=LOW)
    async with fixture.running():
        await elapse(3600)
        assert (moved(fixture), fixture.sent()) == (["urgent"], ["low"])
        fixture.owe("later", priority=URGENT)
        await elapse(1)
        assert fixture.sent() == ["low", "later"]
    assert fixture.destination.located == fixture.destination.located[:1], (
        "no question is asked while a delivery can show"
    )


async def test_query_finds_recovery_after_all_deliveries_have_moved(
    autojump_clock: MockClock,
) -> None:
    fixture = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(200)
        assert (moved(fixture), fixture.lane.condition().word) == (["urgent"], "failing")
        asked = len(fixture.destination.located)
        assert asked > 1
        fixture.destination.place = BACK
        await elapse(300)
        assert (fixture.lane.condition().word, len(fixture.emitted(Recovered))) == ("ready", 1)
        fixture.owe("next", priority=URGENT)
        await elapse(1)
    assert (moved(fixture), fixture.sent()) == (["urgent"], ["next"])


async def test_failure_after_answered_query_moves_signal_at_once(autojump_clock: MockClock) -> None:
    fixture = outage()
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(40)
        fixture.destination.place = BACK
        await elapse(300)
        fixture.owe("next", priority=URGENT)
        await elapse(1)
        assert fixture.destination.titles[-1] == "next", "it is tried once"
        assert moved(fixture) == ["urgent", "next"]


async def test_destination_without_query_is_probed_by_next_arrival(autojump_clock: MockClock) -> None:
    fixture = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    fixture.destination.place = ChannelInfo()
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(31)
        assert moved(fixture) == ["urgent"]
        await elapse(60)
        fixture.owe("next", priority=URGENT)
        await elapse(1)
        fixture.owe("after", priority=URGENT)
        await elapse(120)
        fixture.owe("last", priority=URGENT)
        await elapse(1)
    assert set(moved(fixture)) | set(fixture.sent()) == {"urgent", "next", "after", "last"}
    assert fixture.sent()[-1:] == ["last"]


async def test_block_by_server_counts_from_its_start_and_ends_by_itself(autojump_clock: MockClock) -> None:
    fixture = outage(CLOUDFLARE, otherwise=Delivered())
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(29)
        assert moved(fixture) == []
        await elapse(2)
        assert moved(fixture) == ["urgent"]
        assert "d has been shut out since 2026-01-01T00:00:00Z: blocked by Cloudflare" in (
            fixture.store.reason(1) or ""
        )
        fixture.owe("later", priority=URGENT)
        await elapse(1)
        assert moved(fixture) == ["urgent", "later"]
        await elapse(3600)
        fixture.owe("next", priority=URGENT)
        await elapse(1)
    assert (moved(fixture), fixture.sent()) == (["urgent", "later"], ["next"])


async def test_lane_is_failing_while_its_signals_take_the_fallback_before_the_breaker_opens(
    autojump_clock: MockClock,
) -> None:
    fixture = outage(breaker=BreakerLimits(failures=100))
    fixture.owe("urgent", priority=URGENT)
    fixture.owe("low", priority=LOW)
    async with fixture.running():
        await elapse(29)
        assert fixture.lane.condition() == Condition("ready")
        await elapse(2)
        assert (moved(fixture), fixture.lane.condition()) == (["urgent"], Condition("failing", "503"))


async def test_status_reports_block_until_its_end_while_signals_take_fallback(autojump_clock: MockClock) -> None:
    fixture = outage(CLOUDFLARE, otherwise=Delivered())
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(3590)
        assert _problems(fixture.lane) == ["d is limited: blocked by Cloudflare"]
        await elapse(20)
        assert _problems(fixture.lane) == []


def _problems(lane: Lane) -> list[str]:
    return evaluate(Readings(lanes=(lane.snapshot(),)), AlarmsOptions()).problems


async def test_patience_that_ends_during_journal_read_is_not_missed(autojump_clock: MockClock) -> None:
    fixture = outage(CLOUDFLARE, otherwise=Delivered())
    give_way = fixture.store.reroute

    async def slow(*arguments: Any, **options: Any) -> list[int]:
        await trio.sleep(2)
        return await give_way(*arguments, **options)

    fixture.store.reroute = slow  # type: ignore[method-assign]
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(29)
        fixture.store.notify_lanes()
        await elapse(6)
        assert moved(fixture) == ["urgent"]


async def test_short_blocks_in_a_row_without_a_delivery_are_one_outage(autojump_clock: MockClock) -> None:
    fixture = outage(otherwise=Deferred("429", Cause.LIMITED, Reach.ENDPOINT, wait=4.0))
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(29)
        assert moved(fixture) == []
        await elapse(6)
        assert moved(fixture) == ["urgent"]


async def test_wait_for_configured_limit_is_no_outage(autojump_clock: MockClock) -> None:
    fixture = outage(otherwise=Delivered(), limit=Rate(1, 600.0))
    fixture.owe(*"abc", priority=URGENT)
    async with fixture.running():
        await elapse(1500)
    assert (moved(fixture), fixture.sent()) == ([], ["a", "b", "c"])


async def test_request_in_flight_finishes_before_move_and_keeps_duplicate_mark(autojump_clock: MockClock) -> None:
    fixture = outage(DOWN, TIMEOUT, jitter=0.0)
    fixture.destination.seconds = 29.0
    (number,) = fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(57)
        assert fixture.store.state(number) is State.SENDING
        await elapse(31)
        assert fixture.store.state(number) is State.REROUTED
    (copy,) = await fixture.store.feed("f", URGENT, 0, 10)
    assert copy.maybe_duplicate


async def test_unambiguous_failure_leaves_no_duplicate_mark_at_fallback(autojump_clock: MockClock) -> None:
    fixture = outage()
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(31)
    (copy,) = await fixture.store.feed("f", URGENT, 0, 10)
    assert not copy.maybe_duplicate


async def test_refusal_of_one_signal_is_an_answer_and_ends_the_outage(autojump_clock: MockClock) -> None:
    fixture = outage(DOWN, Refused("400"), otherwise=Delivered())
    fixture.owe("bad", priority=URGENT)
    async with fixture.running():
        await elapse(60)
    assert fixture.lane.rerouting.outage.since is None


async def test_deliveries_stay_until_a_fallback_works(autojump_clock: MockClock) -> None:
    fixture = outage()
    spare = fixture.store.lanes["f"] = Spare(Fitness.FAILS)
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(100)
        assert moved(fixture) == []
        spare.is_fit = Fitness.WORKING
        fixture.store.notify_lanes()
        await elapse(1)
        assert moved(fixture) == ["urgent"]


async def test_delivery_that_all_fallbacks_know_is_tried_by_its_own_destination(autojump_clock: MockClock) -> None:
    fixture = outage(*[DOWN] * 12, otherwise=Delivered())
    (number,) = fixture.owe("both", priority=URGENT)
    fixture.store._owed.add((fixture.store._entries[number].delivery.id, "f"))
    async with fixture.running():
        await elapse(3600)
    assert fixture.sent() == ["both"]


async def test_rerouted_delivery_moves_on_at_first_failure(autojump_clock: MockClock) -> None:
    fixture = outage()
    own, came = fixture.owe("own", "came", priority=URGENT)
    fixture.store._entries[came].hurried = True
    async with fixture.running():
        await elapse(1)
        assert moved(fixture) == ["came"]
        await elapse(30)
    assert (moved(fixture), fixture.store.state(own)) == (["came", "own"], State.REROUTED)


async def test_patience_continues_after_restart(autojump_clock: MockClock) -> None:
    fixture = outage()
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(20)
    fixture.new_lane()
    async with fixture.running():
        await elapse(9)
        assert moved(fixture) == []
        await elapse(2)
        assert moved(fixture) == ["urgent"]


async def test_disabled_patience_moves_nothing(autojump_clock: MockClock) -> None:
    fixture = outage(patience=Patience(urgent=None))
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(3600)
    assert moved(fixture) == []


async def test_backlog_moves_in_chunks_without_loss_or_duplicate(autojump_clock: MockClock) -> None:
    fixture = outage(otherwise=DOWN, breaker=BreakerLimits(failures=2))
    fixture.store._chunk = 7
    for number in range(200):
        fixture.owe(str(number), priority=(URGENT, HIGH, NORMAL)[number % 3])
    async with fixture.running():
        await elapse(700)
    assert sorted(moved(fixture), key=int) == [str(number) for number in range(200)]
    assert fixture.store.titles(State.QUEUED, "d") == []
    assert fixture.lane.is_idle()


@pytest.mark.parametrize("priority", [HIGH, NORMAL])
async def test_recovery_delivers_remaining_signals_by_their_own_destination(
    autojump_clock: MockClock, priority: Priority
) -> None:
    fixture = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    fixture.owe("urgent", priority=URGENT)
    fixture.owe("patient", priority=priority)
    async with fixture.running():
        await elapse(1200)
    assert (moved(fixture), fixture.sent()) == (["urgent"], ["patient"])


async def test_query_is_sent_after_restart_when_nothing_waits(autojump_clock: MockClock) -> None:
    fixture = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    fixture.owe("urgent", priority=URGENT)
    async with fixture.running():
        await elapse(40)
        assert moved(fixture) == ["urgent"]
    fixture.destination.places.append(AWAY)
    fixture.destination.place = BACK
    fixture.new_lane()
    async with fixture.running():
        await elapse(300)
    assert fixture.emitted(Recovered) == [Recovered("d")]
