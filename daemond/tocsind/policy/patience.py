"""Patience: how long a destination may fail before its waiting deliveries move to a fallback.

An outage begins with the first request in a row that fails, when that leaves: a server that hangs would otherwise have the request's
deadline beside the patience. It also begins with a block by the server. It ends with the first delivery that gets an answer: it arrived, or
was refused for its content. A block by the server counts; one of our own limits does not, because the lane knows when it may
send again.

      well --- a failure, or a block by the server ---> out --- a query answered, or the block over ---> back
       ^                                                 ^ |                                              |  |
       |------------- a delivery gets an answer ---------|-'                                              |  |
       |                                                 '--- a failure, or a block: the outage goes on --'  |
       '------------- a delivery gets an answer -------------------------------------------------------------'

While it is `out`, waiting deliveries whose priority's patience is over move to a fallback, and new ones of that priority move at once. When
all have moved, no delivery is left that could show that the destination works again. To keep one back as a probe would let it exceed its
patience, and to copy it would deliver it twice. So the lane sends a query instead (Discord: GET of the webhook), as often as the breaker
permits. An answered query does not prove that deliveries work: the outage is only `back`. New deliveries then try their own destination. If
that fails, the outage continues with its old beginning, so no delivery waits through a second patience. A destination without a harmless
query is `back` each time when the breaker permits an attempt.

A delivery that moved has used up its patience. If its new destination fails as well, it moves on at once. If no working fallback is left,
it returns to a destination that it came from, once that works again. Each destination takes a signal back only once.

A signal whose `expires` ends before its patience does not move early. It expires, and is reported as missed.

`Fitness` decides which fallback is used: the first one that works, in the configured order. If none works, the deliveries stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from math import inf

import msgspec

from .delivery import Priority

PROBE_INTERVAL = 5.0  # s between two queries to a destination whose breaker never opened
SHORT_BLOCK = (
    5.0  # s; a server that asks for no more than this still works: Discord does so whenever a window is used up
)
SUSPECT_TIME = 600.0  # s for which a destination that is back without a delivery is not fully trusted


class Patience(msgspec.Struct, frozen=True):
    """By priority: seconds that a destination may fail before waiting deliveries move. None: only when they are given up."""

    urgent: float | None = 30.0
    high: float | None = 120.0
    normal: float | None = 600.0
    low: float | None = None

    def of(self, priority: Priority) -> float:
        """The patience of one priority in seconds; infinity for never."""
        found: float | None = getattr(self, priority.label)
        return inf if found is None else found


NEVER = Patience(None, None, None, None)


class Trouble(msgspec.Struct, frozen=True):
    """Since when (monotonic) and why nothing is delivered. `is_local`: another host may get through. `is_final`: until an operator acts."""

    since: float
    reason: str
    is_local: bool
    is_final: bool = False


class ShutOut(msgspec.Struct, frozen=True):
    """Where hosts share a destination: what this host accepted waits for others that do not get through, or while no host sends.

    `since` is monotonic; -inf: they will not get through, so nothing waits for them. What does not wait is sent from here.
    """

    since: float
    reason: str
    waits: tuple[Priority, ...] = tuple(Priority)

    def over_at(self, priority: Priority, patience: float) -> float:
        """When deliveries of this priority move; infinity for those that do not wait."""
        if priority not in self.waits:
            return inf
        return self.since if self.since == -inf else self.since + patience


class Fitness(IntEnum):
    """How fit a destination is as a fallback; a smaller number is better."""

    WORKING = 0
    FAILS = 1  # it may recover by itself
    DISABLED = 2


def ranked(chain: Sequence[str], fitness: Callable[[str], Fitness]) -> tuple[str, ...]:
    """The fallbacks, working ones first, each group in the configured order."""
    return tuple(sorted(chain, key=fitness))


class Outage:
    """Since when no delivery gets through to one destination. Instants are monotonic seconds."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.reason: str | None = None
        self.fails = False  # the outage includes a failure; else the server only asked for a wait
        self._last = 0.0  # the latest failure, or query that could not be sent
        self._back_at: float | None = None
        self._query: tuple[float, float] | None = None  # when the last query left and ended, if it failed

    def __repr__(self) -> str:
        word = "out" if self.is_on else "well" if self.since is None else "back"
        return f"<Outage {word} since={self.since} fails={self.fails} reason={self.reason!r}>"

    @property
    def is_on(self) -> bool:
        """Whether no delivery gets through now."""
        return self.since is not None and self._back_at is None

    def on_failure(self, now: float, reason: str, began: float | None = None) -> None:
        """A request failed that left at `began`. A query that failed directly before it counts as the first failure."""
        if began is not None and self._query is not None and began - self._query[1] <= PROBE_INTERVAL:
            began = min(began, self._query[0])
        self._continue(now, reason, began)
        self.fails = True

    def on_query(self, now: float, began: float, *, failed: bool) -> None:
        """A query that left at `began` has ended. That begins no outage by itself."""
        self._query = (began, now) if failed else None

    def on_block(self, now: float, reason: str) -> None:
        """The server asked for a wait."""
        self._continue(now, reason)

    def on_retry_scheduled(self, now: float) -> None:
        """No query can be sent now."""
        self._last = now

    def on_recovery(self, now: float) -> None:
        """The destination may work again; the next delivery will show."""
        if self.is_on:
            self._back_at, self.fails = now, False

    def on_answer(self) -> None:
        """A delivery got an answer."""
        self.since, self.reason, self.fails, self._back_at = None, None, False, None

    def restore(self, since: float, reason: str, *, fails: bool = True) -> None:
        """Continue an outage of the last run. Not `fails`: the server had only asked for a wait."""
        self.since = self._last = since
        self.reason, self.fails = reason, fails

    def duration(self, now: float) -> float:
        """Seconds since it began; 0 when it is not on."""
        return max(0.0, now - self.since) if self.since is not None and self.is_on else 0.0

    def over_at(self, patience: float) -> float:
        """When deliveries with this patience move; infinity without an outage."""
        return self.since + patience if self.since is not None and self.is_on else inf

    def probe_at(self, allowed: float) -> float:
        """When to send the next query, given the instant from which breaker and server permit it; infinity without an outage."""
        if not self.is_on:
            return inf
        return max(allowed, self._last + PROBE_INTERVAL if self.fails else allowed)

    def works(self, blocked_for: float) -> bool:
        """Whether the destination can be a fallback. `blocked_for`: seconds that the server asked for."""
        return blocked_for < SHORT_BLOCK and not (self.is_on and self.fails)

    def _continue(self, now: float, reason: str, began: float | None = None) -> None:
        trusted = self._back_at is not None and now - self._back_at > SUSPECT_TIME
        if self.since is None or trusted:
            self.since = now if began is None else began
        self.reason, self._last, self._back_at = reason, now, None
