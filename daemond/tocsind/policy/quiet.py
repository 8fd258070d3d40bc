"""Quiet hours: which signals are held back, and until when.

A rule holds every signal that its `when` matches, as in a route. URGENT signals pass, unless the rule names them: `priority = "urgent"`.
Hours that overlap or follow each other are one time of quiet for a signal that all of them hold: it ends with the last of them.

A held delivery is not queued: no attempt, no patience, no digest of a backlog sees it. Its deadline runs on. When the quiet ends, one
digest for each destination stands for all that was held there (`quiet_digest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from .calendar import Hours
from .delivery import Priority
from .routes import Routable, matches_all

LONGEST = (
    8 * 86400.0
)  # seconds; hours that cover the whole week never end, so the question is asked again after so long

ENDLESS = "held without an end by quiet hours"


class Hold(msgspec.Struct, frozen=True):
    """Why a delivery is held, and until when: on the wall clock for quiet hours, on the steady clock for the delay of a route."""

    until: float
    reason: str
    is_quiet: bool


class QuietRule(msgspec.Struct, frozen=True):
    """One [[quiet]] of the configuration."""

    hours: Hours
    when: Mapping[str, tuple[str, ...]] = {}

    def holds(self, signal: Routable, priority: Priority) -> bool:
        """Whether it holds this signal during its hours."""
        passes = priority is Priority.URGENT and priority.label not in self.when.get("priority", ())
        return not passes and matches_all(self.when, signal, priority)


class QuietHours:
    """All rules of a configuration, with a cache: the answer for a set of rules stays the same until hours begin or end."""

    def __init__(self, rules: Sequence[QuietRule] = ()) -> None:
        self._rules = rules
        self._since = inf  # the cache is valid from here
        self._until = -inf  # until here
        self._is_on = False
        self._holds: dict[tuple[int, ...], Hold | None] = {}

    def hold(self, signal: Routable, priority: Priority, now: float) -> Hold | None:
        """Why and until when this signal is held at `now`; None if it is not."""
        if not self._rules or not self.is_on(now):
            return None
        mine = tuple(place for place, rule in enumerate(self._rules) if rule.holds(signal, priority))
        if mine not in self._holds:
            self._holds[mine] = quiet_until([self._rules[place].hours for place in mine], now)
        return self._holds[mine]

    def is_on(self, now: float) -> bool:
        """Whether `now` lies in the hours of any rule."""
        self._refresh(now)
        return self._is_on

    def next_change(self, now: float) -> float:
        """When the hours of any rule next begin or end; infinity without rules."""
        self._refresh(now)
        return self._until

    def _refresh(self, now: float) -> None:
        if self._since <= now < self._until:
            return
        self._since, self._until = now, min((rule.hours.next_change(now) for rule in self._rules), default=inf)
        self._is_on = any(rule.hours.covering(now) for rule in self._rules)
        self._holds.clear()


def quiet_until(hours: Sequence[Hours], now: float) -> Hold | None:
    """When the quiet of these hours, taken together, ends; None if `now` lies in none of them."""
    until: float = now
    last: Hours | None = None
    while until < now + LONGEST:
        ends = [(found.end, each) for each in hours if (found := each.covering(until))]
        if not ends:
            break
        until, last = max(ends, key=lambda end: end[0])
    if last is None:
        return None
    return Hold(until, ENDLESS if until >= now + LONGEST else describe(until, last, now), is_quiet=True)


def describe(until: float, hours: Hours, now: float) -> str:
    """The reason of a held delivery, for people. The time of day is that of the hours' zone."""
    zone = f" ({hours.zone_name})" if hours.zone_name else ""
    return f"held until {hours.written(until, now)} by quiet hours{zone}"
