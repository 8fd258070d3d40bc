"""Lanes that share a channel, in virtual time: order of turns, batches, and shared limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tocsind.config import DestinationOptions, FileOptions
from tocsind.delivery.condition import Condition
from tocsind.delivery.discovery import DISCOVER_INTERVAL
from tocsind.delivery.lane import Lane
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.events import Disabled, Event, RateLimited
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery, Priority, State
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach, Refused, Report
from tocsind.policy.pace import GUARD, Pace
from tocsind.policy.refusals import STRIKES
from tocsind.policy.window import WINDOW
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import MemoryDestination
from tocsind.testing.store import MemoryStore

URGENT, HIGH, NORMAL, LOW = Priority
UNLIMITED = Pace(guard=GUARD)
DOWN = Deferred("503")
SHARED = Deferred("429 (shared)", Cause.LIMITED, Reach.CHANNEL, wait=20.0)


class LanesFixture:
    """Lanes of one kind and host, by the names of their destinations."""

    def __init__(
        self,
        pace: Pace = UNLIMITED,
        fallbacks: dict[str, tuple[str, ...]] | None = None,
        **destinations: MemoryDestination,
    ):
        self.clock = SteppedClock()
        self.store = MemoryStore(self.clock, fallbacks)
        self.events: list[Event] = []
        self.destinations = destinations
        self.options: dict[str, dict[str, Any]] = {name: {} for name in destinations}
        self.pace = pace

    @asynccontextmanager
    async def open(self) -> AsyncIterator[dict[str, Lane]]:
        limiters = LimiterRegistry(self.store, self.clock, lambda _: self.pace)
        lanes = {name: self._lane(name, target, limiters) for name, target in self.destinations.items()}
        self.store.lanes.update(lanes)
        async with trio.open_nursery() as nursery:
            for lane in lanes.values():
                await lane.restore()
                nursery.start_soon(lane.run)
            yield lanes
            nursery.cancel_scope.cancel()

    def _lane(self, name: str, target: MemoryDestination, limiters: LimiterRegistry) -> Lane:
        options = DestinationOptions(name, "memory", FileOptions(name), **self.options[name])
        return Lane(options, target, self.store, limiters, self.clock, self.events.append)

    def owe(self, destination: str, *titles: str, priority: Priority = NORMAL) -> list[int]:
        return [self.store.owe(destination, title, priority) for title in titles]

    @property
    def tries(self) -> list[tuple[str, list[str]]]:
        """All requests in order: the destination, and the titles."""
        made = [(each.at, name, each) for name, target in self.destinations.items() for each in target.tries]
        return [(name, titles(each.batch)) for _, name, each in sorted(made, key=lambda one: one[0])]


def titles(batch: tuple[Delivery, ...]) -> list[str]:
    return [delivery.signal.title for delivery in batch]


def target(
    *script: Outcome | tuple[Outcome, ...], channel: str | None = "c", seconds: float = 0.1, most: int = 10, **more: Any
) -> MemoryDestination:
    return MemoryDestination(script, channel=channel, seconds=seconds, most=most, **more)


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


async def elapse(seconds: float) -> None:
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()


# --- one channel ------------------------------------------------------------------------------------------------------


async def test_lanes_of_one_channel_take_turns_with_one_request_in_flight(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(most=1), b=target(most=1), other=target(channel="other", most=1))
    for name in fixture.destinations:
        fixture.owe(name, *numbered(name, 5))
    async with fixture.open():
        await elapse(0.85)
    shared = [name for name, _ in fixture.tries if name != "other"]
    assert shared == ["a", "b"] * 4 + ["a"]  # nine in 0.85 s of 0.1 s each: never two at a time
    assert len(fixture.destinations["other"].tries) == 5


async def test_lanes_of_one_channel_share_its_limit(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(Pace(None, Rate(4, 60.0), None), a=target(most=1), b=target(most=1))
    for name in fixture.destinations:
        fixture.owe(name, *numbered(name, 10), priority=URGENT)
    async with fixture.open():
        await elapse(59)
        assert len(fixture.tries) == 4
        await elapse(60)
    assert len(fixture.tries) == 8


async def test_turn_goes_to_highest_priority_of_all_lanes(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(), b=target())
    fixture.owe("a", "busy")
    async with fixture.open():
        await elapse(0.05)
        fixture.owe("a", "low", priority=LOW)
        fixture.owe("b", "urgent", priority=URGENT)
        await elapse(1)
    assert fixture.tries == [("a", ["busy"]), ("b", ["urgent"]), ("a", ["low"])]


async def test_urgent_sender_that_is_limited_delays_no_other_sender(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(), b=target())
    fixture.options["a"] = {"limit": Rate(1, 600.0)}
    fixture.owe("a", "first", priority=URGENT)
    async with fixture.open():
        await elapse(1)
        fixture.owe("a", "urgent", priority=URGENT)
        fixture.owe("b", "low", priority=LOW)
        await elapse(10)
    assert fixture.tries == [("a", ["first"]), ("b", ["low"])]


async def test_shared_429_closes_channel_for_its_lanes_only(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(SHARED), b=target(), other=target(channel="other"))
    fixture.owe("a", "limited")
    async with fixture.open() as lanes:
        await elapse(1)
        fixture.owe("b", "waits")
        fixture.owe("other", "goes")
        await elapse(10)
        assert [lane.condition().word for lane in lanes.values()] == ["limited", "limited", "ready"]
        await elapse(20)
    assert fixture.tries == [("a", ["limited"]), ("other", ["goes"]), ("a", ["limited"]), ("b", ["waits"])]
    assert fixture.events == [RateLimited("a", "429 (shared)", 20.0)]


async def test_requests_before_restart_count_for_all_lanes_of_channel(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(Pace(None, Rate(4, 60.0), None), a=target(most=1), b=target(most=1))
    fixture.owe("a", *numbered("a", 4), priority=URGENT)
    async with fixture.open():
        await elapse(10)
    fixture.owe("b", "b0", priority=URGENT)
    async with fixture.open():
        await elapse(49)
        assert len(fixture.tries) == 4
        await elapse(10)
    assert len(fixture.tries) == 5


async def test_request_without_answer_counts_from_restart(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(Pace(None, Rate(1, 60.0), None), a=target(most=1))
    fixture.destinations["a"].hold()
    fixture.owe("a", "cut off", priority=URGENT)
    async with fixture.open() as lanes:
        await elapse(30)
        lanes["a"].abandon()
        lanes["a"].rediscover()
        fixture.store.lanes.clear()
    fixture.destinations["a"].release()
    fixture.owe("a", "next", priority=URGENT)
    async with fixture.open():
        await elapse(59)
        assert len(fixture.tries) == 1
        await elapse(10)
    assert len(fixture.tries) == 2


# --- finding it ---------------------------------------------------------------------------------------------------------


async def test_deleted_webhook_is_disabled_before_first_delivery(autojump_clock: MockClock) -> None:
    gone = target(places=[ChannelInfo(problem=Refused("404: Unknown Webhook", disable=True))])
    fixture = LanesFixture(fallbacks={"a": ("b",)}, a=gone, b=target())
    fixture.owe("a", "alert")
    async with fixture.open() as lanes:
        await elapse(1)
        assert lanes["a"].condition().word == "disabled"
    assert fixture.tries == [("b", ["alert"])]
    assert fixture.events == [Disabled("a", "404: Unknown Webhook")]


async def test_lane_without_known_channel_queries_again_after_a_delivery(
    autojump_clock: MockClock,
) -> None:
    away = target(places=[ChannelInfo(problem=DOWN), ChannelInfo(problem=DOWN)], most=1)
    fixture = LanesFixture(Pace(None, Rate(4, 600.0), None), a=away)
    fixture.owe("a", "one", priority=URGENT)
    async with fixture.open() as lanes:
        await elapse(DISCOVER_INTERVAL + 1)
        assert len(away.located) == 1
        fixture.owe("a", "two", priority=URGENT)
        await elapse(1)
        assert len(away.located) == 2
        assert lanes["a"].turns.name != "channel:memory:c"
        await elapse(DISCOVER_INTERVAL)
        fixture.owe("a", "three", priority=URGENT)
        await elapse(1)
        assert lanes["a"].turns.name == "channel:memory:c"
        assert [window.left for window in lanes["a"].limiter.windows(fixture.clock.now())] == [
            1
        ]  # three requests left before the first response
    assert fixture.store.memories["a"].channel == "c"


async def test_lane_uses_known_channel_when_query_fails(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target())
    async with fixture.open():
        await elapse(1)
    fixture.destinations["a"].channel = None
    fixture.destinations["a"].places.append(ChannelInfo(problem=DOWN))
    async with fixture.open() as lanes:
        await elapse(1)
        assert lanes["a"].turns.name == "channel:memory:c"


async def test_lane_uses_the_channel_that_another_host_knows_while_it_cannot_ask(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(places=[ChannelInfo(problem=DOWN), ChannelInfo(problem=DOWN)]))
    async with fixture.open() as lanes:
        await elapse(1)
        lanes["a"].adopt_channel(None)
        await elapse(1)
        assert len(fixture.destinations["a"].located) == 1
        lanes["a"].adopt_channel("elsewhere")
        await elapse(1)
        assert lanes["a"].turns.name == "channel:memory:elsewhere"
        lanes["a"].adopt_channel("another")
        await elapse(1)
        assert lanes["a"].turns.name == "channel:memory:c", "the server says where it leads"


async def test_lane_sends_no_query_while_host_is_blocked(autojump_clock: MockClock) -> None:
    banned = Deferred("429 from Cloudflare", Cause.LIMITED, Reach.KIND, wait=100.0)
    fixture = LanesFixture(a=target(banned), b=target())
    fixture.owe("a", "banned")
    async with fixture.open() as lanes:
        await elapse(1)
        lanes["b"].rediscover()
        await elapse(1)
        assert len(fixture.destinations["b"].located) == 1
        assert lanes["b"].condition().word == "limited"


async def test_block_met_by_query_closes_host_limit(autojump_clock: MockClock) -> None:
    banned = ChannelInfo(problem=Deferred("429 from Cloudflare", Cause.LIMITED, Reach.KIND))
    fixture = LanesFixture(a=target(places=[banned]), b=target(channel="other"))
    fixture.owe("b", "waits")
    async with fixture.open():
        await elapse(59)
        assert fixture.tries == []
        await elapse(2)
    assert fixture.tries == [("b", ["waits"])]


async def test_three_strikes_in_a_row_disable_destination_and_two_do_not(
    autojump_clock: MockClock,
) -> None:
    strike = Refused("403: Missing Permissions", strike=True)
    fixture = LanesFixture(a=target(strike, strike, Delivered(), *[strike] * STRIKES, most=1))
    fixture.owe("a", *numbered("a", 7))
    async with fixture.open() as lanes:
        await elapse(0.55)
        assert lanes["a"].condition().word == "ready"
        await elapse(5)
        assert lanes["a"].condition() == Condition("disabled", "403: Missing Permissions")
        await lanes["a"].enable()
        await elapse(1)
    assert [name for name, _ in fixture.tries] == ["a"] * 7


async def test_same_refusal_of_three_alerts_disables_destination(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(
        fallbacks={"a": ("b",)}, a=target(otherwise=Refused("403: Missing Access"), most=1), b=target(most=1)
    )
    fixture.owe("a", *numbered("a", 5))
    async with fixture.open() as lanes:
        await elapse(5)
        assert lanes["a"].condition().word == "disabled"
    assert [name for name, _ in fixture.tries].count("a") == 3
    assert sorted(title for name, (title,) in fixture.tries if name == "b") == numbered("a", 5)


# --- one message --------------------------------------------------------------------------------------------------------


async def test_batch_takes_high_priorities_first_and_fills_up_with_lower_ones(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(most=4))
    async with fixture.open() as lanes:
        lanes["a"].limiter.endpoint.block(fixture.clock.now() + 5, "closed")
        for priority in (LOW, NORMAL, URGENT):
            fixture.owe("a", *numbered(priority.label, 3), priority=priority)
        await elapse(10)
    assert fixture.tries == [
        ("a", ["urgent0", "urgent1", "urgent2", "normal0"]),
        ("a", ["normal1", "normal2", "low0", "low1"]),
        ("a", ["low2"]),
    ]


class UnevenStore(MemoryStore):
    """Reads of high priorities take longer: the journal promises no order between two readers."""

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        await trio.sleep(0.1 * (LOW - priority))
        return await super().feed(destination, priority, after, most)


async def test_simultaneous_arrivals_go_by_priority_whichever_is_read_first(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(most=1))
    fixture.store = UnevenStore(fixture.clock)
    async with fixture.open():
        await elapse(10)
        for priority in (LOW, NORMAL, HIGH, URGENT):
            fixture.owe("a", priority.label, priority=priority)
        await elapse(10)
    assert [name for _, (name,) in fixture.tries] == ["urgent", "high", "normal", "low"]


async def test_window_full_of_deferred_deliveries_delays_no_lower_priority(autojump_clock: MockClock) -> None:
    failing = target(*[DOWN] * WINDOW, most=1, seconds=0.0)
    fixture = LanesFixture(a=failing)
    fixture.options["a"] = {
        "breaker": BreakerLimits(failures=10**9),
        "retry": Retry(first=1e6, most=1e6),
    }
    fixture.owe("a", *numbered("urgent", 3 * WINDOW), priority=URGENT)
    async with fixture.open():
        await elapse(1)
        (low,) = fixture.owe("a", "low", priority=LOW)
        fixture.owe("a", "one more", priority=URGENT)
        await elapse(1)
    assert fixture.store.state(low) is State.SENT


async def test_deliveries_that_must_be_alone_share_no_batch(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(a=target(key=lambda delivery: delivery.priority is URGENT))
    async with fixture.open() as lanes:
        lanes["a"].limiter.endpoint.block(fixture.clock.now() + 5, "closed")
        fixture.owe("a", "low", priority=LOW)
        fixture.owe("a", "urgent", priority=URGENT)
        fixture.owe("a", "normal")
        await elapse(10)
    assert fixture.tries == [("a", ["urgent"]), ("a", ["normal", "low"])]


async def test_partial_batch_is_paced_and_expedited_one_is_not(
    autojump_clock: MockClock,
) -> None:
    fixture = LanesFixture(Pace(None, Rate(30, 60.0), None), a=target(seconds=0.0))
    async with fixture.open():
        for number in range(20):
            fixture.owe("a", f"n{number}")
            await elapse(1)
        requests = len(fixture.tries)
        assert requests < 15
        fixture.owe("a", "last")
        await elapse(0)
        assert len(fixture.tries) == requests
        fixture.owe("a", "urgent", priority=URGENT)
        await elapse(0)
    _, together = fixture.tries[-1]
    assert (together[0], together[-1]) == ("urgent", "last")


async def test_full_batch_is_sent_at_once(autojump_clock: MockClock) -> None:
    fixture = LanesFixture(Pace(None, Rate(30, 60.0), None), a=target(seconds=0.0, most=3))
    async with fixture.open():
        for number in range(12):
            fixture.owe("a", f"n{number}")
            await elapse(1)
        requests = len(fixture.tries)
        fixture.owe("a", *numbered("m", 6))
        await elapse(0)
    assert len(fixture.tries) - requests >= 2


async def test_rejected_delivery_is_found_by_halving_batch_and_others_arrive(autojump_clock: MockClock) -> None:
    def judge(batch: tuple[Delivery, ...]) -> Outcome:
        if "bad" not in titles(batch):
            return Delivered()
        return Deferred("400", Cause.BATCH_REJECTED) if len(batch) > 1 else Refused("400")

    class Judging(MemoryDestination):
        async def deliver(self, batch: Any) -> Any:
            self.script.append(judge(tuple(batch)))
            return await super().deliver(batch)

    fixture = LanesFixture(a=Judging(channel="c", most=10))
    names = [*numbered("good", 7), "bad", *numbered("fine", 2)]
    async with fixture.open() as lanes:
        lanes["a"].limiter.endpoint.block(fixture.clock.now() + 5, "closed")
        numbers = fixture.owe("a", *names)
        await elapse(10)
    assert [fixture.store.state(number) for number in numbers] == [
        State.DEAD if name == "bad" else State.SENT for name in names
    ]
    assert len(fixture.tries) <= 10
    assert lanes["a"].breaker.failures == 0


async def test_probe_is_one_delivery_and_changes_after_some_tries(
    autojump_clock: MockClock,
) -> None:
    poison = MemoryDestination(otherwise=DOWN, channel="c", most=10)
    fixture = LanesFixture(a=poison)
    fixture.options["a"] = {
        "breaker": BreakerLimits(failures=1, rest=1.0, most=1.0),
        "retry": Retry(first=0.0, most=0.0),
    }
    fixture.owe("a", *numbered("a", 3), priority=URGENT)
    async with fixture.open():
        await elapse(12.5)
    probes = [names for _, names in fixture.tries[1:]]
    assert all(len(names) == 1 for names in probes)
    assert {name for (name,) in probes} == {"a0", "a1", "a2"}


@pytest.mark.parametrize("stricter", ["a", "b"])
async def test_slower_rate_of_shared_channel_applies(autojump_clock: MockClock, stricter: str) -> None:
    fixture = LanesFixture(a=target(most=1), b=target(most=1))
    slow, fast = Pace(None, Rate(2, 60.0), None), Pace(None, Rate(30, 60.0), None)
    limiters = LimiterRegistry(fixture.store, fixture.clock, lambda options: slow if options.name == stricter else fast)
    options = [DestinationOptions(name, "memory", FileOptions(name)) for name in ("a", "b")]
    channels = [await limiters.turn_queue(each, "c") for each in options]
    assert channels[0] is channels[1]
    bucket = channels[0].limit.bucket
    assert bucket is not None
    assert bucket.rate.count == 2
    limiters.forget(stricter)
    await limiters.turn_queue(options["ab".index("b" if stricter == "a" else "a")], "c")
    assert bucket.rate.count == 30


# --- the address ----------------------------------------------------------------------------------------------------------


async def test_lanes_send_nothing_after_too_many_invalid_requests(autojump_clock: MockClock) -> None:
    invalid = Report((Refused("403", named=True),), invalid=True)
    fixture = LanesFixture(a=target(otherwise=invalid, most=1, seconds=0.01), b=target(channel="other"))
    fixture.owe("a", *numbered("a", GUARD.count + 50), priority=URGENT)
    async with fixture.open() as lanes:
        await elapse(60)
        assert len(fixture.tries) == GUARD.count
        fixture.owe("b", "accepted")
        await elapse(GUARD.per - 70)
        assert len(fixture.tries) == GUARD.count
        assert lanes["b"].condition().reason == "too many invalid requests: the guard of 500 in 600 s"
        await elapse(20)
    assert len(fixture.tries) > GUARD.count + 1
    assert ("b", ["accepted"]) in fixture.tries


async def test_host_limit_bounds_requests_of_all_channels(autojump_clock: MockClock) -> None:
    destinations = {f"d{number}": target(channel=f"c{number}", most=1, seconds=0.05) for number in range(10)}
    fixture = LanesFixture(Pace(None, None, Rate(45, 1.1)), None, **destinations)
    for name in destinations:
        fixture.owe(name, *numbered(name, 20), priority=URGENT)
    async with fixture.open():
        await elapse(10)
    times = sorted(each.at for far_end in destinations.values() for each in far_end.tries)
    assert len(times) == 200
    assert all(later - sooner >= 1.1 for sooner, later in zip(times, times[45:], strict=False))
