"""What Discord makes of a message's text: escapes, times in the reader's zone, and rows of fields.

The README's picture and the gallery are drawn with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

STAMP = re.compile(r"<t:([0-9]+):([a-zA-Z])>")
_FORMS = {"T": "%H:%M:%S", "t": "%H:%M"}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def shown(text: str, now: float) -> str:
    """Escaped text as a reader in UTC sees it."""
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", STAMP.sub(lambda stamp: stamp_text(stamp, now), text))


def stamp_text(stamp: re.Match[str], now: float, zone: tzinfo = UTC) -> str:
    """A timestamp as a reader sees it at `now`, in Unix seconds."""
    at, form = int(stamp[1]), stamp[2]
    if form == "R":
        return _relative(at - round(now))
    return datetime.fromtimestamp(at, zone).strftime(_FORMS.get(form, "%Y-%m-%d %H:%M"))


def rows(fields: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Fields as Discord arranges them: up to three that are inline share a row."""
    row: list[dict[str, Any]] = []
    for field in fields:
        if row and (len(row) == 3 or not (field["inline"] and row[-1]["inline"])):
            yield row
            row = []
        row.append(field)
    if row:
        yield row


def _relative(seconds: int) -> str:
    size, unit = next((pair for pair in _UNITS if abs(seconds) >= pair[0]), _UNITS[-1])
    count = round(abs(seconds) / size)
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{words} ago" if seconds < 0 else f"in {words}"
