"""A lane's watch over its outage: it moves what has waited longer than its patience, and finds out when the destination is back.

`policy.patience` decides; this task acts. It sleeps while all is well: the lane stirs it when a request fails, when something arrives
during an outage, and when another lane was told something that concerns this one too (a shared block, a fallback that works again).

A request in flight is finished first: the journal moves only what is queued, and the lane stirs this task after each attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from math import inf
from typing import Protocol

import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.policy.breaker import Breaker, Phase
from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import Limiter
from tocsind.policy.patience import Outage

from .lane_view import OutageView
from .store import DeliveryStore

ROUND_INTERVAL = 0.05  # s between two looks at the queue: a burst of arrivals during an outage is moved in chunks


class Lane(Protocol):
    """What the watch needs of its lane."""

    name: str
    options: DestinationOptions
    clock: Clock
    breaker: Breaker
    limiter: Limiter
    disabled: str | None

    def is_idle(self) -> bool:
        """Whether nothing is with the far end, and nothing waits here that could show whether it works."""

    def moved(self, numbers: Collection[int]) -> None:
        """These deliveries are not this lane's any more."""

    def notify(self) -> None:
        """What may be sent, and when, is to be decided anew."""

    async def probe_by_query(self) -> None:
        """Ask the far end, and learn from its answer; the breaker lets one request out."""

    async def save(self) -> None:
        """Keep what must be known after a restart."""


class Rerouting:
    """Runs until cancelled, beside the lane's senders."""

    def __init__(self, lane: Lane, books: DeliveryStore) -> None:
        self.outage = Outage()
        self._lane = lane
        self._store = books
        self._recheck = trio.Event()  # replaced each time it is set
        self._runs = False
        self._in_round = False  # a look at the queue is due, or under way

    async def run(self) -> None:
        """Move what is due, and ask what is due: a question may take its time, and what arrives meanwhile moves at once."""
        self._runs = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat, self._move_due)
            nursery.start_soon(self._repeat, self._ask_if_due)

    async def _repeat(self, act: Callable[[], Awaitable[float]]) -> None:
        """Act, and sleep until the instant that it answers or until something has changed."""
        while True:
            stirred = self._recheck  # before acting: what changes meanwhile is not missed
            when = await act()
            if self.outage.is_on:
                await trio.sleep(ROUND_INTERVAL)
            with trio.move_on_at(when):
                await stirred.wait()

    def recheck(self) -> None:
        """Something has changed: look again."""
        self._in_round = True
        self._recheck.set()
        self._recheck = trio.Event()

    def arrived(self) -> None:
        """Something new waits; only during an outage that is a reason to look."""
        if self._runs and (self.outage.is_on or self._blocked_for() > 0):
            self.recheck()

    def answered(self) -> None:
        """A delivery got an answer: if there was an outage, it is over."""
        if self.outage.since is not None:
            self.outage.on_answer()
            self._store.notify_lanes()

    def is_rerouting(self, now: float, priority: Priority) -> bool:
        """Whether a sender must wait because what it has may be about to move. What stays after the look may be tried here."""
        return self._in_round and self.outage.over_at(self._lane.options.patience.of(priority)) <= now

    def works(self) -> bool:
        """Whether the destination can stand in for another."""
        return self._lane.disabled is None and self.outage.works(self._blocked_for())

    def is_over(self) -> bool:
        """Whether the outage has lasted longer than the patience of some priority: what arrives with that one moves at once."""
        return min(self._ends()) <= self._lane.clock.now()

    def why(self) -> str:
        """What is wrong and since when, for people."""
        since = datetime.fromtimestamp(self._lane.clock.wall() - self.outage.duration(self._lane.clock.now()), UTC)
        how = "failing" if self.outage.fails else "shut out"
        return f"{self._lane.name} has been {how} since {since:%Y-%m-%dT%H:%M:%SZ}: {self.outage.reason}"

    def moves_after(self, priority: Priority) -> float:
        """Seconds until what waits with this priority moves, if a fallback works then; infinity while there is no outage."""
        return self.outage.over_at(self._lane.options.patience.of(priority)) - self._lane.clock.now()

    def snapshot(self) -> OutageView:
        """The outage at this instant, for observers."""
        return OutageView(
            is_on=self.outage.is_on,
            fails=self.outage.fails,
            seconds=self.outage.duration(self._lane.clock.now()),
            is_over_patience=self.is_over(),
            moves_after={each: self.moves_after(each) for each in Priority},
        )

    def _blocked_for(self) -> float:
        return self._lane.limiter.blocked_for(self._lane.clock.now())

    async def _move_due(self) -> float:
        """Hand over all that has waited long enough; when the next priority has."""
        stirred, self._in_round = self._recheck, True
        await self._notice_block()
        now = self._lane.clock.now()
        while self.outage.is_on and self._lane.disabled is None and await self._move_chunk(now):
            await trio.lowlevel.checkpoint()
            now = self._lane.clock.now()
        self._in_round = stirred.is_set()
        self._lane.notify()
        return min((end for end in self._ends() if end > now), default=inf)  # one that came during the look is due now

    async def _notice_block(self) -> None:
        """A block that another lane was told of, in a scope that this lane shares."""
        if self._blocked_for() > 0 and not self.outage.is_on:
            self.outage.on_block(self._lane.clock.now(), self._lane.limiter.blocked_because(self._lane.clock.now()))
            await self._lane.save()

    async def _move_chunk(self, now: float) -> bool:
        """Shielded: whatever the journal has moved, its new lane is told."""
        over = [priority for priority, end in zip(Priority, self._ends(), strict=True) if end <= now]
        if not over and self.works():
            return False
        with trio.CancelScope(shield=True):
            moved = await self._store.reroute(self._lane.name, over, self.why(), hurried=not self.works())
        self._lane.moved(moved)
        if moved:
            self.recheck()  # perhaps nothing is left here now that could show when the destination is back
        return bool(moved)

    def _ends(self) -> list[float]:
        """When each priority's patience is over."""
        return [self.outage.over_at(self._lane.options.patience.of(priority)) for priority in Priority]

    async def _ask_if_due(self) -> float:
        """Find out whether it is back when that is due and no delivery will show; when it is due next."""
        if self._lane.disabled is not None or not self._lane.is_idle():
            return inf
        now = self._lane.clock.now()
        due = self.outage.probe_at(max(self._lane.breaker.ready_at(now), now + self._blocked_for()))
        if due > now:
            return due
        if self._lane.breaker.phase is Phase.READY:
            self.outage.on_recovery(now)
        else:
            await self._lane.probe_by_query()
        self._store.notify_lanes()
        return now
