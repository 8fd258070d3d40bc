"""Requests take turns, owner by owner: whoever sends a thousand at once delays his own, and nobody else's by more than one round.

A request weighs its bytes, and at least LIGHT, because what it becomes is bounded by them; a question (`status`, `queue`, ...) weighs
QUESTION, because its answer is not. What is served at the same time weighs at most `capacity` together.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import trio

from .connection_table import Phase, Slot
from .owners import Owner

LIGHT = 4 * 2**10
QUESTION = 64 * 2**10


class _Waiter:
    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.granted = trio.Event()


class RequestTurns:
    """A semaphore of bytes that is fair between owners."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = capacity
        self._waiting: OrderedDict[Owner, deque[_Waiter]] = OrderedDict()  # the owner whose turn is next comes first

    async def acquire(self, owner: Owner, weight: int) -> int:
        """Wait until a request of this weight may be served; what to `release` afterwards."""
        weight = min(weight, self.capacity)
        if self.acquire_nowait(weight):
            return weight
        waiter = _Waiter(weight)
        self._waiting.setdefault(owner, deque()).append(waiter)
        try:
            await waiter.granted.wait()
        except BaseException:
            self._withdraw(owner, waiter)
            raise
        return weight

    def acquire_nowait(self, weight: int) -> bool:
        """Whether a request of this weight, which is at most the capacity, may be served without waiting."""
        if self._waiting or weight > self._free:
            return False
        self._free -= weight
        return True

    def release(self, weight: int) -> None:
        """A request of this weight has been served."""
        self._free += weight
        self._grant()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(map(len, self._waiting.values()))

    def _grant(self) -> None:
        """Whoever is next waits until there is room for all of his request, or large ones would wait for ever."""
        while self._waiting:
            owner, waiters = next(iter(self._waiting.items()))
            if waiters[0].weight > self._free:
                return
            waiter = waiters.popleft()
            self._free -= waiter.weight
            waiter.granted.set()
            del self._waiting[owner]
            if waiters:
                self._waiting[owner] = waiters  # behind all others

    def _withdraw(self, owner: Owner, waiter: _Waiter) -> None:
        if waiter.granted.is_set():
            self.release(waiter.weight)
            return
        self._waiting[owner].remove(waiter)
        if not self._waiting[owner]:
            del self._waiting[owner]
        self._grant()


class Turn:
    """What one request holds of `turns`."""

    def __init__(self, turns: RequestTurns, slot: Slot, weight: int = 0) -> None:
        self._turns = turns
        self._slot = slot
        self._weight = weight

    async def acquire(self, weight: int) -> None:
        """Wait until a request of this weight may be served, instead of what was held before."""
        self.release()
        weight = min(weight, self._turns.capacity)
        if not self._turns.acquire_nowait(weight):
            self._slot.enter(Phase.QUEUED)
            await self._turns.acquire(self._slot.owner, weight)
            self._slot.enter(Phase.SERVED)
        self._weight = weight

    def release(self) -> None:
        """The request has been served. Ending twice does no harm."""
        weight, self._weight = self._weight, 0
        if weight:
            self._turns.release(weight)

    def transfer(self) -> Turn:
        """The same turn for a task that goes on after this request."""
        weight, self._weight = self._weight, 0
        return Turn(self._turns, self._slot, weight)
