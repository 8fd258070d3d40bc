"""Counts facts, under the contract's names. Counters start at zero with the daemon; what must outlive it is in the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .clock import Clock
from .events import (
    Accepted,
    Buried,
    ConnectionRefused,
    Deferred,
    Digested,
    Disabled,
    DroppedByHand,
    Duplicate,
    Edited,
    Expired,
    Fact,
    InDoubt,
    Lost,
    ProbeFailed,
    Rerouted,
    Sent,
    SignalRefused,
    Suspended,
    Throttled,
    Unrouted,
)

_COUNTS: dict[type[Fact], Callable[[Any], dict[str, int]]] = {
    Accepted: lambda fact: {"signals_accepted": 1, "notifications_queued": len(fact.destinations)},
    Duplicate: lambda _: {"signals_duplicate": 1},
    SignalRefused: lambda _: {"signals_refused": 1},
    Unrouted: lambda _: {"signals_unrouted": 1, "notifications_failed": 1},
    Lost: lambda fact: {"signals_lost": fact.signals},
    Sent: lambda _: {"notifications_sent": 1},
    Edited: lambda _: {"messages_edited": 1},
    InDoubt: lambda _: {
        "notifications_sent": 1,
        "deliveries_in_doubt": 1,
    },  # it may have arrived; `why` admits the doubt
    Buried: lambda _: {"notifications_failed": 1},
    Deferred: lambda _: {"deliveries_deferred": 1},
    Expired: lambda _: {"deliveries_expired": 1},
    Rerouted: lambda _: {"deliveries_rerouted": 1},
    Digested: lambda fact: {"deliveries_digested": fact.deliveries},
    DroppedByHand: lambda fact: {"deliveries_dropped": fact.deliveries},
    Suspended: lambda _: {"rate_limited": 1},
    Throttled: lambda _: {"circuit_breaker_trips": 1},
    ConnectionRefused: lambda _: {"connections_refused": 1},
}
_TROUBLE = (Buried, Deferred, Disabled, InDoubt, ProbeFailed, Suspended, Throttled)
COUNTERS = (
    "notifications_queued",  # deliveries owed by accepted signals
    "notifications_sent",  # deliveries that arrived, those in doubt included
    "notifications_failed",  # deliveries given up on
    "circuit_breaker_trips",
    "signals_accepted",
    "signals_duplicate",
    "signals_refused",
    "signals_unrouted",
    "signals_lost",  # ack=received or none, and then the disk was full
    "deliveries_deferred",
    "deliveries_in_doubt",
    "deliveries_expired",
    "deliveries_rerouted",
    "deliveries_digested",
    "deliveries_dropped",
    "messages_edited",
    "rate_limited",
    "connections_refused",
)


class DestinationRecord:
    """What a destination did since the daemon began. `last_success` is on the monotonic clock."""

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.last_success: float | None = None
        self.last_error: str | None = None


class Metrics:
    """An observer of facts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.destinations: dict[str, DestinationRecord] = {}

    def of(self, destination: str) -> DestinationRecord:
        """The record of one destination."""
        return self.destinations.setdefault(destination, DestinationRecord())

    def __call__(self, fact: Fact) -> None:
        """Count one fact."""
        if type(fact) in _COUNTS:
            for name, count in _COUNTS[type(fact)](fact).items():
                self.counters[name] += count
        if isinstance(fact, Sent):
            record = self.of(fact.destination)
            record.sent += 1
            record.last_success = self._clock.now()
        elif isinstance(fact, _TROUBLE):
            record = self.of(fact.destination)
            record.last_error = fact.reason
            record.failed += isinstance(fact, Buried)
