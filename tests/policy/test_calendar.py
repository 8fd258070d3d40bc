"""Hours of the day as instants. The oracle reads the clock in the zone: it knows nothing of intervals."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.calendar import DAY, Hours, Interval, instant

BERLIN, NEW_YORK, LORD_HOWE = map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe"))
HAVANA, APIA = map(ZoneInfo, ("America/Havana", "Pacific/Apia"))  # changes at midnight; left out 2011-12-30
YEAR = range(int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()), 3000)
NIGHT = (22 * 60, 7 * 60)


def at(zone: tzinfo, *moment: int, fold: int = 0) -> float:
    """The Unix time of a moment in a zone."""
    return datetime(*moment, tzinfo=zone, fold=fold).timestamp()  # type: ignore[arg-type, misc]


def shows_quiet(hours: Hours, now: float) -> bool:
    """Whether a clock in the zone shows a time in the hours."""
    local = datetime.fromtimestamp(now, hours.zone)
    minutes, day = 60 * local.hour + local.minute, local.weekday()
    if hours.end > hours.start:
        return day in hours.days and hours.start <= minutes < hours.end
    return (minutes >= hours.start and day in hours.days) or (minutes < hours.end and (day - 1) % 7 in hours.days)


def comes_twice(zone: tzinfo, now: float) -> bool:
    local = datetime.fromtimestamp(now, zone)
    return local.replace(fold=0).timestamp() < local.replace(fold=1).timestamp()


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE], ids=str)
@pytest.mark.parametrize("days", [frozenset(range(7)), frozenset({4, 5})], ids=["daily", "weekend"])
@pytest.mark.parametrize(("start", "end"), [NIGHT, (90, 150), (0, DAY)], ids=["night", "change", "whole-day"])
def test_hours_cover_what_the_clock_shows_for_a_year(zone: tzinfo, days: frozenset[int], start: int, end: int) -> None:
    hours = Hours(start, end, days, zone)
    for now in YEAR:
        covered = hours.covering(now) is not None
        assert covered == shows_quiet(hours, now) or (covered and comes_twice(zone, now)), now


minutes = st.integers(0, DAY - 1)


@given(
    zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, HAVANA, APIA]),
    start=minutes,
    end=st.integers(1, DAY),
    days=st.frozensets(st.integers(0, 6), min_size=1),
    now=st.integers(int(at(UTC, 2011, 12, 1)), int(at(UTC, 2031, 1, 1))),
)
def test_hours_agree_with_the_clock_in_any_zone(
    zone: tzinfo, start: int, end: int, days: frozenset[int], now: int
) -> None:
    hours = Hours(start, end if end != start else DAY, days, zone)
    if shows_quiet(hours, now):
        assert hours.covering(now)
    change = hours.next_change(now)
    assert now < change < now + 9 * 86400
    found = hours.covering(now)
    assert found == hours.covering((now + change) / 2)
    assert found is None or found.start <= now < found.end


def test_hours_begin_and_end_once_a_night_over_both_changes() -> None:
    hours, now, found = Hours(*NIGHT, zone=BERLIN), float(YEAR.start), set[Interval]()
    while (now := hours.next_change(now)) < YEAR.stop:
        if interval := hours.covering(now):
            found.add(interval)
    lengths = [round((each.end - each.start) / 3600, 2) for each in sorted(found)]
    assert len(found) == 365
    assert sorted(set(lengths)) == [8.0, 9.0, 10.0]
    assert lengths.count(8.0) == lengths.count(10.0) == 1


@pytest.mark.parametrize(
    ("moment", "second", "expected"),
    [
        ((2026, 3, 29, 2, 30), False, at(UTC, 2026, 3, 29, 1, 0)),  # does not exist: the change, 03:00 in summer time
        ((2026, 3, 29, 2, 30), True, at(UTC, 2026, 3, 29, 1, 0)),
        ((2026, 10, 25, 2, 30), False, at(UTC, 2026, 10, 25, 0, 30)),  # comes twice
        ((2026, 10, 25, 2, 30), True, at(UTC, 2026, 10, 25, 1, 30)),
        ((2026, 7, 1, 12, 0), True, at(UTC, 2026, 7, 1, 10, 0)),
    ],
)
def test_instant_of_a_time_that_is_missing_or_comes_twice(
    moment: tuple[int, ...], second: bool, expected: float
) -> None:
    year, month, day, hour, minute = moment
    assert instant(date(year, month, day), 60 * hour + minute, BERLIN, second=second) == expected


def test_hours_end_with_a_day_that_a_zone_left_out() -> None:
    hours = Hours(*NIGHT, zone=APIA)
    found = hours.covering(at(APIA, 2011, 12, 29, 23, 0))
    assert found is not None
    assert found.end == at(APIA, 2011, 12, 31, 0, 0)  # the morning of the 30th never came


def test_hours_without_days_never_change() -> None:
    assert Hours(*NIGHT, days=frozenset()).next_change(YEAR.start) == inf


def test_hours_write_the_day_of_a_distant_instant() -> None:
    hours = Hours(*NIGHT, zone=NEW_YORK)
    end = at(NEW_YORK, 2026, 7, 1, 7, 0)
    assert hours.written(end, end - 3600) == "07:00"
    assert hours.written(end, end - 90_000) == "Wed 07:00"
