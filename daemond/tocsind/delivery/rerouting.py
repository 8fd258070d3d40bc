"""Watches the outage of one lane: moves deliveries whose patience is over, and finds out when the destination is back.

`policy.patience` decides; the two tasks here act. They sleep while the destination works. The lane wakes them when a request fails, when a
delivery arrives during an outage, and when another lane learns what concerns this one as well (a shared block, a fallback that works
again).

A request in flight finishes first: the journal moves only queued deliveries, and the lane wakes these tasks after each attempt.
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
from tocsind.policy.patience import Outage, ShutOut

from .lane_view import OutageView
from .store import DeliveryStore

ROUND_INTERVAL = 0.05  # s between two rounds: a burst of arrivals during an outage moves in chunks


class Lane(Protocol):
    """What rerouting needs of its lane."""

    name: str
    options: DestinationOptions
    clock: Clock
    breaker: Breaker
    limiter: Limiter
    disabled: str | None

    def is_idle(self) -> bool:
        """Whether no request is in flight and no delivery waits: then no delivery will show whether the destination works."""

    def moved(self, numbers: Collection[int]) -> None:
        """These deliveries moved to a fallback."""

    def notify(self) -> None:
        """Let all waiting senders check again whether they may send."""

    async def probe_by_query(self) -> None:
        """Send a query in place of a delivery; a failure counts as a failed probe."""

    async def save(self) -> None:
        """Save what the next run of the daemon must know."""


class Rerouting:
    """The outage of one lane. `run` runs until cancelled, beside the lane's senders."""

    def __init__(self, lane: Lane, store: DeliveryStore) -> None:
        self.outage = Outage()
        self.shut_out: ShutOut | None = None  # as hosts tell each other
        self.stands_by = False  # another host sends, and this lane's own outage says nothing
        self._lane = lane
        self._store = store
        self._recheck = trio.Event()  # replaced each time it is set
        self._runs = False
        self._in_round = False  # a round is due, or under way

    async def run(self) -> None:
        """Two tasks: a query may take seconds, and deliveries that arrive during it must move at once."""
        self._runs = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat, self._move_due)
            nursery.start_soon(self._repeat, self._ask_if_due)

    async def _repeat(self, act: Callable[[], Awaitable[float]]) -> None:
        """Call `act`, then sleep until the instant that it returned, or until `recheck`."""
        while True:
            recheck = self._recheck  # taken before acting, so that no change is missed
            when = await act()
            if self._is_on:
                await trio.sleep(ROUND_INTERVAL)
            with trio.move_on_at(when):
                await recheck.wait()

    def recheck(self) -> None:
        """Something has changed: begin a round."""
        self._in_round = True
        self._recheck.set()
        self._recheck = trio.Event()

    def arrived(self) -> None:
        """A delivery waits; during an outage or a block it may have to move."""
        if self._runs and (self._is_on or self._blocked_for() > 0):
            self.recheck()

    def stand_by(self, shut_out: ShutOut | None, *, sends: bool) -> None:
        """Whether this host sends, and why the other hosts do not send for it."""
        if (self.shut_out, self.stands_by) != (shut_out, not sends):
            self.shut_out, self.stands_by = shut_out, not sends
            self.recheck()
            self._store.notify_lanes()

    def answered(self) -> None:
        """The server answered a delivery: an outage is over."""
        if self.outage.since is not None:
            self.outage.on_answer()
            self._store.notify_lanes()

    def is_rerouting(self, now: float, priority: Priority) -> bool:
        """Whether a sender must wait because its deliveries may be about to move. What stays after the round may be tried here."""
        return self._in_round and self._over_at(priority) <= now

    def works(self) -> bool:
        """Whether the destination can take over for another one."""
        if self.shut_out is not None and Priority.URGENT in self.shut_out.waits:
            return False
        return self.stands_by or (self._lane.disabled is None and self.outage.works(self._blocked_for()))

    def is_over(self) -> bool:
        """Whether the outage has lasted longer than the patience of a priority: what arrives with that priority moves at once."""
        return min(self._ends()) <= self._lane.clock.now()

    def why(self) -> str:
        """What is wrong and since when, for people."""
        if self.shut_out is not None:
            return f"{self._lane.name} takes nothing from this host: {self.shut_out.reason}"
        since = datetime.fromtimestamp(self._lane.clock.wall() - self.outage.duration(self._lane.clock.now()), UTC)
        how = "failing" if self.outage.fails else "shut out"
        return f"{self._lane.name} has been {how} since {since:%Y-%m-%dT%H:%M:%SZ}: {self.outage.reason}"

    def moves_after(self, priority: Priority) -> float:
        """Seconds until waiting deliveries of this priority move, if a fallback works then; infinity without an outage."""
        return self._over_at(priority) - self._lane.clock.now()

    @property
    def reason(self) -> str:
        """What is wrong."""
        return self.shut_out.reason if self.shut_out else self.outage.reason or ""

    def snapshot(self) -> OutageView:
        """The outage at this instant, for observers."""
        return OutageView(
            is_on=self.outage.is_on,
            fails=self.outage.fails,
            seconds=self.outage.duration(self._lane.clock.now()),
            is_over_patience=self.is_over(),
            moves_after={each: self.moves_after(each) for each in Priority},
        )

    @property
    def _is_on(self) -> bool:
        return self.shut_out is not None or (self.outage.is_on and not self.stands_by)

    def _over_at(self, priority: Priority) -> float:
        patience = self._lane.options.patience.of(priority)
        own = inf if self.stands_by else self.outage.over_at(patience)
        return own if self.shut_out is None else min(own, self.shut_out.over_at(priority, patience))

    def _blocked_for(self) -> float:
        return self._lane.limiter.blocked_for(self._lane.clock.now())

    async def _move_due(self) -> float:
        """Move all deliveries whose patience is over. Returns when the patience of the next priority is over."""
        recheck, self._in_round = self._recheck, True
        await self._notice_block()
        now = self._lane.clock.now()
        while self._is_on and (self._lane.disabled is None or self.stands_by) and await self._move_chunk(now):
            await trio.lowlevel.checkpoint()
            now = self._lane.clock.now()
        self._in_round = recheck.is_set()
        self._lane.notify()
        return min((end for end in self._ends() if end > now), default=inf)  # an end during this round is due now

    async def _notice_block(self) -> None:
        """Begin an outage for a block that another lane met, in a limit that this lane shares."""
        if self._blocked_for() > 0 and not self.outage.is_on and not self.stands_by:
            self.outage.on_block(self._lane.clock.now(), self._lane.limiter.blocked_because(self._lane.clock.now()))
            await self._lane.save()

    async def _move_chunk(self, now: float) -> bool:
        """Move some deliveries; whether any moved. Shielded, so that the lane learns of each move that the journal has made."""
        over = [priority for priority, end in zip(Priority, self._ends(), strict=True) if end <= now]
        if not over and self.works():
            return False
        with trio.CancelScope(shield=True):
            moved = await self._store.reroute(self._lane.name, over, self.why(), hurried=not self.works())
        self._lane.moved(moved)
        if moved:
            self.recheck()  # perhaps no delivery is left that would show when the destination is back
        return bool(moved)

    def _ends(self) -> list[float]:
        """When each priority's patience is over."""
        return [self._over_at(priority) for priority in Priority]

    async def _ask_if_due(self) -> float:
        """Probe by a query when that is due and no delivery will show whether the destination is back. Returns when to check next."""
        if self._lane.disabled is not None or self.stands_by or not self._lane.is_idle():
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
