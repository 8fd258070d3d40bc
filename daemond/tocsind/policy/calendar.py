"""Hours of the day in a time zone, as instants.

`Hours` repeat on some days of the week: from 22:00 to 07:00, in Europe/Berlin. The day is that on which they begin. Instants are Unix
seconds on the wall clock; a zone is a `tzinfo` that the caller has loaded. When the clocks change:

    a time of day that does not exist   counts as the instant of the change: from 02:30 on begins at 03:00, until 02:30 ends there
    a time of day that comes twice      hours begin at its first occurrence and end at its second

So the hours are one interval, and they cover every instant at which a clock in the zone shows a time between `start` and `end`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from math import inf
from typing import NamedTuple

import msgspec

DAY = 1440  # minutes
EVERY_DAY = frozenset(range(7))
_LASTING = range(
    -2, 2
)  # days, from today: on which the hours that last now may have begun, also where a zone has left out a day
_NEXT = range(-2, 9)  # days: within a week the next ones begin


class Interval(NamedTuple):
    """From `start` until just before `end`."""

    start: float
    end: float


class Hours(msgspec.Struct, frozen=True):
    """Daily hours. `start` is in minutes after midnight, 0 to 1439; `end` 1 to 1440, and not after `start` if it is on the next day."""

    start: int
    end: int
    days: frozenset[int] = EVERY_DAY  # on which they begin; Monday is 0
    zone: tzinfo = UTC
    zone_name: str | None = None  # as people wrote it; None: the zone of the host

    def written(self, at: float, now: float) -> str:
        """The time of day of an instant, for people in this zone; with the day of the week if it is more than a day away."""
        moment = datetime.fromtimestamp(at, self.zone)
        return f"{moment:%a %H:%M}" if at - now > 60.0 * DAY else f"{moment:%H:%M}"

    def covering(self, now: float) -> Interval | None:
        """The hours that `now` lies in; None outside of them."""
        return next((each for each in self._on_days(now, _LASTING) if each.start <= now < each.end), None)

    def next_change(self, now: float) -> float:
        """When they next begin or end after `now`; infinity if they never do."""
        return min((at for each in self._on_days(now, _NEXT) for at in each if at > now), default=inf)

    def _on_days(self, now: float, offsets: range) -> list[Interval]:
        today = datetime.fromtimestamp(now, self.zone).date()
        days = [today + timedelta(each) for each in offsets]
        return [self._on(day) for day in days if day.weekday() in self.days]

    def _on(self, day: date) -> Interval:
        last = day if self.end > self.start else day + timedelta(1)
        return Interval(
            instant(day, self.start, self.zone, second=False), instant(last, self.end, self.zone, second=True)
        )


def instant(day: date, minutes: int, zone: tzinfo, *, second: bool) -> float:
    """The Unix time of a time of day, `minutes` after midnight; `second`: the later one if it comes twice."""
    moment = datetime.combine(day, time()) + timedelta(minutes=minutes)
    before, after = (moment.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if before <= after:
        return after if second else before
    return _change(after, before, zone)


def _change(low: float, high: float, zone: tzinfo) -> float:
    """The instant in (low, high] from which on the zone has another offset than at `low`, to the second."""
    offset = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
    return high


def _offset(at: float, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()
