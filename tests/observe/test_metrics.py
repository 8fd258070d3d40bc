from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

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
    Recovered,
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
from tocsind.observe.metrics import COUNTERS, OF_DESTINATION, DestinationRecord, Metrics
from tocsind.testing.clock import SteppedClock

CONTRACT = {"notifications_queued", "notifications_sent", "notifications_failed", "circuit_breaker_trips"}

COUNTED: list[tuple[Event, dict[str, int]]] = [
    (Accepted("ID", "low", ("a", "b"), 0, 7), {"signals_accepted": 1, "notifications_queued": 2}),
    (Duplicate("ID"), {"signals_duplicate": 1}),
    (SignalRefused("title", "is required", 0, 7), {"signals_refused": 1}),
    (Unrouted("ID"), {"signals_unrouted": 1, "notifications_failed": 1}),
    (LossesReported(2, 3, 0, 7), {"signals_refused": 2, "signals_dropped": 3}),
    (Silenced("ID", "S"), {"signals_silenced": 1}),
    (ExpectationLate("ID", "bot", "left", 0), {"expectations_late": 1}),
    (ExpectationMet("ID", "bot", 60.0, 0), {"expectations_met": 1}),
    (SignalsLost(3, "full"), {"signals_lost": 3}),
    (Sent("ID", "d", 1, 0.1), {"notifications_sent": 1}),
    (Ambiguous("ID", "d", "no answer"), {"notifications_sent": 1, "deliveries_in_doubt": 1}),
    (Dead("ID", "d", "400"), {"notifications_failed": 1}),
    (Deferred("ID", "d", 1, 1.0, "503"), {"deliveries_deferred": 1}),
    (Expired("ID", "d"), {"deliveries_expired": 1}),
    (Rerouted("ID", "d", "f", "404"), {"deliveries_rerouted": 1}),
    (Edited("ID", "d", "trade-1", "7", 3), {"messages_edited": 1}),
    (Digested("ID", "d", "low", 30), {"deliveries_digested": 30}),
    (DroppedByOperator("ID", 2), {"deliveries_dropped": 2}),
    (Held("ID", "d", "held until 07:00 by quiet hours"), {"deliveries_held": 1}),
    (QuietEnded("ID", "d", 3), {"quiet_digests": 1}),
    (Superseded("ID"), {"deliveries_superseded": 1}),
    (Repeated("ID", "d", 1), {"deliveries_repeated": 1}),
    (Unacknowledged("ID", "d", 12, "f"), {"signals_unacknowledged": 1}),
    (AcknowledgedBy("ID", None, 1, 0, 0), {"acknowledgements": 1}),
    (RateLimited("d", "429", 1.0), {"rate_limited": 1}),
    (BreakerOpened("d", "503", 10.0), {"circuit_breaker_trips": 1}),
    (ConnectionRefused(0, "busy", "too many"), {"connections_refused": 1}),
    (RequestNotPermitted("drop", 0, 0), {"requests_not_permitted": 1}),
    (SourceReserved("ID", 0, 0), {"sources_reserved": 1}),
    (AttachmentDropped("ID", "too large"), {"attachments_left": 1}),
    (Recovered("d"), {}),
    (ProbeFailed("d", "503", 20.0), {"probes_failed": 1}),
    (Disabled("d", "404"), {"destinations_disabled": 1}),
    (SpoolImported(2, 7), {"spool_signals_taken": 7}),
    (Quarantined("a.jsonl", "no JSON"), {"spool_files_quarantined": 1}),
    (AlarmRaised("ID", "breaker", "d", "f"), {"alarms_raised": 1}),
    (AllClear("ID", "breaker", "d", "f", 60.0), {"all_clears": 1}),
    (LossReported("ID", "d", "expired", 7, "d"), {"signals_reported_missed": 7}),
    (AlarmUndeliverable("breaker", "d"), {"alarms_undeliverable": 1}),
    (EngineLost("redis://e:1", "silent", "no answer", "it waits"), {"engine_losses": 1}),
    (LeaseTaken("d", "host-2"), {"leases_taken": 1}),
    (Sent("ID", "d", 1, 0.5, by="vm-2"), {"notifications_sent": 1, "deliveries_by_others": 1}),
    (Sent("ID", "d", 1, 0.5, origin="vm-2"), {"deliveries_for_others": 1}),
    (Ambiguous("ID", "d", "no answer", "vm-2"), {"deliveries_for_others": 1}),
    (Dead("ID", "d", "400", "vm-2"), {"deliveries_for_others": 1}),
    (Expired("ID", "d", "vm-2"), {"deliveries_for_others": 1}),
    (ItemQuarantined("d", "x", "no delivery"), {"items_quarantined": 1}),
]


@pytest.mark.parametrize(("event", "counts"), COUNTED, ids=lambda each: type(each).__name__)
async def test_event_counts_under_the_names_of_the_contract(event: Event, counts: dict[str, int]) -> None:
    metrics = Metrics(SteppedClock())
    metrics(event)
    assert {name: n for name, n in metrics.counters.items() if n} == counts


async def test_every_counter_starts_at_zero_and_has_an_event() -> None:
    metrics = Metrics(SteppedClock())
    assert metrics.counters == dict.fromkeys(COUNTERS, 0)
    assert set(COUNTERS) >= CONTRACT
    for event, _ in COUNTED:
        metrics(event)
    assert set(metrics.counters) == set(COUNTERS)
    assert all(metrics.counters.values())


def ended(record: DestinationRecord) -> tuple[int, int]:
    return record.counters["notifications_sent"], record.counters["notifications_failed"]


async def test_destination_record_has_last_success_and_last_error(autojump_clock: MockClock) -> None:
    clock = SteppedClock()
    metrics = Metrics(clock)
    metrics(Sent("ID", "d", 1, 0.1))
    at = clock.now()
    await trio.sleep(5)
    metrics(BreakerOpened("d", "503", 10.0))
    metrics(Dead("ID", "d", "400"))
    metrics(Disabled("other", "404"))
    record, other = metrics.of("d"), metrics.of("other")
    assert ended(record) == (1, 1)
    assert (record.last_success, record.last_error) == (at, "400")
    assert ended(other) == (0, 0)
    assert (other.last_success, other.last_error) == (None, "404")
    assert metrics.of("never seen").last_error is None


@pytest.mark.parametrize(
    "event",
    [
        Deferred("ID", "d", 1, 1.0, "why"),
        Ambiguous("ID", "d", "why"),
        ProbeFailed("d", "why", 1.0),
        RateLimited("d", "why", 1.0),
        BreakerOpened("d", "why", 1.0),
        Disabled("d", "why"),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_event_without_a_dead_delivery_counts_no_failure(event: Event) -> None:
    metrics = Metrics(SteppedClock())
    metrics(event)
    assert metrics.of("d").counters["notifications_failed"] == 0
    assert metrics.of("d").last_error == "why"


async def test_destination_counters_have_the_same_names() -> None:
    metrics = Metrics(SteppedClock())
    for event, _ in COUNTED:
        metrics(event)
    here = metrics.of("d").counters
    assert set(here) == set(OF_DESTINATION)
    assert here == {name: metrics.counters[name] - (name == "notifications_failed") for name in OF_DESTINATION}, (
        "all but the unrouted signal"
    )


async def test_accepted_signals_are_counted_by_priority() -> None:
    metrics = Metrics(SteppedClock())
    metrics(Accepted("ID", "low", ("a", "b"), 0, 7))
    metrics(Accepted("ID", "urgent", (), 0, 7))
    assert metrics.accepted == {"urgent": 1, "high": 0, "normal": 0, "low": 1}


async def test_arrival_age_counts_in_every_bucket_above_it() -> None:
    metrics = Metrics(SteppedClock())
    for seconds in (0.1, 0.11, 4.0, 9999.0):
        metrics(Sent("ID", "d", 1, seconds))
    arrivals = metrics.of("d").arrivals()
    assert (arrivals["count"], arrivals["seconds"]) == (4, pytest.approx(10003.21))
    assert (arrivals["le"]["0.1"], arrivals["le"]["0.5"], arrivals["le"]["5"], arrivals["le"]["3600"]) == (1, 2, 3, 3)
