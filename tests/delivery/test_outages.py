"""Random outages of two destinations that stand in for one another, in virtual time: nothing is lost, and nothing told twice unmarked."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio
from tests.delivery.lane_fixture import passing
from trio.testing import MockClock

from tocsind.config import DestinationOptions, FileOptions
from tocsind.delivery.lane import Lane
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.destinations.registry import Pace
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.delivery import Priority, State
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach, Unknown
from tocsind.policy.patience import Patience
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import MemoryDestination
from tocsind.testing.store import MemoryStore

PATIENCE = Patience(urgent=30.0, high=60.0, normal=120.0)
SIGNALS = 150


class Fickle(MemoryDestination):
    """It fails as long as a test says so, and now and then it does not answer though it has the message."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(most=1 + chance.randrange(3), seconds=chance.choice((0.01, 2.0)))
        self.chance = chance
        self.arrived: Counter[str] = Counter()
        self.marked: set[str] = set()
        self.up = True

    async def deliver(self, batch):  # type: ignore[no-untyped-def]
        self.otherwise = self._answer()
        report = await super().deliver(batch)
        if isinstance(report.outcomes[0], Delivered | Unknown):
            self.arrived.update(delivery.id for delivery in batch)
            self.marked |= {delivery.id for delivery in batch if delivery.maybe_duplicate}
        return report

    def _answer(self) -> Outcome:
        if self.up:
            return Delivered()
        limited = Deferred("429", Cause.LIMITED, Reach.ENDPOINT, wait=float(self.chance.randrange(1, 60)))
        return self.chance.choice((Deferred("refused"), Deferred("refused"), limited, Unknown("no answer")))

    async def discover(self) -> ChannelInfo:
        await trio.lowlevel.checkpoint()
        return ChannelInfo(answered=True) if self.up else ChannelInfo(problem=Deferred("refused"))


async def weather(destination: Fickle) -> None:
    """Short, long and flapping outages."""
    while True:
        await trio.sleep(destination.chance.expovariate(1 / 60))
        destination.up = not destination.up


@pytest.mark.parametrize("seed", range(25))
async def test_random_outages_lose_nothing_and_double_only_what_is_marked(autojump_clock: MockClock, seed: int) -> None:
    chance = random.Random(seed)
    clock = SteppedClock()
    books = MemoryStore(clock, {"a": ("b", "c"), "b": ("a", "c")}, jitter=chance.random(), chunk=7)
    gates = LimiterRegistry(books, clock, lambda _: Pace(None, None, None))
    destinations = {name: Fickle(chance) for name in "abc"}
    lanes = {}
    for name, destination in destinations.items():
        options = DestinationOptions(
            name, "memory", FileOptions(name), patience=PATIENCE, breaker=BreakerLimits(failures=3, most=60.0)
        )
        lanes[name] = Lane(options, destination, books, gates, clock, lambda _: None)
        await lanes[name].restore()
    books.lanes.update(lanes)
    async with trio.open_nursery() as nursery:
        for lane in lanes.values():
            nursery.start_soon(lane.run)
        async with trio.open_nursery() as outages:
            for name in "ab":
                outages.start_soon(weather, destinations[name])
            for number in range(SIGNALS):
                books.owe(
                    chance.choice("ab"), str(number), chance.choice([Priority.URGENT, Priority.HIGH, Priority.NORMAL])
                )
                await trio.sleep(chance.expovariate(1 / 5))
            outages.cancel_scope.cancel()
        for destination in destinations.values():
            destination.up = True
        await passing(1200)
        nursery.cancel_scope.cancel()
    arrived = sum((destination.arrived for destination in destinations.values()), Counter[str]())
    marked = set().union(*(destination.marked for destination in destinations.values()))
    ids = {entry.delivery.id for entry in books._entries.values()}
    assert set(arrived) == ids
    assert len(ids) == SIGNALS
    assert {id_ for id_, times in arrived.items() if times > 1} <= marked
    assert all(entry.state in {State.SENT, State.REROUTED, State.UNKNOWN} for entry in books._entries.values())
