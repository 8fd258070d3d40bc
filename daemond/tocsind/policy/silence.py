"""Silences: signals that match one are stored and settled as `silenced`, and not sent.

A silence has keys and values as a route's `when` has, and every pair must match. It begins at once and ends at `until`, or earlier by an
operator. It applies to signals that come, and to those that wait in the queue when it begins; not to what quiet hours or a delay hold, and
not to repetitions of an alert that people have seen.

The daemon's own signals (source "tocsin": alarms, reports, digests) are exempt: an operator who silences a symbol or a priority does not
mean the daemon's troubles. A silence that names `source` = "tocsin" applies to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from tocsin.signals import PRIORITIES

from .delivery import Priority
from .routes import ROUTE_KEYS, Routable, has_value
from .sources import DAEMON_SOURCE

LONGEST = 366 * 86400.0  # s
MAX_PAIRS = 20
MAX_TEXT = 256  # code points of a value, and of a reason
MAX_PER_USER = 100  # silences in force of one uid

Pair = tuple[str, str]  # a key and the value that it must have


class Silence(msgspec.Struct, frozen=True):
    """One silence. Instants are on the steady clock."""

    id: str
    when: tuple[Pair, ...]
    uid: int  # of its owner
    since: float
    until: float
    reason: str | None = None
    ended_by: int | None = None  # the uid that ended it early
    signals: int = 0  # silenced by it
    highest: int | None = None  # the highest priority among them

    @property
    def written(self) -> str:
        """Its pairs as an operator writes them."""
        return " ".join(f"{key}={value}" for key, value in self.when)

    def settlement(self) -> str:
        """The reason of the deliveries that it settles."""
        because = f": {self.reason}" if self.reason else ""
        return f"silence {self.id} of uid {self.uid} ({self.written}){because}"


def matches(silence: Silence, signal: Routable, priority: Priority, source: str | None, now: float) -> bool:
    """Whether the silence is in force at `now` and applies to a signal from `source`."""
    if now >= silence.until or (source == DAEMON_SOURCE and ("source", DAEMON_SOURCE) not in silence.when):
        return False
    return all(has_value(key, (value,), signal, priority) for key, value in silence.when)


def problem(when: Sequence[Pair], seconds: float, reason: str | None) -> str | None:
    """Why there cannot be such a silence, as a sentence; None when there can."""
    if not 0 < seconds <= LONGEST:
        return f"a silence lasts more than no time and at most {LONGEST / 86400:g} days"
    if not 0 < len(when) <= MAX_PAIRS:
        return f"a silence needs at least one KEY=VALUE and takes at most {MAX_PAIRS}"
    if any(len(text) > MAX_TEXT for text in (*(value for _, value in when), reason or "")):
        return f"a value and a reason have at most {MAX_TEXT} characters"
    return next(filter(None, (_problem_of(pair, when) for pair in when)), None)


def _problem_of(pair: Pair, when: Sequence[Pair]) -> str | None:
    key, value = pair
    if key not in ROUTE_KEYS:
        return f"unknown key {key!r}; known here: {', '.join(ROUTE_KEYS)}"
    if key == "priority" and value not in PRIORITIES:
        return f"no priority is called {value!r}; known here: {', '.join(PRIORITIES)}"
    if key != "tag" and any(other == key and wanted != value for other, wanted in when):
        return f"no signal has two values for {key}; make a silence for each"
    return None


def next_end(silences: Iterable[Silence], now: float) -> float:
    """When the next silence ends; infinity without one."""
    return min((each.until for each in silences if each.until > now), default=inf)
