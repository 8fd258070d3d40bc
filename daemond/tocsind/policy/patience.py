"""Patience: how long a destination may fail before a fallback delivers what waits for it.

An outage begins with the destination's first failure in a row, or with a block by the server, and ends with the first delivery that is
answered (arrived, or refused for what is in it). A block by the server counts; a limit of our own does not, because the lane knows when
it may send again.

      well --- a failure, or a block by the server ----> out --- a question answered, or the block over ---> back
       ^                                                  ^ |                                                 |  |
       |------------- a delivery is answered -------------|-'                                                 |  |
       |                                                  '--- a failure, or a block: the old outage goes on -'  |
       '------------- a delivery is answered --------------------------------------------------------------------'

While it is `out`, what waits with a priority whose patience is over moves to a fallback, and what arrives with that priority moves at
once. When everything has moved, nothing is left that could show that the destination works again. To keep one delivery back as a probe
would let that one exceed its patience, and to copy it would deliver it by both destinations. So the lane asks a question instead
(Discord: GET of the webhook), as often as the breaker lets it try. A question that is answered is not yet a delivery that is: the
outage is only `back`. What arrives then is tried at its own destination, and if that fails the outage goes on with its old beginning,
so nobody waits a second patience. A destination without a harmless question is `back` each time when the breaker lets it try.

What moved has used up its patience. Where it moved to a destination that turns out to fail as well, it moves on at once; when no fallback
is left that works, it goes back to a destination that it came from, if that works again. Each destination takes a signal back only once.

Not moved early: a signal whose `expires` ends before its patience does. It expires, and is reported as missed.

Who may stand in is a matter of `Fitness`: the first fallback that works, in the configured order. When none works, everything stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from math import inf

import msgspec

from .delivery import Priority

PROBE_INTERVAL = 5.0  # s between two tries of a destination whose breaker never opened
SHORT_BLOCK = 5.0  # s; a server that asks for no more than this still works: Discord does so with every used-up window
SUSPECT_TIME = 600.0  # s for which a destination that came back without a delivery is not fully trusted


class Patience(msgspec.Struct, frozen=True):
    """By priority: seconds that a destination may fail before what waits moves. None: only at give-up."""

    urgent: float | None = 30.0
    high: float | None = 120.0
    normal: float | None = 600.0
    low: float | None = None

    def of(self, priority: Priority) -> float:
        """Seconds; infinity for never."""
        found: float | None = getattr(self, priority.label)
        return inf if found is None else found


NEVER = Patience(None, None, None, None)


class Fitness(IntEnum):
    """How fit a destination is to stand in for another; a smaller number is better."""

    WORKING = 0
    FAILS = 1  # it may come back by itself
    DISABLED = 2


def ranked(chain: Sequence[str], fitness: Callable[[str], Fitness]) -> tuple[str, ...]:
    """The fallbacks, those that work first; among equals in the configured order."""
    return tuple(sorted(chain, key=fitness))


class Outage:
    """Since when nothing gets through to one destination. Instants are monotonic seconds."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.reason: str | None = None
        self.fails = False  # a failure is part of it; else the server only asks us to wait
        self._last = 0.0  # the latest failure, or question that could not be asked
        self._back_at: float | None = None

    def __repr__(self) -> str:
        word = "out" if self.is_on else "well" if self.since is None else "back"
        return f"<Outage {word} since={self.since} fails={self.fails} reason={self.reason!r}>"

    @property
    def is_on(self) -> bool:
        """Whether nothing gets through now."""
        return self.since is not None and self._back_at is None

    def on_failure(self, now: float, reason: str) -> None:
        """A request failed."""
        self._continue(now, reason)
        self.fails = True

    def on_block(self, now: float, reason: str) -> None:
        """The server wants us to wait."""
        self._continue(now, reason)

    def on_retry_scheduled(self, now: float) -> None:
        """No question can be asked just now."""
        self._last = now

    def on_recovery(self, now: float) -> None:
        """It may work again; the next delivery will show."""
        if self.is_on:
            self._back_at, self.fails = now, False

    def on_answer(self) -> None:
        """A delivery got an answer."""
        self.since, self.reason, self.fails, self._back_at = None, None, False, None

    def restore(self, since: float, reason: str, *, fails: bool = True) -> None:
        """Go on where the last run stood; not `fails` where the server only asked us to wait."""
        self.since = self._last = since
        self.reason, self.fails = reason, fails

    def duration(self, now: float) -> float:
        """Seconds since it began; 0 when it is not on."""
        return max(0.0, now - self.since) if self.since is not None and self.is_on else 0.0

    def over_at(self, patience: float) -> float:
        """When what waits so patiently moves; infinity while all is well."""
        return self.since + patience if self.since is not None and self.is_on else inf

    def probe_at(self, allowed: float) -> float:
        """When to find out whether it is back, given when breaker and server allow it; infinity while all is well."""
        if not self.is_on:
            return inf
        return max(allowed, self._last + PROBE_INTERVAL if self.fails else allowed)

    def works(self, blocked_for: float) -> bool:
        """Whether the destination can stand in for another; `blocked_for` so many seconds the server wants us to wait."""
        return blocked_for < SHORT_BLOCK and not (self.is_on and self.fails)

    def _continue(self, now: float, reason: str) -> None:
        trusted = self._back_at is not None and now - self._back_at > SUSPECT_TIME
        if self.since is None or trusted:
            self.since = now
        self.reason, self._last, self._back_at = reason, now, None
