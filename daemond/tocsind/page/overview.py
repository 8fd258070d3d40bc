"""The overview: whether all is well, the destinations, what waits, and the last hour. Each is made once, for all who watch.

A new overview comes at most once a second while something happens, and every few seconds otherwise. A reader that is slow misses overviews
and always gets the newest one; nothing is queued for it. While no reader watches, nothing is made.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from math import inf
from typing import Any, Final, TypeAlias

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.errors import StorageFull
from tocsind.journal import Journal
from tocsind.observe.status import StatusView

from .last_hour import LastHour

MAX_READERS: Final = 8
INTERVAL: Final = 1.0  # seconds between two overviews while something happens
QUIET_INTERVAL: Final = 5.0  # and while nothing does
LONGEST: Final = 600.0  # seconds that one reader may watch
_POLL: Final = 0.25  # seconds
_SHARE: Final = 20  # making it takes at most one part in so many of the time
_HEAD = ("version", "health", "problems", "uptime_seconds", "queue", "held", "shared")
_OF_DESTINATION = (
    "name",
    "kind",
    "condition",
    "reason",
    "until_seconds",
    "failing_seconds",
    "wanted",
    "queued",
    "oldest_seconds",
    "sent",
    "failed",
    "dead",
    "expired",
    "rerouted",
    "last_success_seconds",
    "last_error",
    "note",
)


ReadList: TypeAlias = Callable[[], Awaitable[list[dict[str, Any]]]]


class Overviews:
    """The newest overview, for each reader of `follow`. No task of its own: the reader that comes first makes it for the others."""

    def __init__(self, status: StatusView, hour: LastHour, journal: Journal, clock: Clock) -> None:
        self._status = status
        self._hour = hour
        self._journal = journal
        self._clock = clock
        self._making = trio.Lock()
        self._lists: dict[str, ReadList] = {}
        self._newest = b""
        self._number = 0  # of the newest; 0: none was made
        self._made, self._took = -inf, 0.0
        self._changes = 0
        self._readers = 0

    def add_list(self, name: str, read: ReadList) -> None:
        """From now on overviews have this list: objects with a `name` and facts. It raises what the journal raises."""
        self._lists[name] = read

    @property
    def is_full(self) -> bool:
        """Whether MAX_READERS watch already."""
        return self._readers >= MAX_READERS

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Overviews as server-sent events, for LONGEST seconds: then the browser asks again, with the token that is in force then."""
        if self.is_full:
            return
        self._readers += 1
        try:
            number, end = 0, self._clock.now() + LONGEST
            yield b"retry: 1000\n\n"
            while self._clock.now() < end:
                number, overview = await self._newer_than(number)
                yield b"event: overview\ndata: %b\n\n" % overview
        finally:
            self._readers -= 1

    async def _newer_than(self, number: int) -> tuple[int, bytes]:
        """A reader that missed some gets the newest at once; one that has it waits for the next."""
        while number == self._number and not self._is_due():  # noqa: ASYNC110 - time alone can make it due
            await trio.sleep(_POLL)
        async with self._making:
            if number == self._number or (number == 0 and self._is_old()):
                await self._make()
        return self._number, self._newest

    def _is_due(self) -> bool:
        """Whether the readers of the newest overview should get another one."""
        age = self._clock.now() - self._made
        is_news = self._changes != self._hour.changes
        return age >= max(INTERVAL if is_news else QUIET_INTERVAL, self._took * _SHARE)

    def _is_old(self) -> bool:
        """Whether the newest is too old for a reader that comes now."""
        return self._clock.now() - self._made > INTERVAL

    async def _make(self) -> None:
        begun, self._changes = self._clock.now(), self._hour.changes
        try:
            self._newest = await self.make()
        except StorageFull as full:
            self._newest = msgspec.json.encode({"schema": 1, "at": self._clock.wall(), "trouble": str(full)})
        self._number += 1
        self._made = self._clock.now()
        self._took = self._made - begun

    async def make(self) -> bytes:
        """One overview, as JSON on one line. Raises what the journal raises."""
        await self._hour.load(self._journal)
        status = await self._status.collect()
        return msgspec.json.encode(
            {
                "schema": 1,
                "at": self._clock.wall(),
                "changes": self._changes,
                **{name: status.get(name) for name in _HEAD},
                "destinations": [_destination(each) for each in status["destinations"]],
                "hour": self._hour.view(),
                **{name: await read() for name, read in self._lists.items()},
            }
        )


def _destination(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: status[name] for name in _OF_DESTINATION} | {"limits": status["limits"]["windows"]}
