"""The breaker of a lane: after some failures in a row it lets the far end rest, then tries with a single real delivery.

      ready --- `failures` in a row ---> failing --- the rest is over, one permit ---> probing
        ^                                  ^   ^                                          |  |
        |                                  |   '------- it failed: a longer rest ---------'  |
        '----------------------------------|------------ it passed --------------------------'
                                           '--- the permit came back unused: try again at once

A rate limit is no failure, and a refusal is none either: both are answers of a healthy far end. Nothing here knows why; `reason` is kept
for people. A snapshot carries the steady clock's time, because the monotonic clock means nothing after a restart.
"""

from __future__ import annotations

from enum import Enum
from math import inf

import msgspec


class BreakerLimits(msgspec.Struct, frozen=True):
    """When to trip, and how long to rest (seconds): the rest doubles with each probe that fails, up to `most`."""

    failures: int = 5
    rest: float = 10.0
    most: float = 300.0


class Phase(Enum):
    """The breaker's own condition, in the glossary's words."""

    READY = "ready"
    FAILING = "failing"
    PROBING = "probing"


class SavedBreaker(msgspec.Struct, frozen=True):
    """What of a breaker survives a restart. `rest_left` is in seconds from now; what was probing is failing again."""

    failures: int = 0
    rests: int = 0
    rest_left: float | None = None  # None: it was ready
    reason: str | None = None


class Breaker:
    """Counts failures in a row. All times are monotonic seconds."""

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self.phase = Phase.READY
        self.reason: str | None = None
        self.failures = 0
        self.rest_count = 0  # in a row; the exponent of the next rest
        self.until = 0.0
        self.doubt = False  # whether a failure since the last answer may have arrived

    def __repr__(self) -> str:
        return f"<Breaker {self.phase.value} failures={self.failures} rests={self.rest_count} until={self.until:g}>"

    def ready_at(self, now: float) -> float:
        """`now` for yes, the end of the rest for not before, infinity while a probe is out."""
        if self.phase is Phase.PROBING:
            return inf
        return max(now, self.until) if self.phase is Phase.FAILING else now

    @property
    def is_probing(self) -> bool:
        """Whether the next message should carry a single delivery: it is a probe, or what failed since the last answer may have arrived
        all the same. Then each further delivery that is risked is one more that is told as a possible duplicate.
        """
        return self.phase is not Phase.READY or self.doubt

    def acquire(self) -> None:
        """A delivery goes out; while failing it is the probe."""
        if self.phase is Phase.FAILING:
            self.phase = Phase.PROBING

    def release(self, now: float) -> None:
        """The permit comes back without a verdict (nothing was sent, or a rate limit answered): another may try at once."""
        if self.phase is Phase.PROBING:
            self.phase, self.until = Phase.FAILING, now

    def succeeded(self) -> bool:
        """They answered. True when this ends a rest."""
        recovered = self.phase is not Phase.READY
        self.phase, self.reason, self.failures, self.rest_count = Phase.READY, None, 0, 0
        self.doubt = False
        return recovered

    def failed(self, now: float, reason: str, *, doubt: bool = False) -> bool:
        """They failed, and with `doubt` it may have arrived. True when this begins a rest after being ready: a trip."""
        self.failures += 1
        self.doubt = self.doubt or doubt
        self.reason = reason
        tripped = self.phase is Phase.READY and self.failures >= self.limits.failures
        if tripped or self.phase is Phase.PROBING:
            self._rest(now)
        return tripped

    def saved(self, now: float) -> SavedBreaker:
        """What to write down."""
        rest_left = None if self.phase is Phase.READY else max(0.0, self.until - now)
        return SavedBreaker(self.failures, self.rest_count, rest_left, self.reason)

    def restore(self, memory: SavedBreaker, now: float) -> None:
        """Go on where a breaker of before the restart stood. No clock makes a rest longer than it was when it began."""
        self.failures, self.rest_count, self.reason = memory.failures, memory.rests, memory.reason
        if memory.rest_left is not None:
            self.phase = Phase.FAILING
            self.until = now + min(memory.rest_left, self._length(max(self.rest_count - 1, 0)))

    def _rest(self, now: float) -> None:
        self.phase = Phase.FAILING
        self.until = now + self._length(self.rest_count)
        self.rest_count += 1

    def _length(self, doublings: int) -> float:
        return min(self.limits.most, self.limits.rest * 2.0 ** min(doublings, 60))
