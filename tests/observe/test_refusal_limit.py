"""Reports of refused connections: one per uid and kind in a minute, with the number of those left out; all others pass."""

from __future__ import annotations

from trio.testing import MockClock

from tocsind.events import ConnectionRefused, Event, Recovered
from tocsind.observe.refusal_limit import INTERVAL, MAX_ENTRIES, RefusalLimit
from tocsind.testing.clock import SteppedClock


def refused(uid: int = 1, kind: str = "broken-frame", reason: str = "no JSON", omitted: int = 0) -> ConnectionRefused:
    return ConnectionRefused(uid, kind, reason, omitted)


async def test_refusal_limit_passes_one_report_per_interval_with_the_number_left_out(mock_clock: MockClock) -> None:
    seen: list[Event] = []
    limit = RefusalLimit(SteppedClock(), seen.append)
    for number in range(1000):
        limit(refused(reason=f"invalid byte {number}"))
    assert seen == [refused(reason="invalid byte 0")]
    mock_clock.jump(INTERVAL)
    limit(refused())
    limit(refused())
    assert seen[1:] == [refused(omitted=999)]


async def test_refusal_limit_counts_each_uid_and_kind_apart(mock_clock: MockClock) -> None:
    seen: list[Event] = []
    limit = RefusalLimit(SteppedClock(), seen.append)
    first_of_each = [refused(uid, kind) for uid in (1, 2) for kind in ("broken-frame", "busy")]
    for event in 3 * first_of_each:
        limit(event)
    assert seen == first_of_each


async def test_refusal_limit_bounds_the_reports_of_many_uids(mock_clock: MockClock) -> None:
    seen: list[Event] = []
    limit = RefusalLimit(SteppedClock(), seen.append)
    for uid in range(5 * MAX_ENTRIES):
        limit(refused(uid))
    assert len(seen) == MAX_ENTRIES + 1
    mock_clock.jump(INTERVAL)
    limit(refused(10**6))
    assert seen[-1] == refused(10**6), "entries of quiet uids make room"


async def test_refusal_limit_passes_other_events_unchanged() -> None:
    seen: list[Event] = []
    limit = RefusalLimit(SteppedClock(), seen.append)
    limit(Recovered("d"))
    limit(Recovered("d"))
    assert seen == [Recovered("d"), Recovered("d")]
