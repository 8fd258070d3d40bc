"""The two neighbours of a lane, in memory: a destination that answers what it is told to, and the books of what is owed.

Both are honest: they decide nothing that the real ones leave to others, and settle by the same law. `MemoryBooks` forgets everything
with the process, and of a fallback it keeps the name only. One contract runs over it and over dispatch with a real journal
(tests/daemon/test_lane_books.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import trio

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.journal import LaneMemory
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement, State, expired, settle
from tocsind.policy.outcomes import Delivered, Outcome
from tocsind.policy.routes import chain


class Try(msgspec.Struct, frozen=True):
    """One call of `deliver`: when (monotonic seconds) and with what."""

    at: float
    batch: tuple[Delivery, ...]


class MemoryDestination:
    """Answers from `script`, one line a call, and `otherwise` when it is used up. A call takes `seconds`, and waits for the `hold`."""

    def __init__(
        self, script: Iterable[Outcome] = (), *, otherwise: Outcome | None = None, most: int = 1, seconds: float = 0.0
    ) -> None:
        self.script = deque(script)
        self.otherwise: Outcome = Delivered() if otherwise is None else otherwise
        self.seconds = seconds
        self.tries: list[Try] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.cut_off = 0
        self.closed = False
        self._most = most
        self._held: trio.Event | None = None

    @property
    def most(self) -> int:
        return self._most

    @property
    def titles(self) -> list[str]:
        """What it was given, in order."""
        return [delivery.signal.title for each in self.tries for delivery in each.batch]

    @property
    def times(self) -> list[float]:
        """When it was called, counted from the first call."""
        return [each.at - self.tries[0].at for each in self.tries]

    def hold(self) -> None:
        """Take calls and answer none, until `release`."""
        self._held = trio.Event()

    def release(self) -> None:
        """Answer again."""
        if self._held is not None:
            self._held.set()
        self._held = None

    async def deliver(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        self.tries.append(Try(trio.current_time(), tuple(batch)))
        outcome = self.script.popleft() if self.script else self.otherwise
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await trio.sleep(self.seconds)
            if self._held is not None:
                await self._held.wait()
        except trio.Cancelled:
            self.cut_off += 1
            raise
        finally:
            self.in_flight -= 1
        return [outcome] * len(batch)

    async def aclose(self) -> None:
        self.closed = True


class Nudged(Protocol):
    """A lane, as far as its books call it."""

    def wake(self, priority: Priority) -> None:
        """There is something new."""

    def rewind(self) -> None:
        """Something old came back."""


class _Entry:
    """A delivery and where it stands."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.state = State.QUEUED
        self.reason: str | None = None


class MemoryBooks:
    """What a lane asks of dispatch, without a disk. `jitter` is a constant draw; `chunk` is what one `divert` moves."""

    def __init__(
        self,
        clock: Clock,
        fallbacks: Mapping[str, Sequence[str]] | None = None,
        *,
        jitter: float = 0.5,
        chunk: int = 500,
    ) -> None:
        self.lanes: dict[str, Nudged] = {}
        self.memories: dict[str, LaneMemory] = {}
        self.requests: defaultdict[str, list[float]] = defaultdict(list)
        self.settlements: list[Settlement] = []
        self.fed: list[int] = []
        self._clock = clock
        self._fallbacks = fallbacks or {}
        self._jitter: Callable[[], float] = lambda: jitter
        self._chunk = chunk
        self._entries: dict[int, _Entry] = {}
        self._owed: set[tuple[str, str]] = set()
        self._queues: defaultdict[tuple[str, Priority], list[int]] = defaultdict(list)

    # --- what tests do and ask --------------------------------------------------------------------------------------------

    def owe(self, destination: str, title: str, priority: Priority = Priority.NORMAL, **fields: Any) -> int:
        """A signal was accepted; the number of its delivery."""
        return self._owe(destination, Signal(title, **fields), priority)

    def _owe(self, destination: str, signal: Signal, priority: Priority) -> int:
        number, now = len(self._entries) + 1, self._clock.wall()
        deadline = None if signal.expires is None else now + signal.expires
        self._entries[number] = _Entry(Delivery(number, signal, destination, priority, now, deadline))
        self._queues[destination, priority].append(number)
        self._owed.add((signal.id, destination))
        if destination in self.lanes:
            self.lanes[destination].wake(priority)
        return number

    def state(self, number: int) -> State:
        """Where a delivery stands."""
        return self._entries[number].state

    def reason(self, number: int) -> str | None:
        """And why."""
        return self._entries[number].reason

    def titles(self, state: State, destination: str) -> list[str]:
        """What stands there, in order of acceptance."""
        return [
            entry.delivery.signal.title
            for entry in self._entries.values()
            if entry.state is state and entry.delivery.destination == destination
        ]

    def drop(self, number: int) -> None:
        """A person drops a delivery that waits."""
        self._entries[number].state = State.DROPPED

    def revive(self, number: int) -> None:
        """A person puts a delivery back."""
        entry = self._entries[number]
        entry.state = State.QUEUED
        entry.delivery = msgspec.structs.replace(entry.delivery, first_try=None, unknowns=0)
        self.lanes[entry.delivery.destination].rewind()

    # --- what a lane asks -------------------------------------------------------------------------------------------------

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        await trio.lowlevel.checkpoint()
        queue, found = self._queues[destination, priority], list[Delivery]()
        for place in range(bisect_right(queue, after), len(queue)):
            if len(found) == most:
                break
            entry = self._entries[queue[place]]
            if entry.state is State.QUEUED:
                found.append(entry.delivery)
        self.fed += [delivery.number for delivery in found]
        return found

    async def begin(self, batch: Sequence[Delivery], channel: str) -> list[Delivery]:
        await trio.lowlevel.checkpoint()
        now = self._clock.wall()
        claimed = [self._claim(entry, now) for entry in map(self._entry, batch) if self._may_go(entry, now)]
        if claimed:
            self.requests[channel].append(now)
        return claimed

    def _entry(self, delivery: Delivery) -> _Entry:
        return self._entries[delivery.number]

    def _may_go(self, entry: _Entry, now: float) -> bool:
        return entry.state is State.QUEUED and not expired(entry.delivery, now)

    def _claim(self, entry: _Entry, now: float) -> Delivery:
        before = entry.delivery
        first_try = now if before.first_try is None else before.first_try
        entry.state = State.SENDING
        entry.delivery = msgspec.structs.replace(before, attempts=before.attempts + 1, first_try=first_try)
        return entry.delivery

    async def settle(
        self, batch: Sequence[Delivery], outcomes: Sequence[Outcome], retry: Retry, memory: LaneMemory | None
    ) -> list[Settlement]:
        await trio.lowlevel.checkpoint()
        now = self._clock.wall()
        found = [
            settle(delivery, outcome, now=now, retry=retry, jitter=self._jitter())
            for delivery, outcome in zip(batch, outcomes, strict=True)
        ]
        for delivery, settlement in zip(batch, found, strict=True):
            self._write(self._entry(delivery), settlement)
        if memory is not None:
            self.memories[memory.destination] = memory
        self.settlements += found
        return found

    def _write(self, entry: _Entry, settlement: Settlement) -> None:
        entry.state, entry.reason = settlement.state, settlement.reason
        entry.delivery = msgspec.structs.replace(entry.delivery, doubt=settlement.doubt, unknowns=settlement.unknowns)
        if settlement.elsewhere:
            self._hand_on(entry.delivery)

    def _hand_on(self, delivery: Delivery) -> str | None:
        for name in chain(delivery.destination, self._fallbacks):
            if (delivery.id, name) not in self._owed:
                self._owe(name, delivery.signal, delivery.priority)
                return name
        return None

    async def divert(self, destination: str, reason: str) -> bool:
        await trio.lowlevel.checkpoint()
        if not chain(destination, self._fallbacks):
            return False
        waiting = [
            self._entries[number]
            for priority in Priority
            for number in self._queues[destination, priority]
            if self._entries[number].state is State.QUEUED
        ][: self._chunk]
        for entry in waiting:
            fallback = self._hand_on(entry.delivery)
            entry.state = State.REROUTED if fallback else State.DEAD
            entry.reason = f"to {fallback}: {reason}" if fallback else f"{reason}; no fallback is left"
        return bool(waiting)

    async def recall(self, destination: str) -> tuple[LaneMemory, list[float]]:
        await trio.lowlevel.checkpoint()
        return self.memories.get(destination, LaneMemory(destination)), self.requests[destination]

    async def remember(self, memory: LaneMemory) -> None:
        await trio.lowlevel.checkpoint()
        self.memories[memory.destination] = memory
