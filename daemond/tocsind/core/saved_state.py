"""State of lanes and limits that is kept in the journal over a restart; and commits that wait until the disk has room for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from tocsind.errors import StorageFull
from tocsind.events import Emit, StorageProblem
from tocsind.journal import Journal, LaneState, LimitState, RequestRecord, limiter_state

from .disk_guard import DiskGuard

T = TypeVar("T")

RETRY_INTERVAL = 1.0  # seconds between two tries to commit while the disk is full


class SavedState:
    """The part of the lanes' store that saves and loads state."""

    def __init__(self, journal: Journal, disk_guard: DiskGuard, emit: Emit) -> None:
        self._journal = journal
        self._disk_guard = disk_guard
        self._emit = emit

    async def load_lane(self, destination: str) -> LaneState:
        """The saved state of a lane."""
        return await self._journal.run(limiter_state.load_lane, destination)

    async def load_limit(self, scope: str) -> LimitState:
        """The saved state of a rate limit."""
        return await self._journal.run(limiter_state.load_limit, scope)

    async def requests(self, channel: str, destination: str) -> list[RequestRecord]:
        """The last requests to a channel, and those of a destination to any channel; oldest first."""
        return await self._journal.run(limiter_state.requests, channel, destination)

    async def save(self, lane: LaneState | None, scopes: Sequence[LimitState]) -> None:
        """Save the state of a lane and of rate limits."""
        await self._retry_while_full(lambda: self._journal.run(limiter_state.save, lane, scopes))

    async def _retry_while_full(self, commit: Callable[[], Awaitable[T]]) -> T:
        """Repeat a commit that must precede every other change of its deliveries until the disk has room for it."""
        reported = False
        while True:
            try:
                return await commit()
            except StorageFull as full:
                if await self._journal.use_reserve():
                    self._disk_guard.check()
                    continue
                if not reported:
                    self._emit(StorageProblem(f"{full}; outcomes are kept in memory until they can be written"))
                reported = True
            await trio.sleep(RETRY_INTERVAL)
