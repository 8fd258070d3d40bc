"""All connections and their bytes, by owner, and which connection is closed when a limit is reached. Decides on plain numbers, without IO.

    a new connection     over `per_uid` of its owner          one of its owner's connections is evicted
                         over `connections` less `kept`       one of the owner with most; not for root and the daemon's own user
                         over `connections`                   one of the owner with most
    a tail               over `tails_per_uid`, over `tails`   the same, among tails
    unfinished bytes     over `unfinished_per_uid`            the connection of this owner that holds most bytes
                         over `unfinished`                    the same, of the owner with most bytes

Idle connections are evicted first, then those that wait for their peer (half a frame, an unread reply), then those that follow (`tail`,
`wait`), then those that wait for their turn; within each group the oldest. A connection whose request is served is never evicted: a signal
that was read gets its receipt. When an owner has no connection that may be evicted, the new connection is refused.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from enum import IntEnum

from .limits import Limits
from .owners import Owner


class Phase(IntEnum):
    """What a connection does, in the order of eviction."""

    IDLE = 0
    STALLED = 1  # waits for its peer: for the rest of a frame, or until a reply is read
    FOLLOWING = 2  # tail, wait
    QUEUED = 3  # waits for its turn
    SERVED = 4


class Slot:
    """One connection's entry in the table. `evict` closes the connection; its argument is the error text, None for none."""

    def __init__(self, owner: Owner, evict: Callable[[str | None], None], *, privileged: bool = False) -> None:
        self.owner = owner
        self.privileged = privileged
        self.evict = evict
        self.phase = Phase.IDLE
        self.since = time.monotonic()
        self.bytes = 0
        self.is_tail = False

    def enter(self, phase: Phase) -> None:
        """Change the phase, and note when."""
        self.phase = phase
        self.since = time.monotonic()

    @property
    def rank(self) -> tuple[Phase, float]:
        """The sort key for eviction: the smallest goes first."""
        return self.phase, self.since


class ConnectionTable:
    """All connections. For the event loop only."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.slots: set[Slot] = set()
        self._bytes: Counter[Owner] = Counter()
        self.unfinished = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self.slots)

    def admit(self, new: Slot) -> bool:
        """Add a new connection, and evict another if need be; False when no other may be evicted."""
        limits, kept = self._limits, 0 if new.privileged else self._limits.kept
        if not self._below([each for each in self.slots if each.owner == new.owner], limits.per_uid, _TOO_MANY):
            return False
        counted = self.slots if new.privileged else self._unprivileged()
        if not self._below(counted, limits.connections - kept, _TOO_MANY) or not self._below(
            self.slots, limits.connections, _TOO_MANY
        ):
            return False
        self.slots.add(new)
        return True

    def remove(self, slot: Slot) -> None:
        """Remove a connection that has ended. Removing it again does no harm."""
        self.set_bytes(slot, 0)
        self.slots.discard(slot)

    def mark_tail(self, slot: Slot) -> None:
        """Count the connection as a tail."""
        slot.is_tail = True
        tails = [each for each in self.slots if each.is_tail and each is not slot]
        self._below([each for each in tails if each.owner == slot.owner], self._limits.tails_per_uid, _TOO_MANY_TAILS)
        if not slot.privileged:
            others = [each for each in tails if not each.privileged and each in self.slots]
            self._below(others, self._limits.tails, _TOO_MANY_TAILS)

    def set_bytes(self, slot: Slot, size: int) -> None:
        """Count `size` unfinished bytes for the connection, and evict others if that is too much."""
        if slot not in self.slots:
            return  # evicted; its task ends soon
        change = size - slot.bytes
        slot.bytes = size
        self.unfinished += change
        self._bytes[slot.owner] += change
        if self._bytes[slot.owner] <= 0:
            del self._bytes[slot.owner]
        if change > 0:
            self._keep_within_bytes(slot.owner)

    def evict_idlest(self) -> bool:
        """Evict one connection because the process has no file descriptor left; False when every request is in service."""
        return self._choose_victim(self.slots, _NO_DESCRIPTORS)

    def _unprivileged(self) -> list[Slot]:
        return [each for each in self.slots if not each.privileged]

    def _below(self, slots: Collection[Slot], most: int, message: str) -> bool:
        return len(slots) < most or self._choose_victim(slots, message)

    def _choose_victim(self, slots: Collection[Slot], message: str) -> bool:
        """Evict one of these: of the owner who holds most of them, among owners with one that may be evicted."""
        may_go = [each for each in slots if each.phase is not Phase.SERVED]
        if not may_go:
            return False
        most = Counter(each.owner for each in slots)
        victim = min(may_go, key=lambda each: (-most[each.owner], each.privileged, each.rank))
        self._evict(victim, None if victim.phase is Phase.IDLE else message)
        return True

    def _keep_within_bytes(self, owner: Owner) -> None:
        if self._bytes[owner] > self._limits.unfinished_per_uid:
            self._free_bytes(each for each in self.slots if each.owner == owner)
        if self.unfinished > self._limits.unfinished:
            self._free_bytes(self.slots)

    def _free_bytes(self, slots: Iterable[Slot]) -> None:
        may_go = [each for each in slots if each.bytes and each.phase is not Phase.SERVED]
        if may_go:
            held = self._bytes
            self._evict(
                min(may_go, key=lambda each: (each.privileged, -held[each.owner], -each.bytes, each.since)), _BYTES
            )

    def _evict(self, victim: Slot, message: str | None) -> None:
        self.remove(victim)  # at once: two new connections must not both take its place
        self.evicted += 1
        victim.evict(message)


_TOO_MANY = "this connection made room for a new one: too many are open, and its user holds most of them; try again"
_TOO_MANY_TAILS = "this tail made room for a new one: too many are open, and its user holds most of them"
_BYTES = "too many bytes of incomplete frames and unread replies are held for this user; try again"
_NO_DESCRIPTORS = "this connection made room for others: the daemon has no file descriptors left; try again"
