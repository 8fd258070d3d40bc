"""Whatever a program calls a time."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.timestamps import to_seconds

NOON = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


class Datetime64:
    """As numpy.datetime64 behaves, without numpy: NaT differs from itself and is the smallest int64."""

    dtype = "datetime64[ns]"

    def __init__(self, nanoseconds: int | None) -> None:
        self.nanoseconds = nanoseconds

    def astype(self, kind: str) -> Any:
        return self if kind.startswith("datetime64") else (-(2**63) if self.nanoseconds is None else self.nanoseconds)

    def __eq__(self, other: object) -> bool:
        return self.nanoseconds is not None and self is other

    __hash__ = None  # type: ignore[assignment]


class NotATime:
    """As pandas.NaT behaves: a datetime in all but its answers."""

    tzinfo = None

    def timetuple(self) -> Any:
        raise ValueError

    def replace(self, **_: Any) -> NotATime:
        return self

    def timestamp(self) -> float:
        return math.nan


class Period:
    """As pandas.Period behaves: a stretch of time that knows when it begins."""

    def to_timestamp(self) -> datetime:
        return datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001 - as pandas does it


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_700_000_000, NOON),
        (1_700_000_000.0, NOON),
        (1_700_000_000_000, NOON),
        (1_700_000_000_000_000, NOON),
        (1_700_000_000_000_000_000, NOON),
        ("1700000000", NOON),
        (" 1.7e9 ", NOON),
        ("1700000000000", NOON),
        ("2023-11-14T22:13:20Z", NOON),
        ("2023-11-14T22:13:20", NOON),
        ("2023-11-14 23:13:20+01:00", NOON),
        ("2023-11-14", NOON - 80_000),
        ("2023-11-14 22:13:20 UTC", NOON),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), NOON),
        (datetime(2023, 11, 14, 22, 13, 20), NOON),  # noqa: DTZ001 - the naive one is the case
        (datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone(timedelta(hours=1))), NOON),
        (date(2023, 11, 14), NOON - 80_000),
        (Datetime64(1_700_000_000_000_000_000), NOON),
        (Period(), NOON),
        (0, 0.0),
        (-1, -1.0),
        (b"12", 12.0),
    ],
)
def test_timestamp_is_unix_seconds(value: Any, seconds: float) -> None:
    assert to_seconds(value) == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "noon",
        "nan",
        "inf",
        "1e400",
        datetime(5140, 1, 1, tzinfo=UTC),
        math.nan,
        math.inf,
        10**400,
        1e300,
        1j,
        object(),
        [],
        [1],
        {},
        Datetime64(None),
        NotATime(),
    ],
)
def test_timestamp_of_nonsense_is_none(value: Any) -> None:
    assert to_seconds(value) is None


_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.complex_numbers()
    | st.lists(st.integers())
)


@given(_values)
def test_timestamp_of_any_value_is_finite_or_none(value: Any) -> None:
    seconds = to_seconds(value)
    assert seconds is None or math.isfinite(seconds)


@given(st.lists(_values))
def test_timestamps_can_be_sorted(values: list[Any]) -> None:
    sorted(values, key=lambda value: -(to_seconds(value) or 0.0))


@given(st.integers(100_000_000, 10**11 - 1), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_timestamp_unit_is_recognised_by_size(seconds: int, unit: int) -> None:
    assert to_seconds(seconds * unit) == pytest.approx(seconds, rel=1e-12)


@given(st.datetimes(datetime(1970, 1, 2), datetime(5138, 1, 1)))  # noqa: DTZ001 - naive ones count as UTC: that is the case
def test_timestamp_of_a_datetime_equals_its_iso_text(moment: datetime) -> None:
    seconds = moment.replace(tzinfo=UTC).timestamp()
    assert [to_seconds(moment), to_seconds(moment.isoformat())] == [seconds, seconds]
