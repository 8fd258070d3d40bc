"""The sender of one priority of a lane: reads its part of the journal's queue, waits for a turn, lets the lane make the attempt.

    journal -- feed --> window: buffered, queued, deferred --> offers --> the lane's next batch

`policy.window` holds the deliveries and decides; the two tasks here read the journal and wait.

The lane forms a batch only after the sender has got the turn, so that deliveries which arrived during the wait are part of it. A batch
may take deliveries of lower priorities along.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import trio

from tocsind.clock import Clock
from tocsind.journal.digests import FIRST
from tocsind.policy.delivery import Delivery, Priority, Settlement
from tocsind.policy.window import WINDOW, Window

from .lane_view import SenderView


class Lane(Protocol):
    """What a sender needs of its lane."""

    clock: Clock

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next queued deliveries of this priority, at most `most`, after this number."""

    def on_arrival(self, delivery: Delivery) -> None:
        """A sender has read a delivery, for the first time or again."""

    def on_window_read(self) -> None:
        """A sender has read its window, or found the journal's queue empty."""

    async def acquire_turn(self, sender: Sender) -> bool:
        """Wait for the turn of this sender; False when other senders' batches took all that it had."""

    def ready_at(self, now: float, priority: Priority) -> float:
        """When limiter and breaker allow a batch whose first delivery has this priority."""

    async def attempt(self) -> None:
        """Make the requests of one turn, then release the turn."""


class Sender:
    """Two tasks, `feed` and `send`, and the window between them."""

    def __init__(self, lane: Lane, priority: Priority) -> None:
        self.priority = priority
        self._lane = lane
        self._window = Window(FIRST)
        self._changed = trio.Event()  # replaced each time it is set; both tasks wait for it

    # --- tasks --------------------------------------------------------------------------------------------------------

    async def feed(self) -> None:
        """Read the journal whenever it has something to read and the window has room. Runs until cancelled."""
        while True:
            if self._window.should_read():
                await self.read_window()
            else:
                await self._changed.wait()

    async def read_window(self) -> None:
        """Read the journal once."""
        found = await self._lane.feed(self.priority, self._window.begin_read(), WINDOW)
        for delivery in self._window.end_read(found):
            self._lane.on_arrival(delivery)
        self._notify_change()
        self._lane.on_window_read()

    async def send(self) -> None:
        """Make one attempt per turn. Runs until cancelled."""
        while True:
            await self._wait_for_work()
            if await self._lane.acquire_turn(self):
                await self._lane.attempt()

    async def _wait_for_work(self) -> None:
        while not self.has_work():
            with trio.move_on_at(self._window.next_due()):
                await self._changed.wait()

    def _notify_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- for the lane -------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """The journal has got a new delivery."""
        self._window.wake()
        self._notify_change()

    def rewind(self) -> None:
        """The journal has queued deliveries again: read it from the beginning."""
        self._window.rewind()
        self._notify_change()

    def may_hold_more(self) -> bool:
        """Whether the journal has got deliveries that are not read, and there is room: lower priorities wait for that read."""
        return self._window.is_behind()

    def is_idle(self) -> bool:
        """Whether no delivery is in memory, and none is known to wait in the journal."""
        return self._window.is_empty()

    def ready_at(self, now: float) -> float:
        """When the lane's limiter and breaker allow a batch that this sender leads."""
        return self._lane.ready_at(now, self.priority)

    def has_work(self) -> bool:
        """Whether a delivery may be sent now."""
        return bool(self.offers(1))

    def offers(self, most: int) -> list[Delivery]:
        """What may be sent now, in order of acceptance, at most `most`. The deliveries stay here until they are taken."""
        should_read = self._window.should_read()
        found = self._window.offers(most, self._lane.clock.now())
        if self._window.should_read() and not should_read:  # there is room now, or what was left in the journal is due
            self._notify_change()
        return found

    def take(self, numbers: Collection[int]) -> None:
        """These deliveries are part of a batch now."""
        self._window.take(numbers)

    def forget(self, delivery: Delivery) -> None:
        """The journal did not let the lane claim this delivery."""
        self._window.forget(delivery.number)

    def moved(self, numbers: Collection[int]) -> None:
        """These deliveries moved to a fallback."""
        self._window.remove(numbers)
        self._notify_change()

    def requeue(self, delivery: Delivery, settlement: Settlement) -> None:
        """An attempt for this delivery is settled; a deferred delivery waits here for its next attempt."""
        self._window.requeue(delivery, settlement, self._lane.clock.now())
        self._notify_change()

    def retry_deferred_now(self) -> None:
        """The destination works again: deferred deliveries are due now."""
        self._window.retry_deferred_now(self._lane.clock.now())
        self._notify_change()

    def snapshot(self) -> SenderView:
        """The sender at this instant, for observers."""
        return SenderView(self.priority, self.has_work(), self.may_hold_more(), self._window.reads)
