"""The circuit breaker of a lane: after some failures in a row no request leaves for a while, then one real delivery is the probe.

      ready --- `failures` in a row ---> failing --- rest over, probe acquired ---> probing
        ^                                  ^   ^                                       |  |
        |                                  |   '--- it failed: a longer rest ----------'  |
        '----------------------------------|------- it succeeded ------------------------'
                                           '--- the probe was not used: try again at once

A rate limit is no failure, and neither is a refusal: both are responses of a healthy server. `reason` is text for users. `SavedBreaker`
holds durations, because the monotonic clock means nothing after a restart.
"""

from __future__ import annotations

from enum import Enum
from math import inf

import msgspec


class BreakerLimits(msgspec.Struct, frozen=True):
    """When to open, and how long to rest (seconds). The rest doubles with each failed probe, up to `most`."""

    failures: int = 5
    rest: float = 10.0
    most: float = 300.0


class Phase(Enum):
    """The breaker's state, in the words of `status`."""

    READY = "ready"
    FAILING = "failing"
    PROBING = "probing"


class SavedBreaker(msgspec.Struct, frozen=True):
    """What the journal keeps of a breaker. `rest_left` is in seconds from now. A breaker that was probing is saved as failing."""

    failures: int = 0
    rests: int = 0
    rest_left: float | None = None  # None: the breaker was ready
    reason: str | None = None


class Breaker:
    """Counts failures in a row. All times are monotonic seconds."""

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self.phase = Phase.READY
        self.reason: str | None = None
        self.failures = 0
        self.rest_count = 0  # rests in a row; the exponent of the next one
        self.until = 0.0
        self.doubt = False  # a delivery that failed since the last response may have arrived

    def __repr__(self) -> str:
        return f"<Breaker {self.phase.value} failures={self.failures} rests={self.rest_count} until={self.until:g}>"

    def ready_at(self, now: float) -> float:
        """`now` if a request may leave, the end of the rest while failing, infinity while a probe is in flight."""
        if self.phase is Phase.PROBING:
            return inf
        return max(now, self.until) if self.phase is Phase.FAILING else now

    @property
    def is_probing(self) -> bool:
        """Whether the next message should carry one delivery only.

        It is a probe, or an earlier failed delivery may have arrived. In that case every delivery of the next message risks to become a
        possible duplicate.
        """
        return self.phase is not Phase.READY or self.doubt

    def acquire(self) -> None:
        """A request leaves. While failing it is the probe."""
        if self.phase is Phase.FAILING:
            self.phase = Phase.PROBING

    def release(self, now: float) -> None:
        """The acquired request gave no verdict: none left, or the response was a rate limit. Another may try at once."""
        if self.phase is Phase.PROBING:
            self.phase, self.until = Phase.FAILING, now

    def succeeded(self) -> bool:
        """The server responded. True when this ends a rest."""
        recovered = self.phase is not Phase.READY
        self.phase, self.reason, self.failures, self.rest_count = Phase.READY, None, 0, 0
        self.doubt = False
        return recovered

    def failed(self, now: float, reason: str, *, doubt: bool = False) -> bool:
        """A request failed; with `doubt` it may have arrived. True when this opens a breaker that was ready."""
        self.failures += 1
        self.doubt = self.doubt or doubt
        self.reason = reason
        tripped = self.phase is Phase.READY and self.failures >= self.limits.failures
        if tripped or self.phase is Phase.PROBING:
            self._rest(now)
        return tripped

    def saved(self, now: float) -> SavedBreaker:
        """The state to keep in the journal."""
        rest_left = None if self.phase is Phase.READY else max(0.0, self.until - now)
        return SavedBreaker(self.failures, self.rest_count, rest_left, self.reason)

    def restore(self, saved: SavedBreaker, now: float) -> None:
        """Continue an earlier run. No change of a clock makes a rest longer than it was when it began."""
        self.failures, self.rest_count, self.reason = saved.failures, saved.rests, saved.reason
        if saved.rest_left is not None:
            self.phase = Phase.FAILING
            self.until = now + min(saved.rest_left, self._length(max(self.rest_count - 1, 0)))

    def _rest(self, now: float) -> None:
        self.phase = Phase.FAILING
        self.until = now + self._length(self.rest_count)
        self.rest_count += 1

    def _length(self, doublings: int) -> float:
        return min(self.limits.most, self.limits.rest * 2.0 ** min(doublings, 60))
