"""Durations as text: `10s`, `5m`, `2h30m`, `1d`, `250ms`; a number without a unit is seconds. The result is in seconds."""

from __future__ import annotations

from math import isfinite

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds in `text`. Raises ValueError with an explanation of the format."""
    seconds, rest = 0.0, text.strip()
    if not rest.strip("0123456789."):
        rest += "s"
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(digits) :]
        unit = rest[: len(rest) - len(rest.lstrip("dhms"))]
        rest = rest[len(unit) :]
        if unit not in _UNITS or not _is_number(digits):
            raise ValueError(_complaint(text))
        seconds += float(digits) * _UNITS[unit]
    if not isfinite(seconds):
        raise ValueError(_complaint(text))
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back, to the second; below one second, milliseconds."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    left, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _is_number(digits: str) -> bool:
    return digits.strip(".") != "" and digits.count(".") <= 1


def _complaint(text: str) -> str:
    return f"{text!r} is not a duration; write it like 10s, 5m, 2h30m or 1d"
