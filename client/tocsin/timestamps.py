"""Reads times: any value that a program uses as a timestamp becomes Unix seconds in UTC, or None.

Numbers are seconds, milliseconds, microseconds or nanoseconds by their size: each unit is a thousand times the last, and the years
1973 to 5138 do not overlap. Naive datetimes count as UTC. pandas and numpy values are recognised by their methods, not by their type, so
neither is imported. Nothing here raises: an unreadable time is None, and the caller decides what that means.
"""

from __future__ import annotations

import sys
from math import isfinite

from .lazy_import import lazy, needed_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NO_TIMES = ("bool", "complex", "MaskedConstant")  # of Python and numpy: they have a number, or warn when asked for one
_LONGEST = 64  # characters of a time
_LARGEST_SECONDS = 1e11  # the year 5138; more than that is the next finer unit


def to_seconds(value: Any) -> float | None:
    """Unix seconds of `value`: int, float, numeric or ISO text, datetime, date, pandas or numpy time. None when unreadable."""
    try:
        seconds = _read(value)
        return seconds if seconds is not None and abs(seconds) < _LARGEST_SECONDS else None  # pandas.NaT answers NaN
    except Exception:  # noqa: BLE001 - foreign objects may raise anything from any method
        return None


def _read(value: Any) -> float | None:
    if value is None or type(value).__name__.startswith(_NO_TIMES) or value != value:  # noqa: PLR0124 - NaN and NaT differ from themselves
        return None
    if isinstance(value, str):
        return _from_text(value.strip().removesuffix(" UTC")) if len(value) <= _LONGEST else None
    if hasattr(value, "astype") and hasattr(value, "dtype") and "datetime64" in str(value.dtype):
        return _from_number(int(value.astype("datetime64[ns]").astype("int64")) / 1e9)
    if hasattr(value, "to_timestamp"):  # pandas.Period: a bar, by its beginning
        value = value.to_timestamp()
    if hasattr(value, "timetuple"):  # date, datetime, pandas.Timestamp
        return _from_calendar(value)
    return _from_number(float(value))


def _from_number(number: float) -> float | None:
    if not isfinite(number):
        return None
    for _ in range(3):
        if abs(number) < _LARGEST_SECONDS:
            break
        number /= 1000
    return number if abs(number) < _LARGEST_SECONDS else None


def _from_text(text: str) -> float | None:
    try:
        return _from_number(float(text))
    except ValueError:
        return _from_calendar(lazy("datetime").datetime.fromisoformat(text))


def _from_calendar(value: Any) -> float:
    datetime = lazy("datetime")
    if not hasattr(value, "timestamp"):
        value = datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=datetime.UTC)
    return float(value.timestamp())


needed_at_exit(lambda: "datetime" in sys.modules and lazy("datetime"))  # without it timestamps are numbers or texts
