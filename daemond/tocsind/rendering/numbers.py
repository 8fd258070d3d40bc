"""Numbers and times as people write them. Nothing here raises for any finite number."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

_DIGITS: Final = 8  # significant ones: more say nothing to a reader, and the noise of a binary float begins at the 16th
_DECIMALS: Final = 3  # that a number of more digits keeps
_LARGEST: Final = 2.0**53  # from here, and below the smallest, digits say less than a power of ten
_WHOLE: Final = 1e15  # from here a fraction is noise
_SMALLEST: Final = 1e-12
_LAST_YEAR: Final = 253_402_300_800  # the year 10000, which no calendar here can write


def number(value: float, *, grouped: bool = True) -> str:
    """64000.5 -> 64,000.5; 1 / 3 -> 0.33333333; 0.00001234 keeps its digits; 1e22 -> 1e22; whole numbers up to 2 to the 53rd are exact."""
    comma = "," if grouped else ""
    if isinstance(value, int):
        return f"{value:{comma}}"
    size = abs(value)
    if size and not _SMALLEST <= size < _LARGEST:
        return f"{value:.6g}".replace("e+", "e")
    if value.is_integer() or size >= _WHOLE:
        return f"{round(value):{comma}}"
    digits = max(_DIGITS, len(f"{size:.0f}") + _DECIMALS)
    return f"{Decimal(f'{value:.{digits}g}').normalize():{comma}f}"


def percent(share: float) -> str:
    """0.93 -> 93 %."""
    return f"{number(round(share * 100, 1))} %"


def iso(seconds: float) -> str | None:
    """Unix seconds as ISO 8601 in UTC with milliseconds; None outside the years 1970 to 9999, which Discord's clients cannot show."""
    if not 0 <= seconds < _LAST_YEAR:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
