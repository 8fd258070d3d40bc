"""One priority's sender: it reads its part of the queue through a bounded window, waits for its turn, and sends.

    journal -- feed --> channel (64) -- send --> held (deferred, each with its own due time)

`feed` follows the journal with a cursor; `rewind` sets it back when something old was queued again. `out` holds the numbers that are in
memory, so that a rewind never hands out one twice. A delivery leaves `out` when it is settled, or when `begin` would not let us claim it.

The batch is formed after the turn was given, so that what came while we waited still joins, and what is due again goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Protocol

import msgspec
import trio

from .clock import Clock
from .destinations import Destination
from .policy.delivery import Delivery, Priority, Settlement, State
from .policy.outcomes import Outcome

WINDOW = 64  # deliveries of one priority in memory; the rest of a backlog stays on disk


class Lane(Protocol):
    """What a sender needs of the lane it belongs to."""

    clock: Clock
    destination: Destination

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next of this lane's queue."""

    async def admit(self, priority: Priority) -> None:
        """Wait for this priority's turn, and take it."""

    def leave(self) -> None:
        """Give the turn back."""

    async def begin(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Claim what may be sent, and count the request."""

    async def settle(self, batch: Sequence[Delivery], outcomes: Sequence[Outcome]) -> list[Settlement]:
        """Learn from outcomes and write them down."""


class Sender:
    """Feeds and sends the deliveries of one priority of one lane."""

    def __init__(self, lane: Lane, priority: Priority) -> None:
        self._lane = lane
        self._priority = priority
        self._inlet, self._outlet = trio.open_memory_channel[Delivery](WINDOW)
        self._next: list[Delivery] = []  # taken from the channel, not yet in a batch
        self._held: list[tuple[float, Delivery]] = []  # deferred: due time on the monotonic clock
        self._out: set[int] = set()
        self._cursor = 0
        self._more = trio.Event()
        self._rewound = False
        self._rest = trio.CancelScope()  # while there is nothing to send
        self._in_flight = trio.CancelScope()

    def wake(self) -> None:
        """There is something new in the journal."""
        self._more.set()

    def rewind(self) -> None:
        """Something old was queued again."""
        self._rewound = True
        self._more.set()

    def abandon(self) -> None:
        """Stop waiting for an answer: the attempt stays open on record, and the next start knows it as ambiguous."""
        self._in_flight.cancel()

    def hurry(self) -> None:
        """The far end is back: what waited for its next try is due now."""
        now = self._lane.clock.now()
        self._held = [(min(due, now), delivery) for due, delivery in self._held]
        self._rest.cancel()

    async def feed(self) -> None:
        """Keep the window full."""
        while True:
            self._more = trio.Event()  # before looking: what comes meanwhile is not missed
            if not await self.look():
                await self._more.wait()

    async def look(self) -> bool:
        """Read on in the journal, a window at most; whether there may be more."""
        if self._rewound:
            self._cursor, self._rewound = 0, False
        batch = await self._lane.feed(self._priority, self._cursor, WINDOW)
        for delivery in batch:
            self._cursor = delivery.number
            if delivery.number not in self._out:
                self._out.add(delivery.number)
                await self._inlet.send(delivery)
        return len(batch) == WINDOW

    async def send(self) -> None:
        """Send, one batch a turn, for ever."""
        while True:
            await self._something_to_send()
            await self._lane.admit(self._priority)
            try:
                await self._attempt(self._form_batch())
            finally:
                self._lane.leave()

    async def _something_to_send(self) -> None:
        while not self._next and self._next_due() > self._lane.clock.now():
            full = len(self._held) >= WINDOW  # a far end that fails now and then must not fill the memory
            if not full and self._take():
                return  # without a checkpoint: who has more to send is in line again before the turn goes to the less pressing
            with trio.move_on_at(self._next_due()) as self._rest:
                if full:
                    await trio.sleep_forever()
                self._next.append(await self._outlet.receive())

    def _take(self) -> bool:
        """One more out of the channel, if there is one."""
        try:
            self._next.append(self._outlet.receive_nowait())
        except trio.WouldBlock:
            return False
        return True

    def _next_due(self) -> float:
        return min((due for due, _ in self._held), default=inf)

    def _form_batch(self) -> list[Delivery]:
        """What is due again first, then in order of acceptance, as many as one request carries."""
        now, most = self._lane.clock.now(), self._lane.destination.most
        due = sorted((delivery for at, delivery in self._held if at <= now), key=lambda delivery: delivery.number)
        self._held = [(at, delivery) for at, delivery in self._held if at > now]
        self._next = due + self._next
        while len(self._next) < most and self._take():
            pass
        batch, self._next = self._next[:most], self._next[most:]
        return batch

    async def _attempt(self, batch: Sequence[Delivery]) -> None:
        """From the claim to the settlement in one piece: leaving finishes what is in flight, bounded by the destination's deadline."""
        with trio.CancelScope(shield=True) as self._in_flight:
            claimed = await self._lane.begin(batch)
            self._out.difference_update({d.number for d in batch} - {d.number for d in claimed})
            if claimed:
                outcomes = await self._lane.destination.deliver(claimed)
                self._keep(claimed, await self._lane.settle(claimed, outcomes))

    def _keep(self, batch: Sequence[Delivery], settlements: Sequence[Settlement]) -> None:
        now = self._lane.clock.now()
        for delivery, settlement in zip(batch, settlements, strict=True):
            if settlement.state is State.QUEUED:
                self._held.append((now + settlement.wait, _again(delivery, settlement)))
            else:
                self._out.discard(delivery.number)


def _again(delivery: Delivery, settlement: Settlement) -> Delivery:
    return msgspec.structs.replace(delivery, doubt=settlement.doubt, unknowns=settlement.unknowns)
