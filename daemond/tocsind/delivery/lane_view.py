"""What observers may know of a lane: one frozen snapshot, made by `Lane.snapshot()` at one instant.

Status, alarms, heartbeat, liveness check, dry run and request handlers read this view and no attribute of a lane. A snapshot reads memory
only: it does not block, and it changes nothing that an observer could see. All durations are seconds from the instant of the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import Window
from tocsind.policy.live_message import Editing
from tocsind.policy.patience import Fitness

from .condition import Condition

LONG_BLOCK_SECONDS = 60.0  # a server that blocks a lane for longer is a problem to report


class SenderView(msgspec.Struct, frozen=True):
    """One sender: one priority of the lane."""

    priority: Priority

    has_work: bool
    """Whether the sender holds a delivery that may be sent now."""

    read_pending: bool
    """Whether the journal may hold deliveries that the sender has not read, and its window has room for them."""

    reads: int
    """How often the sender has read the journal; a number that stays the same while `read_pending` means that the sender is stuck."""


class LimitsView(msgspec.Struct, frozen=True):
    """The lane's limiter and breaker: what is left of each limit, and when a request may leave."""

    windows: tuple[Window, ...]
    """Each limit, the user's own first."""

    ready_in: Mapping[Priority, float]
    """By priority: seconds until limiter and breaker allow a request; infinity while a probe is in flight."""

    waits_for: Mapping[Priority, str | None]
    """By priority: why the limiter does not allow a request now, for people; None when it does."""

    blocked_for: float
    """Seconds that the server told the lane to wait, by any limit; 0 without a block."""

    host_block: str | None
    """Why the server blocks this host as a whole; None when it does not. `tocsin enable` cannot lift such a block."""


class OutageView(msgspec.Struct, frozen=True):
    """An outage as `policy.patience` defines it: a failure in a row of failures, or a block by the server."""

    is_on: bool
    """Whether nothing gets through to the destination now."""

    fails: bool
    """Whether requests failed; False while the server only asks the lane to wait."""

    seconds: float
    """How long the outage has lasted; 0 without one."""

    is_over_patience: bool
    """Whether it has lasted longer than the patience of at least one priority: what arrives with that priority moves at once."""

    moves_after: Mapping[Priority, float]
    """By priority: seconds until waiting deliveries move to a fallback that works (negative: they may already move); infinity without an
    outage."""


class RefusalsView(msgspec.Struct, frozen=True):
    """Alerts that the destination refused since its last delivery."""

    alerts: int
    """How many different alerts."""

    reason: str | None
    """What the last refusal said."""

    is_all: bool
    """Whether enough alerts were refused, and none delivered, for people to know."""


class LaneView(msgspec.Struct, frozen=True):
    """One lane at one instant."""

    name: str
    """The destination's name in the configuration."""

    kind: str
    """"discord", "file" and so on."""

    condition: Condition

    disabled: str | None
    """Why the lane is disabled; None while it is not."""

    excluded: str | None
    """Why the configuration disables the destination; None when it does not. Such a lane is disabled as intended, and no problem."""

    fallbacks: tuple[str, ...]
    """The destinations that may take over, in the configured order."""

    fitness: Fitness
    """Whether the destination can take over for another one."""

    failing_for: float
    """Seconds since the first failure in a row, while the breaker is not ready; else 0."""

    breaker_ready: bool
    """Whether the breaker is closed: neither a rest nor a probe is under way."""

    outage: OutageView
    limits: LimitsView
    refusals: RefusalsView

    trips: int
    """How often the breaker opened, restarts included."""

    note: str | None
    """What the destination's last answers show and the operator should know."""

    edits_at: str | None
    """Fingerprint of the destination at which live messages can be edited; None where they cannot."""

    editing: Editing
    """What an edit does there."""

    turn_queue: str
    """The name of the turn queue: lanes that share a channel share one."""

    turns: int
    """How many turns that queue has given, to all its lanes."""

    turn_taken: bool
    """Whether a sender of any lane in that queue has the turn now."""

    in_flight_for: float | None
    """How long a request of this lane has been with the server; None while none is."""

    deadline: float
    """Seconds that one request may take."""

    senders: tuple[SenderView, ...]
    """None while the lane is disabled, or looks for its channel."""
