"""The latest facts, and those who watch them come: what `tocsin tail` reads.

A watcher that does not keep up misses facts, and is told how many at the place where they are missing; the daemon never waits for one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Self

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.events import Event, EventsDropped

KEPT_EVENTS = 1000  # facts in memory, and the window of one watcher


class EventFeed:
    """An observer of facts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: deque[tuple[float, Event]] = deque(maxlen=KEPT_EVENTS)
        self._followers: set[_Follower] = set()

    def __call__(self, fact: Event) -> None:
        """Keep one fact, and show it."""
        stamped = (self._clock.wall(), fact)
        self._latest.append(stamped)
        for watcher in self._followers:
            watcher.put(stamped)

    def latest(self) -> Iterator[dict[str, Any]]:
        """The facts that are in memory now, oldest first, ready for the wire: each is made so when it is wanted."""
        return map(_plain, tuple(self._latest))

    @contextmanager
    def follow(self) -> Iterator[AsyncIterator[dict[str, Any]]]:
        """Facts as they come, from now on."""
        watcher = _Follower()
        self._followers.add(watcher)
        try:
            yield watcher
        finally:
            self._followers.discard(watcher)


class _Follower:
    """An iterator and no generator: one that is left alone half way needs no closing."""

    def __init__(self) -> None:
        self._inlet, self._outlet = trio.open_memory_channel[tuple[float, Event]](KEPT_EVENTS)
        self._missed = 0

    def put(self, stamped: tuple[float, Event]) -> None:
        try:
            if self._missed:
                self._inlet.send_nowait((stamped[0], EventsDropped(self._missed)))  # where the gap is
                self._missed = 0
            self._inlet.send_nowait(stamped)
        except trio.WouldBlock:
            self._missed += 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return _plain(await self._outlet.receive())


def _plain(stamped: tuple[float, Event]) -> dict[str, Any]:
    at, fact = stamped
    plain: dict[str, Any] = msgspec.to_builtins(fact)
    return {"at": at, "level": fact.level, **plain}
