"""A token bucket whose tokens come back one by one, each `per` seconds after it was taken.

So no window of `per` seconds, wherever it begins, ever holds more than `count`: the classic bucket that refills steadily allows twice
that (a full bucket, then its refill), which is how senders that "respect the limit" still meet 429s.
"""

from __future__ import annotations

from collections import deque
from math import inf

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in any `per` seconds."""

    count: int
    per: float

    def __str__(self) -> str:
        return f"{self.count} in {self.per:g} s"


class Bucket:
    """Tokens of one rate. Times are monotonic seconds; `keep` is how many tokens the asker must leave untouched."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._taken: deque[float] = deque(maxlen=rate.count)

    def ready_at(self, now: float, keep: int = 0) -> float:
        """When a token above the reserve is there: `now`, or the later instant at which one comes back."""
        allowed = self.rate.count - keep
        if allowed <= 0:
            return inf
        if len(self._taken) < allowed:
            return now
        return max(now, self._taken[-allowed] + self.rate.per)

    def take(self, now: float) -> None:
        """Take a token. Beyond the last one the oldest is taken again: a reported past is never refused."""
        self._taken.append(now)

    def left(self, now: float) -> int:
        """How many tokens are there at `now`."""
        return self.rate.count - sum(1 for taken in self._taken if taken + self.rate.per > now)
