"""The turn queue of a channel: several lanes may send to one channel, and each request needs a turn.

    lane a, sender URGENT --.
    lane a, sender LOW    --+--> turn queue --> turn: no request is in flight, this sender may send now, and none before it may
    lane b, sender NORMAL --'

Of all senders that may send now, the highest priority gets the turn; among equal priorities, the longest wait. So an URGENT sender whose
own webhook is limited holds up no other sender. Requests to a channel never overlap, so the limiters learn from responses in the order in
which the requests were made. A destination that shares its channel with no other has a turn queue of its own.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

import trio

from tocsind.clock import Clock
from tocsind.policy.delivery import Priority
from tocsind.policy.rate_limits import ChannelLimit


class TurnWaiter(Protocol):
    """What waits for a turn: a sender."""

    @property
    def priority(self) -> Priority:
        """Of the deliveries that it sends."""

    def has_work(self) -> bool:
        """Whether there is still a delivery to send: another sender's batch may have taken it."""

    def ready_at(self, now: float) -> float:
        """When its own limiter and breaker allow a request."""


class TurnQueue:
    """The senders that wait, and the turn. `name` is the channel's name in the journal, `limit` the channel's rate limit."""

    def __init__(self, name: str, limit: ChannelLimit, clock: Clock) -> None:
        self.name = name
        self.limit = limit
        self._clock = clock
        self._waiting: list[TurnWaiter] = []
        self.busy = False
        self.turns = 0  # given so far
        self._changed = trio.Event()  # replaced each time it is set

    def __repr__(self) -> str:
        return f"<TurnQueue {self.name}: {len(self._waiting)} waiting{', one in flight' if self.busy else ''}>"

    async def acquire(self, waiter: TurnWaiter) -> bool:
        """Wait for the turn; False when the waiter has nothing left to send. The caller must `release` the turn."""
        self._waiting.append(waiter)
        try:
            # The checkpoint has two purposes. Senders that were woken together are all in the queue before the first of them looks at it.
            # A sender that is cancelled stops here: the steps of an attempt are shielded, and a disabled lane would send for ever.
            await trio.lowlevel.checkpoint()
            while waiter.has_work():
                now = self._clock.now()
                when = self._turn_at(waiter, now)
                if when <= now:
                    self.busy = True
                    self.turns += 1
                    return True
                await self._wait_for_change(when)
            return False
        finally:
            self._waiting.remove(waiter)
            self.notify()

    def stays(self) -> bool:
        """Whether the holder may make another request, counted as a new turn: no other waiter could send now."""
        now = self._clock.now()
        if any(other.ready_at(now) <= now and other.has_work() for other in self._waiting):
            return False
        self.turns += 1
        return True

    def release(self) -> None:
        """End the turn."""
        self.busy = False
        self.notify()

    def notify(self) -> None:
        """Let all waiters check again whether they may send."""
        self._changed.set()
        self._changed = trio.Event()

    async def _wait_for_change(self, until: float) -> None:
        changed = self._changed
        with trio.move_on_at(until):
            await changed.wait()

    def _turn_at(self, waiter: TurnWaiter, now: float) -> float:
        if self.busy:
            return inf
        ready_at = waiter.ready_at(now)
        return (
            ready_at if ready_at > now or not any(other.ready_at(now) <= now for other in self._before(waiter)) else inf
        )

    def _before(self, waiter: TurnWaiter) -> list[TurnWaiter]:
        position = self._waiting.index(waiter)
        return [
            other
            for index, other in enumerate(self._waiting)
            if (other.priority, index) < (waiter.priority, position) and other.has_work()
        ]
