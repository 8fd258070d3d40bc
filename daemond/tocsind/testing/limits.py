"""How a server may count requests: four models with one interface.

It is unknown outside Discord which of these Discord uses for which of its limits, and they differ exactly where it
hurts: at the edge of a window. A client that is right under all four is right.

    fixed     a window opens with the first request and closes `window` seconds later, however busy it was
    aligned   windows begin at multiples of `window` on the server's clock: 2 x limit may pass across an edge
    sliding   a log of what passed; any interval of `window` seconds holds at most `limit`
    leaky     a bucket of size `limit` that leaks limit / window a second

Three laws hold for each, and the tests keep them:
  1. `look` changes nothing; only a `take` that passes is counted, so requests at a closed limit do not close it longer.
  2. `remaining` is 0 exactly when the next request would be refused.
  3. A client that waits `reset_after` finds more room than now (for remaining 0: at least one request passes).

Time is handed in as seconds on any clock that does not run backwards.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from enum import StrEnum
from typing import Final

import msgspec

# Instants are sums of floats on a clock that may stand at a million seconds: what differs by less is the same instant.
_SAME: Final = 1e-9


class Verdict(msgspec.Struct, frozen=True):
    """What a limiter says about one request."""

    passes: bool
    remaining: int
    """Requests that would still pass at this instant, after this one."""
    reset_after: float
    """Seconds until `remaining` grows by itself; 0.0 when nothing has been used."""


class Limiter(ABC):
    """`limit` requests in `window` seconds, by whichever model the subclass is."""

    def __init__(self, limit: int, window: float) -> None:
        if limit < 1 or not window > 0:
            raise ValueError(f"a limit needs at least one request and some time, not {limit} per {window} s")
        self.limit = limit
        self.window = window

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.limit} per {self.window:g} s>"

    def look(self, now: float) -> Verdict:
        """Ask without taking."""
        free = self._free(now)
        return Verdict(passes=free > 0, remaining=free, reset_after=max(0.0, self._grows_in(now)))

    def take(self, now: float) -> Verdict:
        """Let one request pass, if it may; a refused one leaves no trace."""
        before = self.look(now)
        if not before.passes:
            return before
        self._count(now)
        after = self.look(now)
        return Verdict(passes=True, remaining=after.remaining, reset_after=after.reset_after)

    @abstractmethod
    def _free(self, now: float) -> int: ...

    @abstractmethod
    def _grows_in(self, now: float) -> float: ...

    @abstractmethod
    def _count(self, now: float) -> None: ...


class FixedWindow(Limiter):
    """The window opens with the first request after the last window closed."""

    def __init__(self, limit: int, window: float) -> None:
        super().__init__(limit, window)
        self._closes = -math.inf
        self._used = 0

    def _is_over(self, now: float) -> bool:
        return now >= self._closes - _SAME

    def _free(self, now: float) -> int:
        return self.limit if self._is_over(now) else self.limit - self._used

    def _grows_in(self, now: float) -> float:
        return 0.0 if self._is_over(now) else self._closes - now

    def _count(self, now: float) -> None:
        if self._is_over(now):
            self._closes, self._used = self._next_close(now), 0
        self._used += 1

    def _next_close(self, now: float) -> float:
        return now + self.window


class AlignedWindow(FixedWindow):
    """Windows begin at multiples of `window`whether requests come or not."""

    def _next_close(self, now: float) -> float:
        return (math.floor(now / self.window + _SAME) + 1) * self.window


class SlidingLog(Limiter):
    """Each request that passed counts for `window` seconds, to the instant."""

    def __init__(self, limit: int, window: float) -> None:
        super().__init__(limit, window)
        self._log: deque[float] = deque(maxlen=limit)

    def _free(self, now: float) -> int:
        counted = sum(1 for at in self._log if now < at + self.window - _SAME)
        return self.limit - counted

    def _grows_in(self, now: float) -> float:
        waits = (at + self.window - now for at in self._log)
        return next((wait for wait in waits if wait > _SAME), 0.0)

    def _count(self, now: float) -> None:
        self._log.append(now)


class LeakyBucket(Limiter):
    """Room for `limit` at once; one more every window / limit seconds."""

    def __init__(self, limit: int, window: float) -> None:
        super().__init__(limit, window)
        self._level = 0.0
        self._at = 0.0

    def _filled(self, now: float) -> float:
        leaked = (now - self._at) * self.limit / self.window
        level = self._level - leaked
        return level if level > _SAME else 0.0

    def _free(self, now: float) -> int:
        # A billionth of a request is rounding, not a request.
        return math.floor(self.limit - self._filled(now) + 1e-6)

    def _grows_in(self, now: float) -> float:
        filled = self._filled(now)
        if not filled:
            return 0.0
        surplus = filled - (self.limit - self._free(now) - 1)
        return surplus * self.window / self.limit

    def _count(self, now: float) -> None:
        self._level, self._at = self._filled(now) + 1, now


class Model(StrEnum):
    """Which way of counting; the values are what `Limit.parse` and the command line take."""

    FIXED = "fixed"
    ALIGNED = "aligned"
    SLIDING = "sliding"
    LEAKY = "leaky"


_MODELS: Final[dict[Model, type[Limiter]]] = {
    Model.FIXED: FixedWindow,
    Model.ALIGNED: AlignedWindow,
    Model.SLIDING: SlidingLog,
    Model.LEAKY: LeakyBucket,
}


class Limit(msgspec.Struct, frozen=True):
    """A limit as it is written down: `requests` in `window` seconds, counted by `model`."""

    model: Model
    requests: int
    window: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read `sliding:30/60` (model, requests, seconds). Raises ValueError for anything else."""
        model, _, rate = text.partition(":")
        requests, _, window = rate.partition("/")
        limit = cls(Model(model), int(requests), float(window))
        limit.build()  # refuses nonsense here rather than at the first request
        return limit

    def build(self, scale: float = 1.0) -> Limiter:
        """A fresh limiter whose window is `scale` times as long."""
        return _MODELS[self.model](self.requests, self.window * scale)
