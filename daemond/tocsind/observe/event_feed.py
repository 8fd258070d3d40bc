"""The latest events, and the stream of new ones: what `tocsin tail` reads.

The daemon never waits for a follower. A follower that is too slow misses events, and gets their number at the place where they are missing.
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

KEPT_EVENTS = 1000  # events in memory, and the window of one follower


class EventFeed:
    """An observer that keeps the latest events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: deque[tuple[float, Event]] = deque(maxlen=KEPT_EVENTS)
        self._followers: set[_Follower] = set()

    def __call__(self, event: Event) -> None:
        """Keep one event, and pass it to the followers. Does not block."""
        stamped = (self._clock.wall(), event)
        self._latest.append(stamped)
        for follower in self._followers:
            follower.put(stamped)

    def latest(self) -> Iterator[dict[str, Any]]:
        """The events in memory, oldest first, each as a dictionary for the wire."""
        return map(_as_dict, tuple(self._latest))

    @contextmanager
    def follow(self) -> Iterator[AsyncIterator[dict[str, Any]]]:
        """New events, from now on."""
        follower = _Follower()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)


class _Follower:
    """An iterator rather than a generator, because one that is abandoned half way needs no closing."""

    def __init__(self) -> None:
        self._inlet, self._outlet = trio.open_memory_channel[tuple[float, Event]](KEPT_EVENTS)
        self._missed = 0

    def put(self, stamped: tuple[float, Event]) -> None:
        try:
            if self._missed:
                self._inlet.send_nowait((stamped[0], EventsDropped(self._missed)))  # at the place of the gap
                self._missed = 0
            self._inlet.send_nowait(stamped)
        except trio.WouldBlock:
            self._missed += 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return _as_dict(await self._outlet.receive())


def _as_dict(stamped: tuple[float, Event]) -> dict[str, Any]:
    at, event = stamped
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return {"at": at, "level": event.level, **fields}
