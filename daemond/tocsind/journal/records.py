"""What goes into the journal and comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tocsind.policy.delivery import Delivery, Priority, Settlement
from tocsind.policy.live_message import Editing
from tocsind.policy.quiet import Hold


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """A signal to be stored, as plain values for rows (also the format of an earlier version's redo log).

    Without destinations no route matches it: it is stored as dead.
    """

    id: str
    accepted: float
    uid: int
    pid: int
    body: bytes  # the signal's fields, MessagePack
    priority: int  # not the enum: sqlite3 would look for an adapter
    destinations: tuple[str, ...]
    deadline: float | None  # after this it is not posted as live; steady clock
    key: str | None = None  # of its live message
    skew: float = 0.0  # steady clock minus wall clock, at acceptance: `accepted` is on the wall clock
    silence: tuple[str, str] | None = None  # id of the silence that matches it, and the reason for its deliveries
    raw: bool = False  # a message that goes as it is, and into no digest
    holds: Mapping[str, Hold] = {}  # destinations at which it is held at first
    ends: bool = False  # it ends the story of its key


class OutboxPosition(msgspec.Struct, frozen=True):
    """How far an outbox is imported: the last sequence number in the journal, and when (steady clock)."""

    outbox: bytes
    uid: int
    sequence: int
    at: float


class SettledAttempt(msgspec.Struct, frozen=True):
    """The end of one attempt and its result. `chain` are the fallbacks, nearest first. `unsent`: its request never reached the server."""

    delivery: Delivery
    settlement: Settlement
    outcome: str
    chain: tuple[str, ...] = ()
    unsent: bool = False
    repeat_at: float | None = None  # when to post it again, unless it is acknowledged; None: not at all


class Reroute(msgspec.Struct, frozen=True):
    """A delivery that left its destination's queue; `fallback` is None without a further fallback."""

    id: str
    destination: str
    fallback: str | None = None


class RequestStart(msgspec.Struct, frozen=True):
    """A request that is about to leave: its destination, its channel, and whether it carries an expedited delivery.

    `repeatable`: made twice, it leaves no copy.
    """

    destination: str
    channel: str
    expedited: bool
    edits_at: str | None = None  # hash of the webhook whose messages it may edit; None: it cannot edit
    editing: Editing = Editing.SILENT  # what an edit does there
    repeatable: bool = False


class RequestRecord(msgspec.Struct, frozen=True):
    """A request that left. `at` is when its response came, on the steady clock; None: it is open, or was when the last run ended."""

    at: float | None
    expedited: bool
    destination: str


class LaneState(msgspec.Struct, frozen=True):
    """What the journal keeps of a lane. `rest_until` is on the steady clock."""

    destination: str
    about: str = ""  # hash of the webhook: a new one under an old name starts afresh
    disabled: str | None = None
    failures: int = 0
    rests: int = 0
    rest_until: float | None = None
    reason: str | None = None
    trips: int = 0
    strikes: int = 0
    channel: str | None = None  # the channel that the webhook was found to post to
    failing_since: float | None = None  # policy.patience: when its outage began
    failing_because: str | None = None


class LimitState(msgspec.Struct, frozen=True):
    """What the journal keeps of a limit (policy.rate_limits). Instants are on the steady clock."""

    scope: str
    blocked_until: float | None = None
    blocked_because: str | None = None
    count: int | None = None
    per: float | None = None
    learned_at: float | None = None
    blocked_for: float | None = None  # s; length of the block when it was set


class HeldGroup(msgspec.Struct, frozen=True):
    """Held deliveries of one destination that are released together (by quiet hours), or one after the other (by the delay of a route).

    `until` is when the first is released: on the wall clock for quiet hours, else on the steady clock. `reason` is that of one of them.
    """

    destination: str
    is_quiet: bool
    n: int
    until: float
    reason: str | None


class Acknowledged(msgspec.Struct, frozen=True):
    """The result of an acknowledgement: the id or the key that it covers, and how many repetitions it ended. `elsewhere`: other hosts that
    accepted some of that, and repeat it.
    """

    id: str | None
    key: str | None
    stopped: int
    elsewhere: Sequence[str]


class DigestResult(msgspec.Struct, frozen=True):
    """A new digest: its id, the number of its delivery, and the ids of the signals that it replaces."""

    id: str
    number: int
    originals: tuple[str, ...]


class Count(msgspec.Struct, frozen=True):
    """How many deliveries are in one state."""

    destination: str
    priority: Priority
    state: str
    n: int


class ExpectationRow(msgspec.Struct, frozen=True):
    """An expectation (policy.expectation). Instants are on the steady clock; lists are JSON."""

    uid: int
    name: str
    every: float
    grace: float
    priority: str
    destinations: str  # its own `to`
    counted: float
    since: float
    last: float | None
    stage: str
    cause: str | None
    gap: float | None
    message: str | None  # the last words of a beat
    pid: int | None  # the watched process
    started: int | None  # its identity: another process with this pid has another one
    boot: str | None  # the boot of the machine that pid and identity belong to
    ending: str | None  # how the process ended
    alarm: str | None  # id of the last alarm
    alarmed: str  # destinations of the last alarm


class UnseenSignals(msgspec.Struct, frozen=True):
    """Signals that ended at one destination without arriving, and have not been reported."""

    destination: str
    state: str  # expired, dead or dropped
    signals: int
    last: int  # the greatest number of their deliveries
    since: float  # when the first of them ended
    priority: Priority  # the highest among them
    shown: tuple[tuple[str, str, Priority, float], ...]  # some of them: id, title, priority, when they ended


class OpenAlarm(msgspec.Struct, frozen=True):
    """An alarm that was raised and whose all-clear has not been sent. Instants are on the steady clock."""

    kind: str
    about: str
    since: float  # when the condition began
    raised: float
    route: str  # the destination of the alarm
