"""The lanes that run, and the ways to wake them.

A lane reads its deliveries from the journal. A wake-up only says that reading may be worth it, so a wake-up that comes twice or late, or
for a delivery that was dropped in the meantime, does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import trio

from tocsind.policy.delivery import Priority
from tocsind.policy.patience import Fitness


class LaneHandle(Protocol):
    """What the core needs of a lane."""

    @property
    def edits_at(self) -> str | None:
        """The remote end that holds the lane's live messages; None when the destination cannot edit messages."""

    def wake(self, priority: Priority) -> None:
        """A new delivery of this priority is queued."""

    def rewind(self) -> None:
        """An old delivery is queued again: read the queue from its beginning."""

    def refresh(self) -> None:
        """Queued deliveries were replaced: discard what was read and read again."""

    def fitness(self) -> Fitness:
        """How fit the destination is to stand in for another."""

    def recheck_fallbacks(self) -> None:
        """The fitness of another destination changed."""


class Wakeups:
    """`lanes` maps a destination's name to its lane; the supervisor fills it."""

    def __init__(self) -> None:
        self.lanes: dict[str, LaneHandle] = {}
        self.schedule_changed = trio.Event()  # as the next: the nearest instant of the timekeeper may have changed
        self.deadline_changed = trio.Event()  # replaced each time it is set: the nearest deadline may have changed

    def wake(self, name: str, priorities: Iterable[Priority] = Priority) -> None:
        """New deliveries are queued for a destination."""
        lane = self.lanes.get(name)
        if lane is not None:
            for priority in priorities:
                lane.wake(priority)

    def rewind(self, names: Iterable[str]) -> None:
        """Old deliveries are queued again for these destinations; names without a lane are ignored."""
        for name in self.lanes.keys() & set(names):
            self.lanes[name].rewind()

    def refresh(self, name: str) -> None:
        """The deliveries that a destination may send are others now."""
        lane = self.lanes.get(name)
        if lane is not None:
            lane.refresh()

    def rewind_all(self) -> None:
        """Old deliveries are queued again, possibly with deadlines."""
        self.notify_deadline()
        self.rewind(self.lanes)

    def recheck_fallbacks(self) -> None:
        """The fitness of one destination changed."""
        for lane in self.lanes.values():
            lane.recheck_fallbacks()

    def notify_schedule(self) -> None:
        """A delivery is held or to be repeated that was not before, or the configuration changed."""
        self.schedule_changed.set()
        self.schedule_changed = trio.Event()

    def notify_deadline(self) -> None:
        """A delivery with a deadline is queued that was not queued before: new, requeued, or no longer being sent."""
        self.deadline_changed.set()
        self.deadline_changed = trio.Event()
