"""Asks a destination which channel it sends to; during an outage the same query is the probe that puts no delivery at risk.

The lane asks before it serves: destinations that share a channel share its limits, and a webhook that was deleted is disabled before its
first alert. When the query is not possible now, the lane uses the channel that it knew, and asks again after a delivery has arrived.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import trio

from tocsind.clock import Clock
from tocsind.destinations import Destination
from tocsind.policy.breaker import Breaker
from tocsind.policy.limiter import Limiter
from tocsind.policy.outcomes import ChannelInfo, is_unsent
from tocsind.secret import redacted_struct

from .feedback import Feedback
from .rerouting import Rerouting

DISCOVER_INTERVAL = 60.0  # s between two queries for a channel that is not known


class Lane(Protocol):
    """What a query needs of its lane."""

    clock: Clock
    breaker: Breaker
    limiter: Limiter
    destination: Destination
    rerouting: Rerouting
    feedback: Feedback

    def in_flight_timer(self) -> AbstractContextManager[None]:
        """Measure how long the request takes."""


class Discovery:
    """The channel of one lane, and the queries for it. `channel` is the server's name of it; None: not known."""

    def __init__(self, lane: Lane) -> None:
        self.channel: str | None = None
        self.wanted = True
        self._lane = lane
        self._retry_at: float | None = None  # None: the last query was answered

    def is_due(self) -> bool:
        """Whether to ask again, now that a delivery has arrived."""
        return self._retry_at is not None and self._lane.clock.now() >= self._retry_at

    async def discover(self) -> None:
        """Ask for the channel, unless the server blocks this host."""
        self.wanted, self._retry_at = False, self._lane.clock.now() + DISCOVER_INTERVAL
        if await self._may_query():
            found = await self._query()
            self._learn_channel(found)
            self._lane.feedback.on_discovery(found)

    async def probe(self) -> bool:
        """Send a query in place of a delivery; a failure counts as a failed probe. False when the server blocks this host."""
        if not await self._may_query():
            self._lane.rerouting.outage.on_retry_scheduled(self._lane.clock.now())
            return False
        self._lane.breaker.acquire()
        try:
            self._lane.feedback.on_probe(await self._query())
        finally:
            self._lane.breaker.release(self._lane.clock.now())
        return True

    def _learn_channel(self, found: ChannelInfo) -> None:
        if found.problem is None:
            self.channel, self._retry_at = found.channel, None

    async def _may_query(self) -> bool:
        """Wait until this host's limit allows a request; False while the server blocks the host."""
        host, now = self._lane.limiter.address, self._lane.clock.now
        while (when := host.ready_at(now())) > now():
            if host.is_blocked(now()):
                return False
            await trio.sleep_until(when)
        return True

    async def _query(self) -> ChannelInfo:
        host, now, found = self._lane.limiter.address, self._lane.clock.now, ChannelInfo()
        host.acquire(now(), expedited=True)
        try:
            with self._lane.in_flight_timer():
                found = redacted_struct(await self._lane.destination.discover())
        finally:
            if is_unsent(found.problem):
                host.cancel(expedited=True)
            else:
                host.release(now(), expedited=True)
        host.on_response(now(), invalid=found.invalid)
        return found
