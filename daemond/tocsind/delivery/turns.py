"""A channel: what several lanes lead into, one request at a time. It is where they stand in line for their turn.

    lane a, sender URGENT --.
    lane a, sender LOW    --+--> the line --> turn: nobody is in flight, mine may go, and nobody before me may
    lane b, sender NORMAL --'

A turn is the right to send one request. Of all who may go now the most pressing does, and among those equally pressing who has waited
longest; so an URGENT one whose own webhook is closed holds nobody up. Requests into a channel never overlap, so what comes back teaches the
gates in the order in which it happened; and a destination that shares its far end with nobody is a channel of its own.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

import trio

from tocsind.clock import Clock
from tocsind.policy.delivery import Priority
from tocsind.policy.rate_limits import ChannelLimit as Scope


class TurnWaiter(Protocol):
    """Who waits for a turn."""

    @property
    def priority(self) -> Priority:
        """How pressing it is."""

    def has_work(self) -> bool:
        """Whether there is still something to send: others may have taken it along."""

    def ready_at(self, now: float) -> float:
        """When its own gate and breaker let it go."""


class TurnQueue:
    """The line and the turn. `name` is what the journal calls it, `scope` what limits it."""

    def __init__(self, name: str, scope: Scope, clock: Clock) -> None:
        self.name = name
        self.scope = scope
        self._clock = clock
        self._waiting: list[TurnWaiter] = []
        self.busy = False
        self.turns = 0  # so many were taken
        self._changed = trio.Event()  # replaced each time it is set

    def __repr__(self) -> str:
        return f"<Channel {self.name}: {len(self._waiting)} in line{', one in flight' if self.busy else ''}>"

    async def acquire(self, asker: TurnWaiter) -> bool:
        """Wait for the turn and take it; False when there is nothing left to send."""
        self._waiting.append(asker)
        try:
            # All who were woken with us are in line before we look who is; and whoever is told to stop while the next try is already due
            # stops here: what follows is shielded, and a disabled lane would go on asking for ever.
            await trio.lowlevel.checkpoint()
            while asker.has_work():
                now = self._clock.now()
                when = self._when(asker, now)
                if when <= now:
                    self.busy = True
                    self.turns += 1
                    return True
                await self._wait_for_change(when)
            return False
        finally:
            self._waiting.remove(asker)
            self.notify()

    def stays(self) -> bool:
        """Whether the turn may go on with another request, as a new turn: no other sender in line could send now."""
        now = self._clock.now()
        if any(other.ready_at(now) <= now and other.has_work() for other in self._waiting):
            return False
        self.turns += 1
        return True

    def release(self) -> None:
        """Give the turn back."""
        self.busy = False
        self.notify()

    def notify(self) -> None:
        """Something is different: let all in line look again."""
        self._changed.set()
        self._changed = trio.Event()

    async def _wait_for_change(self, at_most_until: float) -> None:
        changed = self._changed
        with trio.move_on_at(at_most_until):
            await changed.wait()

    def _when(self, asker: TurnWaiter, now: float) -> float:
        if self.busy:
            return inf
        mine = asker.ready_at(now)
        return mine if mine > now or not any(other.ready_at(now) <= now for other in self._order(asker)) else inf

    def _order(self, asker: TurnWaiter) -> list[TurnWaiter]:
        place = self._waiting.index(asker)
        return [
            other
            for index, other in enumerate(self._waiting)
            if (other.priority, index) < (asker.priority, place) and other.has_work()
        ]
