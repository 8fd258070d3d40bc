"""The deliveries of one priority of a lane that are in memory: a bounded window on a queue that stays in the journal.

      state        where the delivery is                                    leaves by
      -----------  -------------------------------------------------------  --------------------------------------------------
      journal      not read yet, behind the cursor                          a read -> buffered
      buffered     read, not offered; a read needs room among these         `offers` -> queued, unless too many are deferred
      queued       offered for the next batch                               `take` -> in flight
      in flight    part of a batch                                          `requeue` -> deferred, or gone; `forget` -> gone
      deferred     waits in memory for its next attempt                     its time -> queued, in order of acceptance
      left         deferred, but never read here: a live message carried    the first of their times -> journal, and a rewind
                   it together with another delivery
      gone         settled, not claimed, or moved to a fallback       a rewind -> buffered, if the journal queues it again

`remove` takes a delivery out of every state. A delivery is in one state only: a rewind sets the cursor back to the beginning, and a read
passes over deliveries that are in memory or left.

The caller reads the journal and knows the time: `now` is in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf

import msgspec

from .delivery import Delivery, Settlement, State

WINDOW = 64  # deliveries that one read returns at most; fewer than twice as many are buffered, the rest of a backlog stays on disk


class Window:
    """Says when to read the journal, and what may be sent now. `first` is the cursor of the journal's beginning."""

    def __init__(self, first: int, size: int = WINDOW) -> None:
        self._size = size
        self.reads = 0  # reads that have ended
        self._first = self._cursor = first
        self._woken = False  # the journal has got deliveries since the last read began
        self._reading = False
        self._rewound = False
        self._read_on = True  # the last read was full: there may be more behind it
        self._buffered: list[Delivery] = []
        self._queued: list[Delivery] = []
        self._deferred: list[tuple[float, Delivery]] = []  # with the instant of the next attempt
        self._left: set[int] = set()
        self._reread_at = inf  # the first instant of those that are left
        self._known: set[int] = set()  # buffered, queued, in flight or deferred

    # --- reading ------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """The journal has got a new delivery."""
        self._woken = True

    def rewind(self) -> None:
        """The journal has queued old deliveries again."""
        self._rewound = self._woken = True

    def should_read(self) -> bool:
        """Whether to begin a read now."""
        return self._has_room() and not self._reading and (self._woken or self._read_on)

    def is_behind(self) -> bool:
        """Whether the journal has got deliveries that are not read, and there is room: lower priorities wait for that read."""
        return self._has_room() and (self._woken or self._reading)

    def begin_read(self) -> int:
        """The cursor: the caller reads at most `size` deliveries behind it, in order."""
        if self._rewound:
            self._cursor, self._rewound = self._first, False
        self._reading, self._woken = True, False
        return self._cursor

    def end_read(self, found: Sequence[Delivery]) -> list[Delivery]:
        """Add what was read. Returns the deliveries that are new here."""
        fresh = [each for each in found if each.number not in self._known and each.number not in self._left]
        self._buffered += fresh
        self._known.update(each.number for each in fresh)
        self._cursor = found[-1].number if found else self._cursor
        self._reading, self._read_on = False, len(found) >= self._size
        self.reads += 1
        return fresh

    # --- sending ------------------------------------------------------------------------------------------------------

    def offers(self, most: int, now: float) -> list[Delivery]:
        """What may be sent now, in order, at most `most`."""
        self._release_due(now)
        if len(self._deferred) < self._size:  # else a destination that fails now and then would fill the memory
            count = max(0, most - len(self._queued))
            self._queued += self._buffered[:count]
            del self._buffered[:count]
        return self._queued[:most]

    def take(self, numbers: Collection[int]) -> None:
        """These deliveries are part of a batch."""
        self._queued = [each for each in self._queued if each.number not in numbers]
        self._buffered = [each for each in self._buffered if each.number not in numbers]

    def forget(self, number: int) -> None:
        """The journal did not let the lane claim this delivery."""
        self._known.discard(number)

    def remove(self, numbers: Collection[int]) -> None:
        """These deliveries moved to a fallback."""
        self.take(numbers)
        self._deferred = [(at, each) for at, each in self._deferred if each.number not in numbers]
        self._known.difference_update(numbers)

    def requeue(self, delivery: Delivery, settlement: Settlement, now: float) -> None:
        """An attempt for this delivery is settled; a deferred delivery waits for its next attempt."""
        was_known = delivery.number in self._known
        self.remove({delivery.number})
        if settlement.state is not State.QUEUED:
            return
        if was_known:
            self._known.add(delivery.number)
            self._deferred.append((now + settlement.wait, _as_retry(delivery, settlement)))
        else:
            self._left.add(delivery.number)
            self._reread_at = min(self._reread_at, now + settlement.wait)

    def retry_deferred_now(self, now: float) -> None:
        """The destination works again: deferred deliveries are due now, in batches of any size."""
        self._deferred = [(min(at, now), msgspec.structs.replace(each, max_batch=None)) for at, each in self._deferred]
        self._reread_at = now if self._reread_at < inf else inf

    def next_due(self) -> float:
        """When the next deferred delivery is due; infinity without one."""
        return min((self._reread_at, *(at for at, _ in self._deferred)))

    def __repr__(self) -> str:
        counts = f"buffered={len(self._buffered)} queued={len(self._queued)} deferred={len(self._deferred)}"
        return f"<Window cursor={self._cursor} {counts} known={len(self._known)} left={len(self._left)}>"

    def is_empty(self) -> bool:
        """Whether no delivery is in memory, and none is known to wait in the journal."""
        return not (self._known or self._left or self._woken or self._reading)

    def _has_room(self) -> bool:
        return len(self._buffered) < self._size

    def _release_due(self, now: float) -> None:
        if self._reread_at <= now:
            self._reread_at = inf
            self._left.clear()
            self.rewind()
        if due := [each for at, each in self._deferred if at <= now]:
            self._deferred = [(at, each) for at, each in self._deferred if at > now]
            self._queued = sorted([*due, *self._queued], key=lambda each: each.number)


def _as_retry(delivery: Delivery, settlement: Settlement) -> Delivery:
    return msgspec.structs.replace(
        delivery,
        maybe_duplicate=settlement.maybe_duplicate,
        unknown_count=settlement.unknown_count,
        plain_format=settlement.plain_format,
        max_batch=settlement.max_batch,
    )
