"""One priority's sender: it reads its part of the queue through a bounded window, and stands in line for its turn.

    journal -- feed --> channel (64) --> next --.
                                                +--> the lane's message
                    held (deferred) -- due -----'

`feed` follows the journal with a cursor; `rewind` sets it back when something old was queued again. `out` holds the numbers that are in
memory, so that a rewind never hands out one twice. A delivery leaves `out` when it is settled, or when `begin` would not let us claim it.
One that was told by a living message together with another may still stand in the channel while it is settled: the copy that comes out is
passed over. Or it may never have been here; deferred, it stays in the journal, `apart`, until `look_back_at` says to rewind for it.

The message is formed by the lane after the turn was given, so that what came while we waited still joins; what is offered is in order of
acceptance, and what is due again stands among it in its old place. Whoever has the turn may take along what the less pressing offer.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import Protocol

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.journal.digests import FIRST
from tocsind.policy.delivery import Delivery, Priority, Settlement, State

from .lane_view import SenderView

WINDOW = 64  # deliveries of one priority in memory; the rest of a backlog stays on disk


class Lane(Protocol):
    """What a sender needs of the lane it belongs to."""

    clock: Clock

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next of this lane's queue."""

    def on_arrival(self, priority: Priority) -> None:
        """There is more to send."""

    def on_window_read(self) -> None:
        """A sender has seen what there is."""

    async def acquire_turn(self, sender: Sender) -> bool:
        """Wait for this sender's turn, and take it; False when others took along what it had."""

    def ready_at(self, now: float, priority: Priority) -> float:
        """When limiter and breaker allow a batch of this priority."""

    async def attempt(self) -> None:
        """Send one message, and give the turn back."""


class Sender:
    """Feeds and sends the deliveries of one priority of one lane."""

    def __init__(self, lane: Lane, priority: Priority) -> None:
        self.priority = priority
        self._lane = lane
        self._inlet, self._outlet = trio.open_memory_channel[Delivery](WINDOW)
        self._queued: list[Delivery] = []  # taken from the channel or due again, in order, not yet in a message
        self._deferred: list[tuple[float, Delivery]] = []  # deferred: due time on the monotonic clock
        self._left_in_journal: set[int] = set()  # deferred as well, and in the journal only
        self._reread_at = inf  # when the first of those is due
        self._known: set[int] = set()
        self._cursor = FIRST
        self._wake_up = trio.Event()
        self._rewound = False
        self._reads_wanted = False  # in the journal, or is about to
        self.reads = 0  # so many times it has looked
        self._is_full_window = False  # the window is full
        self._sleep_scope = trio.CancelScope()  # while there is nothing to send

    # --- in -----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something new in the journal."""
        self._reads_wanted = True
        self._wake_up.set()

    def rewind(self) -> None:
        """Something old was queued again."""
        self._rewound = True
        self.wake()

    def may_hold_more(self) -> bool:
        """Whether it was told of something that it has not seen yet: the less pressing wait for what it sees."""
        return self._reads_wanted and not self._is_full_window

    async def feed(self) -> None:
        """Keep the window full."""
        while True:
            self._wake_up = trio.Event()  # before looking: what comes meanwhile is not missed
            if not await self.read_window():
                await self._wake_up.wait()

    async def read_window(self) -> bool:
        """Read on in the journal, a window at most; whether there may be more."""
        if self._rewound:
            self._cursor, self._rewound = FIRST, False
        self._reads_wanted = True
        batch = await self._lane.feed(self.priority, self._cursor, WINDOW)
        self._reads_wanted = self._wake_up.is_set()
        for delivery in batch:
            self._cursor = delivery.number
            if delivery.number not in self._known and delivery.number not in self._left_in_journal:
                self._known.add(delivery.number)
                await self._append_read(delivery)
        self.reads += 1
        self._lane.on_window_read()
        return len(batch) == WINDOW

    async def _append_read(self, delivery: Delivery) -> None:
        self._is_full_window = True  # perhaps, and then nobody waits for what is behind it
        await self._inlet.send(delivery)
        self._is_full_window = False
        self._lane.on_arrival(self.priority)

    # --- out ----------------------------------------------------------------------------------------------------------

    async def send(self) -> None:
        """Send, one message a turn, for ever."""
        while True:
            await self._wait_for_work()
            if await self._lane.acquire_turn(self):
                await self._lane.attempt()

    def ready_at(self, now: float) -> float:
        """When the lane's limiter and breaker allow a batch that this sender leads."""
        return self._lane.ready_at(now, self.priority)

    def has_work(self) -> bool:
        """Whether there is something that could be sent now."""
        return bool(self.offers(1))

    def snapshot(self) -> SenderView:
        """The sender at this instant, for observers."""
        return SenderView(self.priority, self.has_work(), self.may_hold_more(), self.reads)

    def offers(self, most: int) -> list[Delivery]:
        """What could go now, in order, at most so many; they stay here until they are taken."""
        self._release_due()
        while len(self._queued) < most and not self._is_full() and self._receive_one():
            pass
        return self._queued[:most]

    def take(self, numbers: Collection[int]) -> None:
        """These are in a message now."""
        self._queued = [delivery for delivery in self._queued if delivery.number not in numbers]

    def forget(self, delivery: Delivery) -> None:
        """It is not ours to send any more."""
        self._known.discard(delivery.number)

    def moved(self, numbers: Collection[int]) -> None:
        """These went to a fallback; a copy that still stands in the channel is passed over when it comes out."""
        self.take(numbers)
        self._deferred = [(due, delivery) for due, delivery in self._deferred if delivery.number not in numbers]
        self._known.difference_update(numbers)

    def is_idle(self) -> bool:
        """Whether nothing is here, and nothing is known to wait in the journal."""
        return not (self._known or self._left_in_journal or self._reads_wanted)

    def requeue(self, delivery: Delivery, settlement: Settlement) -> None:
        """How it ended: what is queued again waits here for its time."""
        self.take({delivery.number})
        self._deferred = [(at, other) for at, other in self._deferred if other.number != delivery.number]
        if settlement.state is State.QUEUED:
            self._defer(delivery, settlement, self._lane.clock.now() + settlement.wait)
            self._sleep_scope.cancel()  # its time may be now, and another sender's turn brought it back
        else:
            self.forget(delivery)

    def _defer(self, delivery: Delivery, settlement: Settlement, due: float) -> None:
        if delivery.number in self._known:
            self._deferred.append((due, _as_retry(delivery, settlement)))
        else:
            self._left_in_journal.add(delivery.number)
            self._reread_at = min(self._reread_at, due)

    def retry_deferred_now(self) -> None:
        """The far end is back: what waited for its next try is due now, in whatever company."""
        now = self._lane.clock.now()
        self._deferred = [
            (min(due, now), msgspec.structs.replace(delivery, max_batch=None)) for due, delivery in self._deferred
        ]
        self._reread_at = now if self._reread_at < inf else inf
        self._sleep_scope.cancel()

    async def _wait_for_work(self) -> None:
        while not self.has_work():
            with trio.move_on_at(self._next_due()) as self._sleep_scope:
                if self._is_full():
                    await trio.sleep_forever()
                delivery = await self._outlet.receive()  # meanwhile another's turn may have made `next` a new list
                self._enqueue(delivery)

    def _is_full(self) -> bool:
        return len(self._deferred) >= WINDOW  # a far end that fails now and then must not fill the memory

    def _release_due(self) -> None:
        """What is due again stands in line again, where it stood before."""
        now = self._lane.clock.now()
        if self._reread_at <= now:
            self._reread_at = inf
            self._left_in_journal.clear()
            self.rewind()
        if self._next_due() <= now:
            due = [delivery for at, delivery in self._deferred if at <= now]
            self._deferred = [(at, delivery) for at, delivery in self._deferred if at > now]
            self._queued = sorted([*due, *self._queued], key=lambda delivery: delivery.number)

    def _receive_one(self) -> bool:
        """One more out of the channel, if there is one."""
        try:
            self._enqueue(self._outlet.receive_nowait())
        except trio.WouldBlock:
            return False
        return True

    def _enqueue(self, delivery: Delivery) -> None:
        """At the end, unless it went to a fallback meanwhile, or was told together with another, and is settled, or back here by `keep`."""
        if delivery.number in self._known and not (delivery.signal.key and self._has(delivery.number)):
            self._queued.append(delivery)

    def _has(self, number: int) -> bool:
        return any(other.number == number for other in (*self._queued, *(each for _, each in self._deferred)))

    def _next_due(self) -> float:
        return min((self._reread_at, *(due for due, _ in self._deferred)))


def _as_retry(delivery: Delivery, settlement: Settlement) -> Delivery:
    return msgspec.structs.replace(
        delivery,
        maybe_duplicate=settlement.maybe_duplicate,
        unknown_count=settlement.unknown_count,
        plain_format=settlement.plain_format,
        max_batch=settlement.max_batch,
    )
