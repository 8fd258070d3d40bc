"""At most so many in so long: a token bucket whose tokens come back one by one, each `per` seconds after its request was *answered*.

So no window of `per` seconds, wherever it begins, ever holds more than `count`: the classic bucket that refills steadily allows twice
that (a full bucket, then its refill), which is how senders that "respect the limit" still meet 429s. The server counted a request at some
time between its sending and its answer. Counting from the answer and deciding before the sending is the safe side at both ends: neither
latency nor the server's clock can make two of our windows one of the server's.

A part of the tokens may be reserved for expedited requests (URGENT and HIGH): see `reserve`. The others may hold `count - reserved` tokens
of the window at most. They may borrow a reserved token shortly before one of their own comes back, because an expedited request would wait
no longer than that for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from .reserve import Reserve

MIN_PACED_SHARE = 4 / 30  # of the tokens: below this share of the window's tokens requests are not paced
BORROW_TIME = (
    1.5  # s: with a webhook's window before it, an URGENT request may wait so long and still arrive within 2.5 s
)
MAX_PACE_FACTOR = 2.0  # times the even pace of a whole window: the longest wait of a message for more alerts to join it
EARLY_REQUESTS = 10  # requests that leave at EARLY_PACE at least, in a window that was empty
EARLY_PACE = 2.6  # s: the first alerts of a quiet channel are news, and most bursts end here
SPREAD_BELOW = 2  # tokens that must remain for EARLY_PACE


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in any `per` seconds."""

    count: int
    per: float

    def __str__(self) -> str:
        return f"{self.count} in {self.per:g} s"


class Bucket:
    """The tokens of one rate. Times are monotonic seconds. `count` may be lowered below the rate's."""

    def __init__(self, rate: Rate, reserve: Reserve | None = None) -> None:
        self.rate = rate
        self.count = rate.count
        self.reserve = reserve
        self._all: deque[float] = deque(maxlen=rate.count)  # times at which requests were answered, in order
        self._normal: deque[float] = deque(maxlen=rate.count)  # the same for requests that were not expedited
        self._last_sent: float | None = None  # when the last request that was not expedited left
        self._last_sent_before: float | None = None  # when the one before it left
        self._in_flight = 0  # requests without an answer yet
        self._in_flight_normal = 0

    def reserved(self, now: float) -> int:
        """How many tokens are reserved for expedited requests."""
        return 0 if self.reserve is None else self.reserve.reserved(now, self.count, self.rate.per)

    def note_demand(self, now: float) -> None:
        """An expedited delivery arrived."""
        if self.reserve is not None:
            self.reserve.note_demand(now)

    def ready_at(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        """`now` if a request may leave, else the instant at which a token comes back. While requests are in flight it may come back later.

        `borrow`: other requests may use the reserve so many seconds before a token of their own comes back.
        """
        when = self._free_at(now, self._all, self._in_flight, self.count)
        if expedited:
            return when
        own = self._free_at(now, self._normal, self._in_flight_normal, self.count - self.reserved(now))
        return max(when, own - borrow)

    def paced_at(self, now: float) -> float:
        """When the next request that is not expedited should leave, at the fastest even pace that never lacks a token.

        `now` while there were few requests. A pace lacks a token when its n-th request precedes the n-th token: the free ones first, then
        those that come back. The result is the smallest interval for which that never happens; at a steady rate it is `per / (count -
        reserved)`. After a burst that would be far too slow, so it is capped; then the window itself makes later requests wait. The first
        EARLY_REQUESTS of a window leave faster, whatever the size of the window.
        """
        used = [at for at in self._normal if at + self.rate.per > now]
        if not used or len(used) < self.count * MIN_PACED_SHARE:
            return now
        allowed, last = self.count - self.reserved(now), used[-1] if self._last_sent is None else self._last_sent
        free = allowed - len(used)
        pace = max((at + self.rate.per - last) / (free + n) for n, at in enumerate(used, 1) if free + n > 0)
        slowest = (
            EARLY_PACE
            if len(used) < min(EARLY_REQUESTS, allowed - SPREAD_BELOW)
            else MAX_PACE_FACTOR * self.rate.per / allowed
        )
        return max(now, last + min(pace, slowest))

    def acquire(self, now: float, *, expedited: bool = True) -> None:
        """A request leaves."""
        self._in_flight += 1
        if not expedited:
            self._in_flight_normal += 1
            self._last_sent_before, self._last_sent = self._last_sent, now

    def release(self, now: float, *, expedited: bool = True) -> None:
        """The request was answered: its token comes back `per` seconds from now."""
        self._returned(expedited=expedited)
        self.restore_request(now, expedited=expedited)
        for log in (self._all, self._normal):
            while log and log[0] + self.rate.per <= now:
                log.popleft()  # its token is back

    def cancel(self, *, expedited: bool = True) -> None:
        """The request did not leave, or never reached the server. Undoes `acquire`."""
        self._returned(expedited=expedited)
        if not expedited:
            self._last_sent = self._last_sent_before

    def restore_request(self, at: float, *, expedited: bool = True) -> None:
        """Count a request that was answered at `at`."""
        self._all = _inserted(self._all, at)
        if not expedited:
            self._normal = _inserted(self._normal, at)

    def note_sent(self, at: float) -> None:
        """A request that is not expedited left at `at`, from elsewhere: the pace goes on from there."""
        self._last_sent = at if self._last_sent is None else max(self._last_sent, at)

    def set_rate(self, rate: Rate) -> None:
        """Use another rate from now on. Counted requests stay counted."""
        self.rate, self.count = rate, rate.count
        self._all = deque(self._all, maxlen=rate.count)
        self._normal = deque(self._normal, maxlen=rate.count)

    @property
    def newest(self) -> float:
        """When the last known request was answered. There must be one."""
        return self._all[-1]

    def clears(self, window: float) -> float:
        """The instant from which fewer than `rate.count` requests lie in the last `window` seconds, if none leaves until then."""
        return self._all[0] + window if len(self._all) == self._all.maxlen else 0.0

    def _returned(self, *, expedited: bool) -> None:
        self._in_flight -= 1
        self._in_flight_normal -= not expedited

    def used(self, now: float) -> int:
        """How many tokens are in use at `now`."""
        return self._in_flight + sum(1 for _ in self._since(now - self.rate.per))

    def _since(self, then: float) -> Iterator[float]:
        return (at for at in self._all if at > then)

    def _free_at(self, now: float, log: deque[float], out: int, allowed: int) -> float:
        room = max(allowed, 1) - out
        if room <= 0:
            return now + self.rate.per
        return max(now, log[-room] + self.rate.per) if len(log) >= room else now


def _inserted(log: deque[float], at: float) -> deque[float]:
    """The log with `at`, still in order: requests of an earlier run may be added late."""
    if log and at < log[-1]:
        return deque(sorted((*log, at)), maxlen=log.maxlen)
    log.append(at)
    return log
