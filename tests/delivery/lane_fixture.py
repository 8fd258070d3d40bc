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
from tocsind.destinations.registry import Pace
from tocsind.events import Event
from tocsind.policy.delivery import Priority, State
from tocsind.policy.outcomes import Cause, Deferred, Reach
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import Answer, MemoryDestination
from tocsind.testing.store import MemoryStore

URGENT, HIGH, NORMAL, LOW = Priority
DOWN = Deferred("503")
UNLIMITED = Pace(None, None, None)
LIMITED = Deferred("429", Cause.LIMITED, Reach.ENDPOINT, wait=20.0)


def about(seconds: float) -> Any:
    """A time that may differ by a float's last digits; it stands where a float is wanted."""
    return pytest.approx(seconds)


class Stage:
    """One lane named `d`, what it talks to, and what it told."""

    def __init__(
        self,
        *script: Answer,
        otherwise: Answer | None = None,
        most: int = 1,
        seconds: float = 0.0,
        pace: Pace = UNLIMITED,
        fallbacks: dict[str, tuple[str, ...]] | None = None,
        jitter: float = 0.5,
        **options: Any,
    ) -> None:
        self.options = DestinationOptions("d", "memory", FileOptions("unused"), **options)
        self.destination = MemoryDestination(script, otherwise=otherwise, most=most, seconds=seconds)
        self.clock = SteppedClock()
        self.books = MemoryStore(self.clock, fallbacks, jitter=jitter)
        self.facts: list[Event] = []
        self.pace = pace
        self.lane = self.new_lane()

    def new_lane(self) -> Lane:
        """A lane as a fresh start makes it, before it remembers anything."""
        gates = LimiterRegistry(self.books, self.clock, lambda _: self.pace)
        lane = Lane(self.options, self.destination, self.books, gates, self.clock, self.facts.append)
        self.books.lanes["d"] = lane
        self.is_open = False
        return lane

    async def open(self) -> None:
        """The lane remembers."""
        if not self.is_open:
            await self.lane.restore()
        self.is_open = True

    async def close_for(self, seconds: float) -> None:
        """The far end wants to be left alone."""
        await self.open()
        self.lane.limiter.endpoint.block(self.clock.now() + seconds, "closed")
        self.lane.turns.notify()

    def owe(self, *titles: str, priority: Priority = NORMAL, **fields: Any) -> list[int]:
        return [self.books.owe("d", title, priority, **fields) for title in titles]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        await self.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lane.run)
            yield nursery
            nursery.cancel_scope.cancel()

    def told(self, kind: type[Event]) -> list[Event]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def sent(self) -> list[str]:
        return self.books.titles(State.SENT, "d")


async def passing(seconds: float) -> None:
    """Virtual time: whatever is due by then happens, and nobody waits for it."""
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()
