"""Counts events, under the contract's names. Counters start at zero with the daemon; numbers that must outlive it are in the journal.

An event about one destination is counted for that destination as well, under the same name. `status` shows all counters, and the Prometheus
text is made from `status`, so nothing is counted twice. There is no histogram of how long accepting a signal takes, because measuring it
would be the larger part of its cost. The age of a delivery at its arrival comes with the event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from tocsind.clock import Clock
from tocsind.events import (
    Accepted,
    AcknowledgedBy,
    AlarmRaised,
    AlarmUndeliverable,
    AllClear,
    Ambiguous,
    AttachmentDropped,
    BreakerOpened,
    ConnectionRefused,
    Dead,
    Deferred,
    Digested,
    Disabled,
    DroppedByOperator,
    Duplicate,
    Edited,
    EngineLost,
    Event,
    ExpectationLate,
    ExpectationMet,
    Expired,
    Held,
    ItemQuarantined,
    LeaseTaken,
    LossesReported,
    LossReported,
    ProbeFailed,
    Quarantined,
    QuietEnded,
    RateLimited,
    Repeated,
    RequestNotPermitted,
    Rerouted,
    Sent,
    SignalRefused,
    SignalsLost,
    Silenced,
    SourceReserved,
    SpoolImported,
    Superseded,
    Unacknowledged,
    Unrouted,
)
from tocsind.policy.delivery import Priority


def _here(event: Sent | Ambiguous | Dead | Expired, **counts: int) -> dict[str, int]:
    """Where hosts share a destination, an end counts at the host that accepted the signal: so the sum over hosts is right."""
    return counts if event.origin is None else {"deliveries_for_others": 1}


_COUNTS: dict[type[Event], Callable[[Any], dict[str, int]]] = {
    Accepted: lambda event: {"signals_accepted": 1, "notifications_queued": len(event.destinations)},
    Duplicate: lambda _: {"signals_duplicate": 1},
    SignalRefused: lambda _: {"signals_refused": 1},
    LossesReported: lambda event: {"signals_refused": event.refused, "signals_dropped": event.dropped},
    Unrouted: lambda _: {"signals_unrouted": 1, "notifications_failed": 1},
    Silenced: lambda _: {"signals_silenced": 1},
    ExpectationLate: lambda _: {"expectations_late": 1},
    ExpectationMet: lambda _: {"expectations_met": 1},
    SignalsLost: lambda event: {"signals_lost": event.signals},
    Sent: lambda event: _here(event, notifications_sent=1, deliveries_by_others=int(event.by is not None)),
    Edited: lambda _: {"messages_edited": 1},
    Ambiguous: lambda event: _here(
        event, notifications_sent=1, deliveries_in_doubt=1
    ),  # it may have arrived; `why` says so
    Dead: lambda event: _here(event, notifications_failed=1),
    Deferred: lambda _: {"deliveries_deferred": 1},
    Expired: lambda event: _here(event, deliveries_expired=1),
    Rerouted: lambda _: {"deliveries_rerouted": 1},
    Held: lambda _: {"deliveries_held": 1},
    QuietEnded: lambda _: {"quiet_digests": 1},
    Superseded: lambda _: {"deliveries_superseded": 1},
    Repeated: lambda _: {"deliveries_repeated": 1},
    Unacknowledged: lambda _: {"signals_unacknowledged": 1},
    AcknowledgedBy: lambda _: {"acknowledgements": 1},
    Digested: lambda event: {"deliveries_digested": event.deliveries},
    DroppedByOperator: lambda event: {"deliveries_dropped": event.deliveries},
    RateLimited: lambda _: {"rate_limited": 1},
    BreakerOpened: lambda _: {"circuit_breaker_trips": 1},
    ProbeFailed: lambda _: {"probes_failed": 1},
    Disabled: lambda _: {"destinations_disabled": 1},
    AttachmentDropped: lambda _: {"attachments_left": 1},
    ConnectionRefused: lambda _: {"connections_refused": 1},
    RequestNotPermitted: lambda _: {"requests_not_permitted": 1},
    SourceReserved: lambda _: {"sources_reserved": 1},
    SpoolImported: lambda event: {"spool_signals_taken": event.signals},
    Quarantined: lambda _: {"spool_files_quarantined": 1},
    AlarmRaised: lambda _: {"alarms_raised": 1},
    AllClear: lambda _: {"all_clears": 1},
    LossReported: lambda event: {"signals_reported_missed": event.signals},
    AlarmUndeliverable: lambda _: {"alarms_undeliverable": 1},
    EngineLost: lambda _: {"engine_losses": 1},
    LeaseTaken: lambda _: {"leases_taken": 1},
    ItemQuarantined: lambda _: {"items_quarantined": 1},
}
_ERRORS = (Dead, Deferred, Disabled, Ambiguous, ProbeFailed, RateLimited, BreakerOpened)
COUNTERS = (
    "notifications_queued",  # deliveries owed by accepted signals
    "notifications_sent",  # deliveries that arrived or may have arrived
    "notifications_failed",  # deliveries given up on
    "circuit_breaker_trips",
    "signals_accepted",
    "signals_duplicate",
    "signals_refused",  # reports of clients included
    "signals_dropped",  # reports of clients: neither the daemon nor the spool took them
    "signals_unrouted",
    "signals_silenced",
    "signals_lost",  # ack=received or none, and then the disk was full
    "deliveries_deferred",
    "deliveries_in_doubt",
    "deliveries_expired",
    "deliveries_rerouted",
    "deliveries_digested",
    "deliveries_dropped",
    "deliveries_held",  # by quiet hours, or by the delay of a route
    "deliveries_superseded",  # their story ended during the delay
    "deliveries_repeated",
    "quiet_digests",  # at the end of quiet hours
    "signals_unacknowledged",  # after all their repetitions
    "acknowledgements",
    "messages_edited",
    "attachments_left",  # signals that were stored without their file
    "rate_limited",
    "probes_failed",
    "destinations_disabled",
    "connections_refused",
    "requests_not_permitted",
    "sources_reserved",
    "spool_signals_taken",
    "spool_files_quarantined",
    "expectations_late",  # alarms
    "expectations_met",  # all-clears
    "alarms_raised",
    "all_clears",
    "signals_reported_missed",  # expired, dead or dropped signals that a report named
    "alarms_undeliverable",  # no destination for them worked
    "engine_losses",  # the engine that several hosts share stopped answering
    "deliveries_for_others",  # that ended here; another host accepted them, and counts their end
    "deliveries_by_others",  # of `notifications_sent`: that another host sent
    "leases_taken",  # this host began to send for a destination
    "items_quarantined",  # in the engine, and no deliveries
)
OF_DESTINATION = (  # counted by destination as well
    "notifications_sent",
    "notifications_failed",
    "deliveries_deferred",
    "deliveries_in_doubt",
    "deliveries_expired",
    "deliveries_rerouted",
    "deliveries_digested",
    "deliveries_for_others",
    "deliveries_by_others",
    "rate_limited",
)
AGES = (
    0.1,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    900.0,
    3600.0,
)  # seconds from acceptance to arrival; the target is 5 s


class DestinationRecord:
    """What a destination did since the daemon started. `last_success` is on the monotonic clock."""

    def __init__(self) -> None:
        self.counters = dict.fromkeys(OF_DESTINATION, 0)
        self.last_success: float | None = None
        self.last_error: str | None = None
        self._arrived = [0] * (len(AGES) + 1)  # by age
        self._ages = 0.0

    def on_delivered(self, seconds: float, now: float) -> None:
        """A delivery of this age arrived."""
        self.last_success = now
        self._arrived[bisect_left(AGES, seconds)] += 1
        self._ages += seconds

    def arrivals(self) -> dict[str, Any]:
        """A histogram: `count` deliveries arrived, their ages add up to `seconds`; `le` counts those of at most so many seconds."""
        within = list(accumulate(self._arrived))
        le = {f"{age:g}": n for age, n in zip(AGES, within, strict=False)}
        return {"count": within[-1], "seconds": self._ages, "le": le}


class Metrics:
    """An observer that counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.accepted = dict.fromkeys((priority.label for priority in Priority), 0)  # signals
        self.destinations: dict[str, DestinationRecord] = {}

    def of(self, destination: str) -> DestinationRecord:
        """The record of one destination."""
        return self.destinations.setdefault(destination, DestinationRecord())

    def __call__(self, event: Event) -> None:
        """Count one event."""
        count_of = _COUNTS.get(type(event))
        if count_of is None:
            return
        counts = count_of(event)
        for name, count in counts.items():
            self.counters[name] += count
        if isinstance(event, Accepted):
            self.accepted[event.priority] += 1
        elif (destination := getattr(event, "destination", None)) is not None:
            self._count_destination(self.of(destination), event, counts)

    def _count_destination(self, record: DestinationRecord, event: Event, counts: dict[str, int]) -> None:
        for name in counts.keys() & record.counters.keys():
            record.counters[name] += counts[name]
        if isinstance(event, Sent) and event.origin is None:
            record.on_delivered(event.seconds, self._clock.now())
        elif isinstance(event, Sent):
            record.last_success = self._clock.now()
        elif isinstance(event, _ERRORS):
            record.last_error = event.reason
