"""Counts facts, under the contract's names. Counters start at zero with the daemon; what must outlive it is in the journal.

What is about one destination is counted there as well, under the same name. `status` shows all of it, and the Prometheus text is made of
what `status` shows: nothing is counted a second time. Of a hand-off's latency there is no histogram, because measuring it would be the
larger part of what it adds; how old a delivery was at its arrival comes with the fact that it arrived.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from tocsind.clock import Clock
from tocsind.events import (
    Accepted,
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
    Event,
    Expired,
    LossesReported,
    LossReported,
    ProbeFailed,
    Quarantined,
    RateLimited,
    RequestNotPermitted,
    Rerouted,
    Sent,
    SignalRefused,
    SignalsLost,
    SourceReserved,
    SpoolImported,
    Unrouted,
)
from tocsind.policy.delivery import Priority

_COUNTS: dict[type[Event], Callable[[Any], dict[str, int]]] = {
    Accepted: lambda fact: {"signals_accepted": 1, "notifications_queued": len(fact.destinations)},
    Duplicate: lambda _: {"signals_duplicate": 1},
    SignalRefused: lambda _: {"signals_refused": 1},
    LossesReported: lambda fact: {"signals_refused": fact.refused, "signals_dropped": fact.dropped},
    Unrouted: lambda _: {"signals_unrouted": 1, "notifications_failed": 1},
    SignalsLost: lambda fact: {"signals_lost": fact.signals},
    Sent: lambda _: {"notifications_sent": 1},
    Edited: lambda _: {"messages_edited": 1},
    Ambiguous: lambda _: {
        "notifications_sent": 1,
        "deliveries_in_doubt": 1,
    },  # it may have arrived; `why` admits the doubt
    Dead: lambda _: {"notifications_failed": 1},
    Deferred: lambda _: {"deliveries_deferred": 1},
    Expired: lambda _: {"deliveries_expired": 1},
    Rerouted: lambda _: {"deliveries_rerouted": 1},
    Digested: lambda fact: {"deliveries_digested": fact.deliveries},
    DroppedByOperator: lambda fact: {"deliveries_dropped": fact.deliveries},
    RateLimited: lambda _: {"rate_limited": 1},
    BreakerOpened: lambda _: {"circuit_breaker_trips": 1},
    ProbeFailed: lambda _: {"probes_failed": 1},
    Disabled: lambda _: {"destinations_disabled": 1},
    AttachmentDropped: lambda _: {"attachments_left": 1},
    ConnectionRefused: lambda _: {"connections_refused": 1},
    RequestNotPermitted: lambda _: {"requests_not_permitted": 1},
    SourceReserved: lambda _: {"sources_reserved": 1},
    SpoolImported: lambda fact: {"spool_signals_taken": fact.signals},
    Quarantined: lambda _: {"spool_files_quarantined": 1},
    AlarmRaised: lambda _: {"alarms_raised": 1},
    AllClear: lambda _: {"all_clears": 1},
    LossReported: lambda fact: {"signals_reported_missed": fact.signals},
    AlarmUndeliverable: lambda _: {"alarms_undeliverable": 1},
}
_ERRORS = (Dead, Deferred, Disabled, Ambiguous, ProbeFailed, RateLimited, BreakerOpened)
COUNTERS = (
    "notifications_queued",  # deliveries owed by accepted signals
    "notifications_sent",  # deliveries that arrived, those in doubt included
    "notifications_failed",  # deliveries given up on
    "circuit_breaker_trips",
    "signals_accepted",
    "signals_duplicate",
    "signals_refused",  # those that programs report included
    "signals_dropped",  # neither we nor the spool took them, as programs report
    "signals_unrouted",
    "signals_lost",  # ack=received or none, and then the disk was full
    "deliveries_deferred",
    "deliveries_in_doubt",
    "deliveries_expired",
    "deliveries_rerouted",
    "deliveries_digested",
    "deliveries_dropped",
    "messages_edited",
    "attachments_left",  # signals without the file that they should have brought
    "rate_limited",
    "probes_failed",
    "destinations_disabled",
    "connections_refused",
    "requests_not_permitted",
    "sources_reserved",
    "spool_signals_taken",
    "spool_files_quarantined",
    "alarms_raised",
    "all_clears",
    "signals_reported_missed",  # expired, dead or dropped, and people were told of it
    "alarms_undeliverable",  # no road was left
)
OF_DESTINATION = (  # those of them that are counted by destination as well
    "notifications_sent",
    "notifications_failed",
    "deliveries_deferred",
    "deliveries_in_doubt",
    "deliveries_expired",
    "deliveries_rerouted",
    "deliveries_digested",
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
)  # seconds from acceptance to arrival: "at Discord in 5 s"


class DestinationRecord:
    """What a destination did since the daemon began. `last_success` is on the monotonic clock."""

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
        """`count` deliveries arrived, `seconds` old all together; `le` tells how many were at most so many seconds old."""
        within = list(accumulate(self._arrived))
        le = {f"{age:g}": n for age, n in zip(AGES, within, strict=False)}
        return {"count": within[-1], "seconds": self._ages, "le": le}


class Metrics:
    """An observer of facts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.accepted = dict.fromkeys((priority.label for priority in Priority), 0)  # signals
        self.destinations: dict[str, DestinationRecord] = {}

    def of(self, destination: str) -> DestinationRecord:
        """The record of one destination."""
        return self.destinations.setdefault(destination, DestinationRecord())

    def __call__(self, fact: Event) -> None:
        """Count one fact."""
        count_of = _COUNTS.get(type(fact))
        if count_of is None:
            return
        counts = count_of(fact)
        for name, count in counts.items():
            self.counters[name] += count
        if isinstance(fact, Accepted):
            self.accepted[fact.priority] += 1
        elif (destination := getattr(fact, "destination", None)) is not None:
            self._count_there(self.of(destination), fact, counts)

    def _count_there(self, record: DestinationRecord, fact: Event, counts: dict[str, int]) -> None:
        for name in counts.keys() & record.counters.keys():
            record.counters[name] += counts[name]
        if isinstance(fact, Sent):
            record.on_delivered(fact.seconds, self._clock.now())
        elif isinstance(fact, _ERRORS):
            record.last_error = fact.reason
