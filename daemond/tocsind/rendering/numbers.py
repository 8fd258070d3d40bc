"""Numbers and times as people write them. Nothing here raises for any finite number."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

_DIGITS: Final = 12  # significant ones; a binary float's noise begins at the 16th, and a few additions move it up
_LARGEST: Final = 2.0**53  # from here, and below the smallest, digits say less than a power of ten
_WHOLE: Final = 1e15  # from here a fraction is noise
_SMALLEST: Final = 1e-12
_CELLS: Final = 10  # of a bar
_LAST_YEAR: Final = 253_402_300_800  # the year 10000, which no calendar here can write


def number(value: float, *, grouped: bool = True) -> str:
    """64000.5 -> 64,000.5; 0.1 + 0.2 -> 0.3; 0.00001234 keeps its digits; whole numbers are exact."""
    comma = "," if grouped else ""
    if isinstance(value, int):
        return f"{value:{comma}}"
    size = abs(value)
    if size and not _SMALLEST <= size < _LARGEST:
        return f"{value:.6g}"
    if value.is_integer() or size >= _WHOLE:
        return f"{round(value):{comma}}"
    return f"{Decimal(f'{value:.{_DIGITS}g}').normalize():{comma}f}"


def percent(share: float) -> str:
    """0.93 -> 93 %."""
    return f"{number(round(share * 100, 1))} %"


def bar(share: float) -> str:
    """0.93 -> nine tenths of a bar; full only for what rounds to all of it."""
    filled = round(share * 1000) // 100
    return "█" * filled + "░" * (_CELLS - filled)


def iso(seconds: float) -> str | None:
    """Unix seconds as ISO 8601 in UTC with milliseconds; None outside the years 1970 to 9999, which Discord's clients cannot show."""
    if not 0 <= seconds < _LAST_YEAR:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
