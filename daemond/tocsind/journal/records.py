"""What goes into the journal and comes out of it."""

from __future__ import annotations

import msgspec

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority, Settlement


class Arrival(msgspec.Struct, frozen=True):
    """A signal on its way in. No destinations means that no route takes it: it is kept as dead."""

    signal: Signal
    priority: Priority
    destinations: tuple[str, ...]
    accepted: float
    uid: int
    pid: int

    @property
    def deadline(self) -> float | None:
        """When it is too late to post this as live."""
        return None if self.signal.expires is None else self.accepted + self.signal.expires


class Ending(msgspec.Struct, frozen=True):
    """How one attempt ended and what follows; `chain` are the fallbacks, nearest first."""

    delivery: Delivery
    settlement: Settlement
    outcome: str
    chain: tuple[str, ...] = ()


class Moved(msgspec.Struct, frozen=True):
    """A delivery that left its destination's queue; `fallback` is None when there was nowhere left to go."""

    id: str
    destination: str
    fallback: str | None = None


class LaneMemory(msgspec.Struct, frozen=True):
    """What of a lane survives a restart. `rest_until` and `blocked_until` are wall-clock seconds."""

    destination: str
    about: str = ""  # which far end this is about: a new webhook under an old name begins afresh
    disabled: str | None = None
    failures: int = 0
    rests: int = 0
    rest_until: float | None = None
    reason: str | None = None
    blocked_until: float | None = None
    blocked_because: str | None = None
    trips: int = 0


class Count(msgspec.Struct, frozen=True):
    """How many deliveries stand in one state."""

    destination: str
    priority: Priority
    state: str
    n: int
