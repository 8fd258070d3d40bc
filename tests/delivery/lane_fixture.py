"""One lane in virtual time, between a destination and a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tocsind.config import DestinationOptions, FileOptions
from tocsind.delivery.lane import Lane
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.events import Event
from tocsind.policy.delivery import Priority, State
from tocsind.policy.outcomes import Cause, Deferred, Reach
from tocsind.policy.pace import Pace
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import Answer, MemoryDestination
from tocsind.testing.store import MemoryStore

URGENT, HIGH, NORMAL, LOW = Priority
DOWN = Deferred("503")
UNLIMITED = Pace(None, None, None)
LIMITED = Deferred("429", Cause.LIMITED, Reach.ENDPOINT, wait=20.0)


def about(seconds: float) -> Any:
    """A time that is compared approximately, with the type of a float."""
    return pytest.approx(seconds)


class LaneFixture:
    """One lane named `d`, its destination and store in memory, and the events that it emitted."""

    def __init__(
        self,
        *script: Answer,
        otherwise: Answer | None = None,
        most: int = 1,
        seconds: float = 0.0,
        pace: Pace = UNLIMITED,
        fallbacks: dict[str, tuple[str, ...]] | None = None,
        jitter: float = 0.0,
        **options: Any,
    ) -> None:
        self.options = DestinationOptions("d", "memory", FileOptions("unused"), **options)
        self.destination = MemoryDestination(script, otherwise=otherwise, most=most, seconds=seconds)
        self.clock = SteppedClock()
        self.store = MemoryStore(self.clock, fallbacks, jitter=jitter)
        self.events: list[Event] = []
        self.pace = pace
        self.lane = self.new_lane()

    def new_lane(self) -> Lane:
        """A lane as the daemon constructs it, before `restore`."""
        limiters = LimiterRegistry(self.store, self.clock, lambda _: self.pace)
        lane = Lane(self.options, self.destination, self.store, limiters, self.clock, self.events.append)
        self.store.lanes["d"] = lane
        self.is_restored = False
        return lane

    async def open(self) -> None:
        """Restore the lane, once."""
        if not self.is_restored:
            await self.lane.restore()
        self.is_restored = True

    async def block_for(self, seconds: float) -> None:
        """The server blocks the webhook for some seconds."""
        await self.open()
        self.lane.limiter.endpoint.block(self.clock.now() + seconds, "closed")
        self.lane.turns.notify()

    def owe(self, *titles: str, priority: Priority = NORMAL, **fields: Any) -> list[int]:
        return [self.store.owe("d", title, priority, **fields) for title in titles]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        await self.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lane.run)
            yield nursery
            nursery.cancel_scope.cancel()

    def emitted(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def sent(self) -> list[str]:
        return self.store.titles(State.SENT, "d")


async def elapse(seconds: float) -> None:
    """Let virtual time elapse, and let all tasks do what is due by then."""
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()
