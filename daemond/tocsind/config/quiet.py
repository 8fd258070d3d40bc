"""The keys of [[quiet]]."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Any

from tocsind.policy.calendar import DAY, EVERY_DAY, Hours
from tocsind.policy.quiet import QuietRule

from .reader import Field, Location, Mistake, kind_of, read_table, shown
from .routes import when
from .values import filled, one_of, several
from .zones import host_zone, zone

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MISSING = 'missing; write it like {} = "{}"'


def quiet(location: Location) -> tuple[QuietRule, ...]:
    """All quiet hours of the file."""
    if not isinstance(location.value, list):
        raise Mistake(f"must be written as [[quiet]], not as {kind_of(location.value)}")
    return tuple(_rule(location.at(index)) for index in range(len(location.value)))


def _rule(location: Location) -> QuietRule:
    fields = {
        "when": Field(when),
        "from": Field(_start, missing=_MISSING.format("from", "22:00")),
        "until": Field(_end, missing=_MISSING.format("until", "07:00")),
        "days": Field(filled(several(one_of(DAYS, "day")))),
        "zone": Field(zone),
    }
    found = read_table(location, fields)
    start, end = found.get("from", 0), found.get("until", DAY)
    if start == end:
        location.at("until").wrong('is the same as `from`; a whole day is from = "00:00", until = "24:00"')
    days = frozenset(DAYS.index(day) for day in found.get("days", DAYS))
    if (start, end, days) == (0, DAY, EVERY_DAY):
        location.warn("never ends: what it holds is given back when this table is removed; `tocsin silence` has an end")
    own, name = _zone_of(location, found)
    return QuietRule(Hours(start, end, days, own, name), found.get("when", {}))


def _zone_of(location: Location, found: dict[str, Any]) -> tuple[tzinfo, str | None]:
    """The zone, and its name if the file names it; without a zone, that of this host."""
    written = location.at("zone").value
    if written is not None:
        return found.get("zone", UTC), str(written)
    try:
        return host_zone(), None
    except Mistake as mistake:
        location.wrong(str(mistake))
        return UTC, None


def _start(location: Location) -> int:
    minutes = _end(location)
    if minutes == DAY:
        raise Mistake('must be before "24:00"')
    return minutes


def _end(location: Location) -> int:
    """Minutes after midnight, of a time of day."""
    match = re.fullmatch(r"([0-9]{2}):([0-9]{2})", location.value) if isinstance(location.value, str) else None
    hours, minutes = (int(match[1]), int(match[2])) if match else (-1, -1)
    found = 60 * hours + minutes
    if match is None or minutes > 59 or found > DAY:
        raise Mistake(f'{shown(location.value)} is no time of day; write it like "07:00" or "22:30", in quotes')
    return found
