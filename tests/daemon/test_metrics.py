from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tocsind.events import (
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
    Recovered,
    Rerouted,
    Sent,
    SignalRefused,
    Suspended,
    Throttled,
    Unrouted,
)
from tocsind.metrics import COUNTERS, Metrics
from tocsind.testing.clock import SteppedClock

CONTRACT = {"notifications_queued", "notifications_sent", "notifications_failed", "circuit_breaker_trips"}

COUNTED: list[tuple[Fact, dict[str, int]]] = [
    (Accepted("ID", "low", ("a", "b"), 0, 7), {"signals_accepted": 1, "notifications_queued": 2}),
    (Duplicate("ID"), {"signals_duplicate": 1}),
    (SignalRefused("title", "is required", 0, 7), {"signals_refused": 1}),
    (Unrouted("ID"), {"signals_unrouted": 1, "notifications_failed": 1}),
    (Lost(3, "full"), {"signals_lost": 3}),
    (Sent("ID", "d", 1, 0.1), {"notifications_sent": 1}),
    (InDoubt("ID", "d", "no answer"), {"notifications_sent": 1, "deliveries_in_doubt": 1}),
    (Buried("ID", "d", "400"), {"notifications_failed": 1}),
    (Deferred("ID", "d", 1, 1.0, "503"), {"deliveries_deferred": 1}),
    (Expired("ID", "d"), {"deliveries_expired": 1}),
    (Rerouted("ID", "d", "f", "404"), {"deliveries_rerouted": 1}),
    (Edited("ID", "d", "trade-1", "7", 3), {"messages_edited": 1}),
    (Digested("ID", "d", "low", 30), {"deliveries_digested": 30}),
    (DroppedByHand("ID", 2), {"deliveries_dropped": 2}),
    (Suspended("d", "429", 1.0), {"rate_limited": 1}),
    (Throttled("d", "503", 10.0), {"circuit_breaker_trips": 1}),
    (ConnectionRefused(0, "too many"), {"connections_refused": 1}),
    (Recovered("d"), {}),
    (ProbeFailed("d", "503", 20.0), {}),
]


@pytest.mark.parametrize(("fact", "counts"), COUNTED, ids=lambda each: type(each).__name__)
async def test_a_fact_counts_under_the_contracts_names(fact: Fact, counts: dict[str, int]) -> None:
    metrics = Metrics(SteppedClock())
    metrics(fact)
    assert {name: n for name, n in metrics.counters.items() if n} == counts


async def test_every_counter_is_there_from_the_start_and_each_is_counted_by_some_fact() -> None:
    metrics = Metrics(SteppedClock())
    assert metrics.counters == dict.fromkeys(COUNTERS, 0)
    assert set(COUNTERS) >= CONTRACT
    for fact, _ in COUNTED:
        metrics(fact)
    assert set(metrics.counters) == set(COUNTERS)
    assert all(metrics.counters.values())


async def test_a_destination_is_known_by_its_last_success_and_its_last_trouble(autojump_clock: MockClock) -> None:
    clock = SteppedClock()
    metrics = Metrics(clock)
    metrics(Sent("ID", "d", 1, 0.1))
    at = clock.now()
    await trio.sleep(5)
    metrics(Throttled("d", "503", 10.0))
    metrics(Buried("ID", "d", "400"))
    metrics(Disabled("other", "404"))
    record, other = metrics.of("d"), metrics.of("other")
    assert (record.sent, record.failed, record.last_success, record.last_error) == (1, 1, at, "400")
    assert (other.sent, other.failed, other.last_success, other.last_error) == (0, 0, None, "404")
    assert metrics.of("never seen").last_error is None


@pytest.mark.parametrize(
    "fact",
    [
        Deferred("ID", "d", 1, 1.0, "why"),
        InDoubt("ID", "d", "why"),
        ProbeFailed("d", "why", 1.0),
        Suspended("d", "why", 1.0),
        Throttled("d", "why", 1.0),
        Disabled("d", "why"),
    ],
    ids=lambda fact: type(fact).__name__,
)
async def test_trouble_that_buried_nothing_is_no_failure_of_a_delivery(fact: Fact) -> None:
    metrics = Metrics(SteppedClock())
    metrics(fact)
    assert (metrics.of("d").failed, metrics.of("d").last_error) == (0, "why")
