"""Requests take turns, owner by owner: an owner with a thousand requests delays each other owner by at most one round.

The weight of a request is its bytes, at least LIGHT, because they bound the memory of the decoded request. The weight of a question
(`status`, `queue`, ...) is QUESTION, because its size says nothing about its answer. All requests in service weigh at most `capacity`.
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
    """A semaphore of bytes, fair between owners."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = capacity
        self._waiting: OrderedDict[Owner, deque[_Waiter]] = OrderedDict()  # ordered: the next turn is the first owner's

    async def acquire(self, owner: Owner, weight: int) -> int:
        """Wait until a request of this weight may be served; the weight to `release` afterwards."""
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
        """Acquire without waiting, if possible; whether it was. `weight` is at most the capacity."""
        if self._waiting or weight > self._free:
            return False
        self._free -= weight
        return True

    def release(self, weight: int) -> None:
        """Return the weight of a request that has been served."""
        self._free += weight
        self._grant()

    @property
    def waiting(self) -> int:
        """The number of requests that wait for their turn."""
        return sum(map(len, self._waiting.values()))

    def _grant(self) -> None:
        """Grant turns in order. The next request waits until all of its weight is free: else large ones would never be served."""
        while self._waiting:
            owner, waiters = next(iter(self._waiting.items()))
            if waiters[0].weight > self._free:
                return
            waiter = waiters.popleft()
            self._free -= waiter.weight
            waiter.granted.set()
            del self._waiting[owner]
            if waiters:
                self._waiting[owner] = waiters  # after all other owners

    def _withdraw(self, owner: Owner, waiter: _Waiter) -> None:
        if waiter.granted.is_set():
            self.release(waiter.weight)
            return
        self._waiting[owner].remove(waiter)
        if not self._waiting[owner]:
            del self._waiting[owner]
        self._grant()


class Turn:
    """The weight that one request holds of `turns`."""

    def __init__(self, turns: RequestTurns, slot: Slot, weight: int = 0) -> None:
        self._turns = turns
        self._slot = slot
        self._weight = weight

    async def acquire(self, weight: int) -> None:
        """Release the present weight, and wait for another."""
        self.release()
        weight = min(weight, self._turns.capacity)
        if not self._turns.acquire_nowait(weight):
            self._slot.enter(Phase.QUEUED)
            await self._turns.acquire(self._slot.owner, weight)
            self._slot.enter(Phase.SERVED)
        self._weight = weight

    def release(self) -> None:
        """Return the weight. Releasing twice does no harm."""
        weight, self._weight = self._weight, 0
        if weight:
            self._turns.release(weight)

    def transfer(self) -> Turn:
        """Hand the weight to a new Turn, for a task that outlives the request."""
        weight, self._weight = self._weight, 0
        return Turn(self._turns, self._slot, weight)
