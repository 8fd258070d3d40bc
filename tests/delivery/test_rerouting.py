"""Outages of a destination in virtual time: what moves to the fallback, when, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tests.delivery.lane_fixture import DOWN, HIGH, LOW, NORMAL, URGENT, Stage, passing
from trio.testing import MockClock

from tocsind.config import AlarmsOptions
from tocsind.delivery.lane import Lane
from tocsind.delivery.lane_view import Condition
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
    """A fallback's lane, as far as another lane asks about it."""

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


def outage(*script: Answer, otherwise: Answer = DOWN, **options: Any) -> Stage:
    """A lane `d` that fails, with the fallback `f`; asked, it answers nothing of use unless a test says more."""
    stage = Stage(*script, otherwise=otherwise, fallbacks={"d": ("f",)}, **options)
    stage.destination.places.extend([ChannelInfo()])  # at the start
    stage.destination.place = AWAY
    return stage


def moved(stage: Stage) -> list[str]:
    return stage.books.titles(State.QUEUED, "f")


async def test_signal_moves_to_the_fallback_when_its_patience_is_over(autojump_clock: MockClock) -> None:
    stage = outage()
    (urgent,), (high,), (normal,), (low,) = (stage.owe(each.label, priority=each) for each in Priority)
    async with stage.running():
        for seconds, expected in ((29, []), (2, ["urgent"]), (88, ["urgent"]), (2, ["urgent", "high"])):
            await passing(seconds)
            assert moved(stage) == expected
        await passing(600)
        assert moved(stage) == ["urgent", "high", "normal"]
        await passing(3600)
        assert moved(stage) == ["urgent", "high", "normal"]
    states = [stage.books.state(number) for number in (urgent, high, normal, low)]
    assert states == [State.REROUTED, State.REROUTED, State.REROUTED, State.QUEUED]
    assert stage.books.reason(urgent) == "to f: d has been failing since 2026-01-01T00:00:00Z: 503"


async def test_signal_that_arrives_during_the_outage_moves_at_once_and_is_not_tried(autojump_clock: MockClock) -> None:
    stage = outage()
    stage.owe("first", priority=URGENT)
    async with stage.running():
        await passing(300)
        for number in range(20):
            tries = len(stage.destination.tries)
            stage.owe(f"urgent {number}", priority=URGENT)
            await passing(0.1)
            assert moved(stage)[-1] == f"urgent {number}"
            assert len(stage.destination.tries) == tries
            await passing(17)


async def test_short_outage_moves_nothing(autojump_clock: MockClock) -> None:
    stage = outage(DOWN, DOWN, DOWN, otherwise=Delivered(), jitter=0.9)
    stage.owe("a", "b", priority=URGENT)
    async with stage.running():
        await passing(300)
    assert (moved(stage), sorted(stage.sent())) == ([], ["a", "b"])


async def test_flapping_destination_counts_anew_after_each_delivery(autojump_clock: MockClock) -> None:
    script: list[Answer] = [DOWN, DOWN, DOWN, Delivered()]
    stage = outage(*script * 20, otherwise=Delivered(), jitter=0.9)
    async with stage.running():
        for number in range(20):
            stage.owe(str(number), priority=URGENT)
            await passing(20)
    assert (moved(stage), len(stage.sent())) == ([], 20)


async def test_destination_that_fails_every_second_request_keeps_its_signals(autojump_clock: MockClock) -> None:
    script: list[Answer] = [DOWN, Delivered()]
    stage = outage(*script * 60, otherwise=Delivered())
    async with stage.running():
        for number in range(60):
            stage.owe(str(number), priority=Priority(number % 4))
            await passing(5)
        await passing(300)
    assert (moved(stage), len(stage.sent())) == ([], 60)


async def test_low_signal_is_the_probe_and_ends_the_outage(autojump_clock: MockClock) -> None:
    stage = outage(*[DOWN] * 9, otherwise=Delivered())
    stage.owe("urgent", priority=URGENT)
    stage.owe("low", priority=LOW)
    async with stage.running():
        await passing(3600)
        assert (moved(stage), stage.sent()) == (["urgent"], ["low"])
        stage.owe("later", priority=URGENT)
        await passing(1)
        assert stage.sent() == ["low", "later"]
    assert stage.destination.located == stage.destination.located[:1], "no question is asked while a delivery can show"


async def test_question_finds_out_that_the_destination_is_back_when_everything_has_moved(
    autojump_clock: MockClock,
) -> None:
    stage = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(200)
        assert (moved(stage), stage.lane.condition().word) == (["urgent"], "failing")
        asked = len(stage.destination.located)
        assert asked > 1
        stage.destination.place = BACK
        await passing(300)
        assert (stage.lane.condition().word, len(stage.told(Recovered))) == ("ready", 1)
        stage.owe("next", priority=URGENT)
        await passing(1)
    assert (moved(stage), stage.sent()) == (["urgent"], ["next"])


async def test_failure_after_an_answered_question_moves_the_signal_at_once(autojump_clock: MockClock) -> None:
    stage = outage()
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(40)
        stage.destination.place = BACK
        await passing(300)
        stage.owe("next", priority=URGENT)
        await passing(1)
        assert stage.destination.titles[-1] == "next", "it is tried once"
        assert moved(stage) == ["urgent", "next"]


async def test_destination_without_a_question_is_probed_by_what_arrives_next(autojump_clock: MockClock) -> None:
    stage = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    stage.destination.place = ChannelInfo()
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(31)
        assert moved(stage) == ["urgent"]
        await passing(60)
        stage.owe("next", priority=URGENT)
        await passing(1)
        stage.owe("after", priority=URGENT)
        await passing(120)
        stage.owe("last", priority=URGENT)
        await passing(1)
    assert set(moved(stage)) | set(stage.sent()) == {"urgent", "next", "after", "last"}
    assert stage.sent()[-1:] == ["last"]


async def test_block_by_the_server_counts_from_its_start_and_ends_by_itself(autojump_clock: MockClock) -> None:
    stage = outage(CLOUDFLARE, otherwise=Delivered())
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(29)
        assert moved(stage) == []
        await passing(2)
        assert moved(stage) == ["urgent"]
        assert "d has been shut out since 2026-01-01T00:00:00Z: blocked by Cloudflare" in (stage.books.reason(1) or "")
        stage.owe("meanwhile", priority=URGENT)
        await passing(1)
        assert moved(stage) == ["urgent", "meanwhile"]
        await passing(3600)
        stage.owe("next", priority=URGENT)
        await passing(1)
    assert (moved(stage), stage.sent()) == (["urgent", "meanwhile"], ["next"])


async def test_lane_is_failing_while_its_signals_take_the_fallback_before_the_breaker_opens(
    autojump_clock: MockClock,
) -> None:
    stage = outage(breaker=BreakerLimits(failures=100))
    stage.owe("urgent", priority=URGENT)
    stage.owe("low", priority=LOW)
    async with stage.running():
        await passing(29)
        assert stage.lane.condition() == Condition("ready")
        await passing(2)
        assert (moved(stage), stage.lane.condition()) == (["urgent"], Condition("failing", "503"))


async def test_status_names_a_block_to_its_end_while_signals_take_the_fallback(autojump_clock: MockClock) -> None:
    stage = outage(CLOUDFLARE, otherwise=Delivered())
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(3590)
        assert _problems(stage.lane) == ["d is limited: blocked by Cloudflare"]
        await passing(20)
        assert _problems(stage.lane) == []


def _problems(lane: Lane) -> list[str]:
    return evaluate(Readings(lanes=(lane.snapshot(),)), AlarmsOptions()).problems


async def test_patience_that_ends_while_the_journal_is_asked_is_not_missed(autojump_clock: MockClock) -> None:
    stage = outage(CLOUDFLARE, otherwise=Delivered())
    give_way = stage.books.reroute

    async def slow(*arguments: Any, **options: Any) -> list[int]:
        await trio.sleep(2)
        return await give_way(*arguments, **options)

    stage.books.reroute = slow  # type: ignore[method-assign]
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(29)
        stage.books.notify_lanes()
        await passing(6)
        assert moved(stage) == ["urgent"]


async def test_short_blocks_in_a_row_without_a_delivery_are_one_outage(autojump_clock: MockClock) -> None:
    stage = outage(otherwise=Deferred("429", Cause.LIMITED, Reach.ENDPOINT, wait=4.0))
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(29)
        assert moved(stage) == []
        await passing(6)
        assert moved(stage) == ["urgent"]


async def test_wait_for_a_limit_of_our_own_is_no_outage(autojump_clock: MockClock) -> None:
    stage = outage(otherwise=Delivered(), limit=Rate(1, 600.0))
    stage.owe(*"abc", priority=URGENT)
    async with stage.running():
        await passing(1500)
    assert (moved(stage), stage.sent()) == ([], ["a", "b", "c"])


async def test_request_in_flight_is_finished_first_and_its_doubt_goes_along(autojump_clock: MockClock) -> None:
    stage = outage(DOWN, TIMEOUT, jitter=0.0)
    stage.destination.seconds = 29.0
    (number,) = stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(57)
        assert stage.books.state(number) is State.SENDING
        await passing(31)
        assert stage.books.state(number) is State.REROUTED
    (copy,) = await stage.books.feed("f", URGENT, 0, 10)
    assert copy.maybe_duplicate


async def test_unambiguous_failure_leaves_no_doubt_at_the_fallback(autojump_clock: MockClock) -> None:
    stage = outage()
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(31)
    (copy,) = await stage.books.feed("f", URGENT, 0, 10)
    assert not copy.maybe_duplicate


async def test_refusal_of_one_signal_is_an_answer_and_ends_the_outage(autojump_clock: MockClock) -> None:
    stage = outage(DOWN, Refused("400"), otherwise=Delivered())
    stage.owe("bad", priority=URGENT)
    async with stage.running():
        await passing(60)
    assert stage.lane.rerouting.outage.since is None


async def test_without_a_fallback_that_works_everything_stays_until_one_does(autojump_clock: MockClock) -> None:
    stage = outage()
    spare = stage.books.lanes["f"] = Spare(Fitness.FAILS)
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(100)
        assert moved(stage) == []
        spare.is_fit = Fitness.WORKING
        stage.books.notify_lanes()
        await passing(1)
        assert moved(stage) == ["urgent"]


async def test_what_every_fallback_has_had_is_still_tried_by_its_own_destination(autojump_clock: MockClock) -> None:
    stage = outage(*[DOWN] * 12, otherwise=Delivered())
    (number,) = stage.owe("both", priority=URGENT)
    stage.books._owed.add((stage.books._entries[number].delivery.id, "f"))
    async with stage.running():
        await passing(3600)
    assert stage.sent() == ["both"]


async def test_what_came_because_patience_was_over_moves_on_at_the_first_failure(autojump_clock: MockClock) -> None:
    stage = outage()
    own, came = stage.owe("own", "came", priority=URGENT)
    stage.books._entries[came].hurried = True
    async with stage.running():
        await passing(1)
        assert moved(stage) == ["came"]
        await passing(30)
    assert (moved(stage), stage.books.state(own)) == (["came", "own"], State.REROUTED)


async def test_patience_goes_on_after_a_restart(autojump_clock: MockClock) -> None:
    stage = outage()
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(20)
    stage.new_lane()
    async with stage.running():
        await passing(9)
        assert moved(stage) == []
        await passing(2)
        assert moved(stage) == ["urgent"]


async def test_patience_that_is_switched_off_moves_nothing(autojump_clock: MockClock) -> None:
    stage = outage(patience=Patience(urgent=None))
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(3600)
    assert moved(stage) == []


async def test_backlog_moves_in_chunks_and_nothing_is_left_or_doubled(autojump_clock: MockClock) -> None:
    stage = outage(otherwise=DOWN, breaker=BreakerLimits(failures=2))
    stage.books._chunk = 7
    for number in range(200):
        stage.owe(str(number), priority=(URGENT, HIGH, NORMAL)[number % 3])
    async with stage.running():
        await passing(700)
    assert sorted(moved(stage), key=int) == [str(number) for number in range(200)]
    assert stage.books.titles(State.QUEUED, "d") == []
    assert stage.lane.is_idle()


@pytest.mark.parametrize("priority", [HIGH, NORMAL])
async def test_recovery_in_time_delivers_the_rest_by_their_own_destination(
    autojump_clock: MockClock, priority: Priority
) -> None:
    stage = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    stage.owe("urgent", priority=URGENT)
    stage.owe("patient", priority=priority)
    async with stage.running():
        await passing(1200)
    assert (moved(stage), stage.sent()) == (["urgent"], ["patient"])


async def test_question_is_asked_after_a_restart_too_when_nothing_waits(autojump_clock: MockClock) -> None:
    stage = outage(*[DOWN] * 6, otherwise=Delivered(), jitter=0.9)
    stage.owe("urgent", priority=URGENT)
    async with stage.running():
        await passing(40)
        assert moved(stage) == ["urgent"]
    stage.destination.places.append(AWAY)
    stage.destination.place = BACK
    stage.new_lane()
    async with stage.running():
        await passing(300)
    assert stage.told(Recovered) == [Recovered("d")]
