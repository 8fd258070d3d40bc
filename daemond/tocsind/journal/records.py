"""What goes into the journal and comes out of it."""

from __future__ import annotations

import msgspec

from tocsind.policy.delivery import Delivery, Priority, Settlement


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """A signal on its way in, as it is written down: plain values, for rows (and the format of an earlier version's redo log).

    No destinations means that no route takes it: it is kept as dead.
    """

    id: str
    accepted: float
    uid: int
    pid: int
    body: bytes  # the signal's fields, MessagePack
    priority: int  # not the enum: sqlite3 would ask how to adapt it
    destinations: tuple[str, ...]
    deadline: float | None  # when it is too late to post this as live
    key: str | None = None  # of what is one thing with others
    skew: float = 0.0  # steady clock minus wall clock, at acceptance: `accepted` is on the wall clock, `deadline` on the steady one


class OutboxPosition(msgspec.Struct, frozen=True):
    """How far an outbox has been read: the last sequence number that is in the journal, and when (steady clock)."""

    outbox: bytes
    uid: int
    sequence: int
    at: float


class SettledAttempt(msgspec.Struct, frozen=True):
    """How one attempt ended and what follows; `chain` are the fallbacks, nearest first. `unsent`: its request never reached the far end."""

    delivery: Delivery
    settlement: Settlement
    outcome: str
    chain: tuple[str, ...] = ()
    unsent: bool = False


class Reroute(msgspec.Struct, frozen=True):
    """A delivery that left its destination's queue; `fallback` is None when there was nowhere left to go."""

    id: str
    destination: str
    fallback: str | None = None


class RequestStart(msgspec.Struct, frozen=True):
    """A request that is about to leave: from which destination, into which channel, and whether it carries what is pressing."""

    destination: str
    channel: str
    expedited: bool
    edits_at: str | None = None  # what can be edited there is at this far end; None: nothing can


class RequestRecord(msgspec.Struct, frozen=True):
    """A request that left. `at` is when its answer came, on the steady clock; None: it is open, or was when the last run ended."""

    at: float | None
    expedited: bool
    destination: str


class LaneState(msgspec.Struct, frozen=True):
    """What of a lane survives a restart. `rest_until` is on the steady clock."""

    destination: str
    about: str = ""  # which far end this is about: a new webhook under an old name begins afresh
    disabled: str | None = None
    failures: int = 0
    rests: int = 0
    rest_until: float | None = None
    reason: str | None = None
    trips: int = 0
    strikes: int = 0
    channel: str | None = None  # where it was found to lead
    failing_since: float | None = None  # policy.patience: when its outage began
    failing_because: str | None = None


class LimitState(msgspec.Struct, frozen=True):
    """What of a scope survives a restart (policy.scopes); instants are on the steady clock."""

    scope: str
    blocked_until: float | None = None
    blocked_because: str | None = None
    count: int | None = None
    per: float | None = None
    learned_at: float | None = None
    blocked_for: float | None = None  # seconds, when the block was set


class DigestResult(msgspec.Struct, frozen=True):
    """Deliveries that are told in sum from now on: the digest's id, the number of its delivery, and the ids of what it stands for."""

    id: str
    number: int
    originals: tuple[str, ...]


class Count(msgspec.Struct, frozen=True):
    """How many deliveries stand in one state."""

    destination: str
    priority: Priority
    state: str
    n: int


class UnseenSignals(msgspec.Struct, frozen=True):
    """Signals that ended at one destination without an arrival, and that people do not know of yet."""

    destination: str
    state: str  # expired, dead or dropped
    signals: int
    last: int  # the greatest number of their deliveries
    since: float  # when the first of them ended
    priority: Priority  # of the most pressing
    shown: tuple[tuple[str, str, Priority, float], ...]  # some of them: id, title, priority, when they ended


class OpenAlarm(msgspec.Struct, frozen=True):
    """An alarm that people were told, and whose all-clear is still to come. Instants are on the steady clock."""

    kind: str
    about: str
    since: float  # when the trouble began
    raised: float
    route: str  # the destination that told it
