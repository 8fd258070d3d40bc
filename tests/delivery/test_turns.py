"""Lanes that share a channel, in virtual time: who goes next, what goes together, and what one teaches the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tocsind.config import DestinationOptions, FileOptions
from tocsind.delivery.discovery import DISCOVER_INTERVAL
from tocsind.delivery.lane import Lane
from tocsind.delivery.lane_view import Condition
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.destinations.registry import Pace
from tocsind.events import Disabled, Event, RateLimited
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery, Priority, State
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach, Refused, Report
from tocsind.policy.rate_limits import GUARD
from tocsind.policy.refusals import STRIKES
from tocsind.policy.window import WINDOW
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import MemoryDestination
from tocsind.testing.store import MemoryStore

URGENT, HIGH, NORMAL, LOW = Priority
UNLIMITED = Pace(None, None, None)
DOWN = Deferred("503")
SHARED = Deferred("429 (shared)", Cause.LIMITED, Reach.CHANNEL, wait=20.0)


class Street:
    """Lanes named by their destinations, all of one kind and address."""

    def __init__(
        self, pace: Pace = UNLIMITED, fallbacks: dict[str, tuple[str, ...]] | None = None, **ends: MemoryDestination
    ):
        self.clock = SteppedClock()
        self.books = MemoryStore(self.clock, fallbacks)
        self.facts: list[Event] = []
        self.ends = ends
        self.options: dict[str, dict[str, Any]] = {name: {} for name in ends}
        self.pace = pace

    @asynccontextmanager
    async def open(self) -> AsyncIterator[dict[str, Lane]]:
        gates = LimiterRegistry(self.books, self.clock, lambda _: self.pace)
        lanes = {name: self._lane(name, end, gates) for name, end in self.ends.items()}
        self.books.lanes.update(lanes)
        async with trio.open_nursery() as nursery:
            for lane in lanes.values():
                await lane.restore()
                nursery.start_soon(lane.run)
            yield lanes
            nursery.cancel_scope.cancel()

    def _lane(self, name: str, end: MemoryDestination, gates: LimiterRegistry) -> Lane:
        options = DestinationOptions(name, "memory", FileOptions(name), **self.options[name])
        return Lane(options, end, self.books, gates, self.clock, self.facts.append)

    def owe(self, destination: str, *titles: str, priority: Priority = NORMAL) -> list[int]:
        return [self.books.owe(destination, title, priority) for title in titles]

    @property
    def tries(self) -> list[tuple[str, list[str]]]:
        """Every request of all, in order: to whom, with what."""
        made = [(each.at, name, each) for name, end in self.ends.items() for each in end.tries]
        return [(name, titles(each.batch)) for _, name, each in sorted(made, key=lambda one: one[0])]


def titles(batch: tuple[Delivery, ...]) -> list[str]:
    return [delivery.signal.title for delivery in batch]


def end(
    *script: Outcome | tuple[Outcome, ...], channel: str | None = "c", seconds: float = 0.1, most: int = 10, **more: Any
) -> MemoryDestination:
    return MemoryDestination(script, channel=channel, seconds=seconds, most=most, **more)


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


async def passing(seconds: float) -> None:
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()


# --- one channel ------------------------------------------------------------------------------------------------------


async def test_lanes_of_one_channel_have_one_request_in_flight_and_take_turns(autojump_clock: MockClock) -> None:
    street = Street(a=end(most=1), b=end(most=1), elsewhere=end(channel="other", most=1))
    for name in street.ends:
        street.owe(name, *numbered(name, 5))
    async with street.open():
        await passing(0.85)
    shared = [name for name, _ in street.tries if name != "elsewhere"]
    assert shared == ["a", "b"] * 4 + ["a"]  # nine in 0.85 s of 0.1 s each: never two at a time
    assert len(street.ends["elsewhere"].tries) == 5


async def test_they_share_the_channels_limit(autojump_clock: MockClock) -> None:
    street = Street(Pace(None, Rate(4, 60.0), None), a=end(most=1), b=end(most=1))
    for name in street.ends:
        street.owe(name, *numbered(name, 10), priority=URGENT)
    async with street.open():
        await passing(59)
        assert len(street.tries) == 4
        await passing(60)
    assert len(street.tries) == 8


async def test_the_most_pressing_of_all_lanes_goes_first(autojump_clock: MockClock) -> None:
    street = Street(a=end(), b=end())
    street.owe("a", "busy")
    async with street.open():
        await passing(0.05)
        street.owe("a", "low", priority=LOW)
        street.owe("b", "urgent", priority=URGENT)
        await passing(1)
    assert street.tries == [("a", ["busy"]), ("b", ["urgent"]), ("a", ["low"])]


async def test_an_urgent_one_whose_own_limit_is_spent_holds_nobody_up(autojump_clock: MockClock) -> None:
    street = Street(a=end(), b=end())
    street.options["a"] = {"limit": Rate(1, 600.0)}
    street.owe("a", "first", priority=URGENT)
    async with street.open():
        await passing(1)
        street.owe("a", "urgent", priority=URGENT)
        street.owe("b", "low", priority=LOW)
        await passing(10)
    assert street.tries == [("a", ["first"]), ("b", ["low"])]


async def test_a_shared_429_closes_the_channel_for_all_its_lanes_and_for_no_other(autojump_clock: MockClock) -> None:
    street = Street(a=end(SHARED), b=end(), elsewhere=end(channel="other"))
    street.owe("a", "limited")
    async with street.open() as lanes:
        await passing(1)
        street.owe("b", "waits")
        street.owe("elsewhere", "goes")
        await passing(10)
        assert [lane.condition().word for lane in lanes.values()] == ["limited", "limited", "ready"]
        await passing(20)
    assert street.tries == [("a", ["limited"]), ("elsewhere", ["goes"]), ("a", ["limited"]), ("b", ["waits"])]
    assert street.facts == [RateLimited("a", "429 (shared)", 20.0)]


async def test_what_went_into_a_channel_before_a_restart_counts_for_every_lane_of_it(autojump_clock: MockClock) -> None:
    street = Street(Pace(None, Rate(4, 60.0), None), a=end(most=1), b=end(most=1))
    street.owe("a", *numbered("a", 4), priority=URGENT)
    async with street.open():
        await passing(10)
    street.owe("b", "b0", priority=URGENT)
    async with street.open():
        await passing(49)
        assert len(street.tries) == 4
        await passing(10)
    assert len(street.tries) == 5


async def test_a_request_without_an_answer_counts_from_the_restart(autojump_clock: MockClock) -> None:
    street = Street(Pace(None, Rate(1, 60.0), None), a=end(most=1))
    street.ends["a"].hold()
    street.owe("a", "cut off", priority=URGENT)
    async with street.open() as lanes:
        await passing(30)
        lanes["a"].abandon()
        lanes["a"].rediscover()
        street.books.lanes.clear()
    street.ends["a"].release()
    street.owe("a", "next", priority=URGENT)
    async with street.open():
        await passing(59)
        assert len(street.tries) == 1
        await passing(10)
    assert len(street.tries) == 2


# --- finding it ---------------------------------------------------------------------------------------------------------


async def test_a_destination_that_leads_nowhere_is_disabled_before_its_first_alert(autojump_clock: MockClock) -> None:
    gone = end(places=[ChannelInfo(problem=Refused("404: Unknown Webhook", disable=True))])
    street = Street(fallbacks={"a": ("b",)}, a=gone, b=end())
    street.owe("a", "alert")
    async with street.open() as lanes:
        await passing(1)
        assert lanes["a"].condition().word == "disabled"
    assert street.tries == [("b", ["alert"])]
    assert street.facts == [Disabled("a", "404: Unknown Webhook")]


async def test_while_the_channel_is_not_known_the_lane_is_one_of_its_own_and_asks_again_once_something_got_through(
    autojump_clock: MockClock,
) -> None:
    away = end(places=[ChannelInfo(problem=DOWN), ChannelInfo(problem=DOWN)], most=1)
    street = Street(Pace(None, Rate(4, 600.0), None), a=away)
    street.owe("a", "one", priority=URGENT)
    async with street.open() as lanes:
        await passing(DISCOVER_INTERVAL + 1)
        assert len(away.located) == 1
        street.owe("a", "two", priority=URGENT)
        await passing(1)
        assert len(away.located) == 2
        assert lanes["a"].turns.name != "channel:memory:c"
        await passing(DISCOVER_INTERVAL)
        street.owe("a", "three", priority=URGENT)
        await passing(1)
        assert lanes["a"].turns.name == "channel:memory:c"
        assert [window.left for window in lanes["a"].limiter.windows(street.clock.now())] == [
            1
        ]  # three went before it was known
    assert street.books.memories["a"].channel == "c"


async def test_a_channel_that_cannot_be_asked_for_is_the_one_it_was(autojump_clock: MockClock) -> None:
    street = Street(a=end())
    async with street.open():
        await passing(1)
    street.ends["a"].channel = None
    street.ends["a"].places.append(ChannelInfo(problem=DOWN))
    async with street.open() as lanes:
        await passing(1)
        assert lanes["a"].turns.name == "channel:memory:c"


async def test_nobody_is_asked_while_the_address_is_blocked(autojump_clock: MockClock) -> None:
    banned = Deferred("429 from Cloudflare", Cause.LIMITED, Reach.KIND, wait=100.0)
    street = Street(a=end(banned), b=end())
    street.owe("a", "banned")
    async with street.open() as lanes:
        await passing(1)
        lanes["b"].rediscover()
        await passing(1)
        assert len(street.ends["b"].located) == 1
        assert lanes["b"].condition().word == "limited"


async def test_a_ban_met_while_asking_closes_the_address(autojump_clock: MockClock) -> None:
    banned = ChannelInfo(problem=Deferred("429 from Cloudflare", Cause.LIMITED, Reach.KIND))
    street = Street(a=end(places=[banned]), b=end(channel="other"))
    street.owe("b", "waits")
    async with street.open():
        await passing(59)
        assert street.tries == []
        await passing(2)
    assert street.tries == [("b", ["waits"])]


async def test_three_refusals_in_a_row_that_say_so_disable_the_destination_and_two_do_not(
    autojump_clock: MockClock,
) -> None:
    strike = Refused("403: Missing Permissions", strike=True)
    street = Street(a=end(strike, strike, Delivered(), *[strike] * STRIKES, most=1))
    street.owe("a", *numbered("a", 7))
    async with street.open() as lanes:
        await passing(0.55)
        assert lanes["a"].condition().word == "ready"
        await passing(5)
        assert lanes["a"].condition() == Condition("disabled", "403: Missing Permissions")
        await lanes["a"].enable()
        await passing(1)
    assert [name for name, _ in street.tries] == ["a"] * 7


async def test_the_same_refusal_of_three_different_alerts_disables_whatever_its_code(autojump_clock: MockClock) -> None:
    street = Street(fallbacks={"a": ("b",)}, a=end(otherwise=Refused("403: Missing Access"), most=1), b=end(most=1))
    street.owe("a", *numbered("a", 5))
    async with street.open() as lanes:
        await passing(5)
        assert lanes["a"].condition().word == "disabled"
    assert [name for name, _ in street.tries].count("a") == 3
    assert sorted(title for name, (title,) in street.tries if name == "b") == numbered("a", 5)


# --- one message --------------------------------------------------------------------------------------------------------


async def test_a_message_takes_the_most_pressing_first_and_fills_up_with_the_others(autojump_clock: MockClock) -> None:
    street = Street(a=end(most=4))
    async with street.open() as lanes:
        lanes["a"].limiter.endpoint.block(street.clock.now() + 5, "closed")
        for priority in (LOW, NORMAL, URGENT):
            street.owe("a", *numbered(priority.label, 3), priority=priority)
        await passing(10)
    assert street.tries == [
        ("a", ["urgent0", "urgent1", "urgent2", "normal0"]),
        ("a", ["normal1", "normal2", "low0", "low1"]),
        ("a", ["low2"]),
    ]


class UnevenBooks(MemoryStore):
    """What is more pressing is found later: a journal promises no order between two that ask."""

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        await trio.sleep(0.1 * (LOW - priority))
        return await super().feed(destination, priority, after, most)


async def test_what_comes_at_once_goes_by_priority_whichever_is_seen_first(autojump_clock: MockClock) -> None:
    street = Street(a=end(most=1))
    street.books = UnevenBooks(street.clock)
    async with street.open():
        await passing(10)
        for priority in (LOW, NORMAL, HIGH, URGENT):
            street.owe("a", priority.label, priority=priority)
        await passing(10)
    assert [name for _, (name,) in street.tries] == ["urgent", "high", "normal", "low"]


async def test_a_full_window_of_deferred_ones_holds_up_nobody_less_pressing(autojump_clock: MockClock) -> None:
    failing = end(*[DOWN] * WINDOW, most=1, seconds=0.0)
    street = Street(a=failing)
    street.options["a"] = {
        "breaker": BreakerLimits(failures=10**9),
        "retry": Retry(first=1e6, most=1e6),
    }
    street.owe("a", *numbered("urgent", 3 * WINDOW), priority=URGENT)
    async with street.open():
        await passing(1)
        (low,) = street.owe("a", "low", priority=LOW)
        street.owe("a", "one more", priority=URGENT)
        await passing(1)
    assert street.books.state(low) is State.SENT


async def test_alerts_that_may_not_travel_together_do_not(autojump_clock: MockClock) -> None:
    street = Street(a=end(key=lambda delivery: delivery.priority is URGENT))
    async with street.open() as lanes:
        lanes["a"].limiter.endpoint.block(street.clock.now() + 5, "closed")
        street.owe("a", "low", priority=LOW)
        street.owe("a", "urgent", priority=URGENT)
        street.owe("a", "normal")
        await passing(10)
    assert street.tries == [("a", ["urgent"]), ("a", ["normal", "low"])]


async def test_a_message_that_is_not_full_waits_for_company_and_a_pressing_one_does_not(
    autojump_clock: MockClock,
) -> None:
    street = Street(Pace(None, Rate(30, 60.0), None), a=end(seconds=0.0))
    async with street.open():
        for number in range(20):
            street.owe("a", f"n{number}")
            await passing(1)
        requests = len(street.tries)
        assert requests < 15
        street.owe("a", "last")
        await passing(0)
        assert len(street.tries) == requests
        street.owe("a", "urgent", priority=URGENT)
        await passing(0)
    _, together = street.tries[-1]
    assert (together[0], together[-1]) == ("urgent", "last")


async def test_a_message_that_fills_up_goes_at_once(autojump_clock: MockClock) -> None:
    street = Street(Pace(None, Rate(30, 60.0), None), a=end(seconds=0.0, most=3))
    async with street.open():
        for number in range(12):
            street.owe("a", f"n{number}")
            await passing(1)
        requests = len(street.tries)
        street.owe("a", *numbered("m", 6))
        await passing(0)
    assert len(street.tries) - requests >= 2


async def test_a_culprit_is_found_by_halves_and_everybody_else_arrives(autojump_clock: MockClock) -> None:
    def judge(batch: tuple[Delivery, ...]) -> Outcome:
        if "bad" not in titles(batch):
            return Delivered()
        return Deferred("400", Cause.BATCH_REJECTED) if len(batch) > 1 else Refused("400")

    class Judging(MemoryDestination):
        async def deliver(self, batch: Any) -> Any:
            self.script.append(judge(tuple(batch)))
            return await super().deliver(batch)

    street = Street(a=Judging(channel="c", most=10))
    names = [*numbered("good", 7), "bad", *numbered("fine", 2)]
    async with street.open() as lanes:
        lanes["a"].limiter.endpoint.block(street.clock.now() + 5, "closed")
        numbers = street.owe("a", *names)
        await passing(10)
    assert [street.books.state(number) for number in numbers] == [
        State.DEAD if name == "bad" else State.SENT for name in names
    ]
    assert len(street.tries) <= 10
    assert lanes["a"].breaker.failures == 0


async def test_at_a_resting_far_end_a_probe_is_one_delivery_and_not_for_ever_the_same(
    autojump_clock: MockClock,
) -> None:
    poison = MemoryDestination(otherwise=DOWN, channel="c", most=10)
    street = Street(a=poison)
    street.options["a"] = {
        "breaker": BreakerLimits(failures=1, rest=1.0, most=1.0),
        "retry": Retry(first=0.0, most=0.0),
    }
    street.owe("a", *numbered("a", 3), priority=URGENT)
    async with street.open():
        await passing(12.5)
    probes = [names for _, names in street.tries[1:]]
    assert all(len(names) == 1 for names in probes)
    assert {name for (name,) in probes} == {"a0", "a1", "a2"}


@pytest.mark.parametrize("stricter", ["a", "b"])
async def test_of_two_wishes_for_one_channel_the_slower_holds(autojump_clock: MockClock, stricter: str) -> None:
    street = Street(a=end(most=1), b=end(most=1))
    slow, fast = Pace(None, Rate(2, 60.0), None), Pace(None, Rate(30, 60.0), None)
    gates = LimiterRegistry(street.books, street.clock, lambda options: slow if options.name == stricter else fast)
    options = [DestinationOptions(name, "memory", FileOptions(name)) for name in ("a", "b")]
    channels = [await gates.turn_queue(each, "c") for each in options]
    assert channels[0] is channels[1]
    bucket = channels[0].limit.bucket
    assert bucket is not None
    assert bucket.rate.count == 2
    gates.forget(stricter)
    await gates.turn_queue(options["ab".index("b" if stricter == "a" else "a")], "c")
    assert bucket.rate.count == 30


# --- the address ----------------------------------------------------------------------------------------------------------


async def test_after_too_many_invalid_requests_nobody_asks_until_they_are_few_again(autojump_clock: MockClock) -> None:
    invalid = Report((Refused("403", named=True),), invalid=True)
    street = Street(a=end(otherwise=invalid, most=1, seconds=0.01), b=end(channel="other"))
    street.owe("a", *numbered("a", GUARD.count + 50), priority=URGENT)
    async with street.open() as lanes:
        await passing(60)
        assert len(street.tries) == GUARD.count
        street.owe("b", "innocent")
        await passing(GUARD.per - 70)
        assert len(street.tries) == GUARD.count
        assert lanes["b"].condition().reason == "too many invalid requests: the guard of 500 in 600 s"
        await passing(20)
    assert len(street.tries) > GUARD.count + 1
    assert ("b", ["innocent"]) in street.tries


async def test_the_address_bounds_what_all_channels_ask_together(autojump_clock: MockClock) -> None:
    ends = {f"d{number}": end(channel=f"c{number}", most=1, seconds=0.05) for number in range(10)}
    street = Street(Pace(None, None, Rate(45, 1.1)), None, **ends)
    for name in ends:
        street.owe(name, *numbered(name, 20), priority=URGENT)
    async with street.open():
        await passing(10)
    times = sorted(each.at for far_end in ends.values() for each in far_end.tries)
    assert len(times) == 200
    assert all(later - sooner >= 1.1 for sooner, later in zip(times, times[45:], strict=False))
