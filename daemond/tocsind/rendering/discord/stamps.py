"""Times as Discord's own timestamps: each reader sees them in his zone. They work in content, descriptions and fields, not in footers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from tocsind.rendering.numbers import iso

_TIME: Final = r"(?:(?P<day{0}>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}) )?(?P<time{0}>[0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}})?)"
_SPAN: Final = re.compile(rf"(?<![0-9:-]){_TIME.format(1)}(?: to {_TIME.format(2)})? UTC\b")


def relative(at: float) -> str:
    """The time of day and how far off it is: `12:00:00 (in 5 minutes)`. Empty for a time that no calendar shows."""
    return "" if iso(at) is None else f"<t:{int(at)}:T> (<t:{int(at)}:R>)"


def full(at: float) -> str:
    """Date and time."""
    return "" if iso(at) is None else f"<t:{int(at)}:f>"


def beside(at: float, other: float) -> str:
    """The time of day; with its date, when that is not the date (in UTC) of `other`."""
    then, now = iso(at) or "", iso(other) or ""
    return then and (f"<t:{int(at)}:T>" if then[:10] == now[:10] else full(at))


def stamped(text: str, near: float) -> str:
    """`text` with its times in UTC (`01:57 UTC`, `2026-01-31 22:57 to 02:04 UTC`) as timestamps. A time without a date is the last one
    before `near`.
    """
    return _SPAN.sub(lambda span: _span(span, near) or span[0], text)


def _span(span: re.Match[str], near: float) -> str:
    """Empty where it is no time."""
    try:
        first = _instant(span["day1"], span["time1"], near)
        last = _instant(span["day2"] or span["day1"], span["time2"], near) if span["time2"] else None
    except (ValueError, OverflowError):
        return ""
    parts = [_stamp(first, span["day1"], span["time1"])]
    if last is not None:
        parts.append(_stamp(last, span["day2"], span["time2"]))
    return " to ".join(parts) if all(iso(at) for at in (first, last) if at is not None) else ""


def _instant(day: str | None, time: str, near: float) -> float:
    clock = time if len(time) > len("00:00") else f"{time}:00"
    if day:
        return datetime.fromisoformat(f"{day}T{clock}+00:00").timestamp()
    today = datetime.fromtimestamp(near, UTC)
    at = datetime.fromisoformat(f"{today:%Y-%m-%d}T{clock}+00:00")
    return (at if at <= today else at - timedelta(days=1)).timestamp()


def _stamp(at: float, day: str | None, time: str) -> str:
    return f"<t:{int(at)}:{'f' if day else 'T' if len(time) > len('00:00') else 't'}>"
