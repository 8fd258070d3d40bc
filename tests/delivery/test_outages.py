"""Random outages of two destinations that are fallbacks of each other, in virtual time: no loss, no unmarked duplicate."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio
from tests.delivery.lane_fixture import elapse
from trio.testing import MockClock

from tocsind.config import DestinationOptions, FileOptions
from tocsind.delivery.lane import Lane
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.delivery import Priority, State
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach, Unknown
from tocsind.policy.pace import Pace
from tocsind.policy.patience import Patience
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import MemoryDestination
from tocsind.testing.store import MemoryStore

PATIENCE = Patience(urgent=30.0, high=60.0, normal=120.0)
SIGNALS = 150


class Unreliable(MemoryDestination):
    """A destination that fails while a test says so, and sometimes does not answer a request that it carried out."""

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


async def switch_at_random(destination: Unreliable) -> None:
    """Short, long and flapping outages."""
    while True:
        await trio.sleep(destination.chance.expovariate(1 / 60))
        destination.up = not destination.up


@pytest.mark.parametrize("seed", range(25))
async def test_random_outages_lose_no_signal_and_duplicate_only_marked_ones(
    autojump_clock: MockClock, seed: int
) -> None:
    chance = random.Random(seed)
    clock = SteppedClock()
    store = MemoryStore(clock, {"a": ("b", "c"), "b": ("a", "c")}, jitter=chance.random(), chunk=7)
    limiters = LimiterRegistry(store, clock, lambda _: Pace(None, None, None))
    destinations = {name: Unreliable(chance) for name in "abc"}
    lanes = {}
    for name, destination in destinations.items():
        options = DestinationOptions(
            name, "memory", FileOptions(name), patience=PATIENCE, breaker=BreakerLimits(failures=3, most=60.0)
        )
        lanes[name] = Lane(options, destination, store, limiters, clock, lambda _: None)
        await lanes[name].restore()
    store.lanes.update(lanes)
    async with trio.open_nursery() as nursery:
        for lane in lanes.values():
            nursery.start_soon(lane.run)
        async with trio.open_nursery() as outages:
            for name in "ab":
                outages.start_soon(switch_at_random, destinations[name])
            for number in range(SIGNALS):
                store.owe(
                    chance.choice("ab"), str(number), chance.choice([Priority.URGENT, Priority.HIGH, Priority.NORMAL])
                )
                await trio.sleep(chance.expovariate(1 / 5))
            outages.cancel_scope.cancel()
        for destination in destinations.values():
            destination.up = True
        await elapse(1200)
        nursery.cancel_scope.cancel()
    arrived = sum((destination.arrived for destination in destinations.values()), Counter[str]())
    marked = set().union(*(destination.marked for destination in destinations.values()))
    ids = {entry.delivery.id for entry in store._entries.values()}
    assert set(arrived) == ids
    assert len(ids) == SIGNALS
    assert {id_ for id_, times in arrived.items() if times > 1} <= marked
    assert all(entry.state in {State.SENT, State.REROUTED, State.UNKNOWN} for entry in store._entries.values())
