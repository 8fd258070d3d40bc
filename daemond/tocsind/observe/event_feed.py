"""The latest events, and the stream of new ones: what `tocsin tail` reads.

The daemon never waits for a follower. A follower that is too slow misses events, and gets their number at the place where they are missing.
All followers get the same object for an event, which encodes it once for all of them.
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


class StampedEvent:
    """An event, and when it happened in Unix seconds."""

    def __init__(self, at: float, event: Event) -> None:
        self.at = at
        self.event = event
        self._encoded: dict[tuple[bool, str | None], msgspec.Raw] = {}

    @property
    def signal(self) -> str | None:
        """The id of the signal that it is about."""
        return getattr(self.event, "id", None)

    def as_dict(self, title: str | None = None) -> dict[str, Any]:
        """For the wire: when, the level, and the event's own fields; with the `title` of the signal."""
        fields: dict[str, Any] = msgspec.to_builtins(self.event)
        return {"at": self.at, "level": self.event.level, **fields} | ({} if title is None else {"title": title})

    def encoded(self, title: str | None, *, as_json: bool) -> msgspec.Raw:
        """The same as JSON or MessagePack, which is kept for the next follower."""
        form = as_json, title
        if form not in self._encoded:
            encode = msgspec.json.encode if as_json else msgspec.msgpack.encode
            self._encoded[form] = msgspec.Raw(encode(self.as_dict(title)))
        return self._encoded[form]


class EventFeed:
    """An observer that keeps the latest events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: deque[tuple[float, Event]] = deque(maxlen=KEPT_EVENTS)
        self._followers: set[_Follower] = set()

    def __call__(self, event: Event) -> None:
        """Keep one event, and pass it to the followers. Does not block."""
        at = self._clock.wall()
        self._latest.append((at, event))
        if self._followers:
            stamped = StampedEvent(at, event)
            for follower in self._followers:
                follower.put(stamped)

    def latest(self, most: int = KEPT_EVENTS) -> list[StampedEvent]:
        """The last events in memory, at most `most` of them, oldest first."""
        known = list(self._latest)
        return [StampedEvent(at, event) for at, event in known[max(0, len(known) - most) :]]

    @contextmanager
    def follow(self) -> Iterator[AsyncIterator[StampedEvent]]:
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
        self._inlet, self._outlet = trio.open_memory_channel[StampedEvent](KEPT_EVENTS)
        self._missed = 0

    def put(self, stamped: StampedEvent) -> None:
        try:
            if self._missed:
                self._inlet.send_nowait(
                    StampedEvent(stamped.at, EventsDropped(self._missed))
                )  # at the place of the gap
                self._missed = 0
            self._inlet.send_nowait(stamped)
        except trio.WouldBlock:
            self._missed += 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StampedEvent:
        return await self._outlet.receive()
