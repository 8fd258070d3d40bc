"""At most so many in so long: a token bucket whose tokens come back one by one, each `per` seconds after its request was *answered*.

So no window of `per` seconds, wherever it begins, ever holds more than `count`: the classic bucket that refills steadily allows twice
that (a full bucket, then its refill), which is how senders that "respect the limit" still meet 429s. And because the server counted a
request some time between its sending and its answer, counting from the answer and deciding before the sending errs on the safe side
twice: neither latency nor a server's clock can make two windows of ours one of theirs.

Some of the tokens may be kept for those who press (URGENT and HIGH): see `reserve`. The others may hold `count - keep` of the window
and no more, whoever else sends; but what is kept is lent to them for the moment before one of their own comes back, because nobody who
presses would wait longer for it than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from .reserve import Reserve

MIN_PACED_SHARE = 4 / 30  # of the tokens: with fewer requests than this in the window nobody has to save them up
BORROW_TIME = (
    1.5  # seconds: with a webhook's window before it, an URGENT request may wait so long and still arrive within 2.5
)
MAX_PACE_FACTOR = (
    2.0  # times the even pace of a whole window: the longest that a message waits for more alerts to join it
)
EARLY_REQUESTS = 10  # requests of a window that was empty wait for more alerts to join them for at most
EARLY_PACE = 2.6  # seconds: the first alerts of a quiet channel are news, and most such bursts end here
SPREAD_BELOW = 2  # tokens that must remain for that


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in any `per` seconds."""

    count: int
    per: float

    def __str__(self) -> str:
        return f"{self.count} in {self.per:g} s"


class Bucket:
    """Tokens of one rate. Times are monotonic seconds. `count` may be lowered to what was learned."""

    def __init__(self, rate: Rate, reserve: Reserve | None = None) -> None:
        self.rate = rate
        self.count = rate.count
        self.reserve = reserve
        self._all: deque[float] = deque(maxlen=rate.count)  # when requests were answered, in order
        self._normal: deque[float] = deque(maxlen=rate.count)  # those of them that did not press
        self._last_sent: float | None = None  # when the last of those left us
        self._last_sent_before: float | None = None  # and the one before it
        self._in_flight = 0  # requests without an answer yet
        self._in_flight_normal = 0

    def reserved(self, now: float) -> int:
        """How many tokens are kept for those who press."""
        return 0 if self.reserve is None else self.reserve.reserved(now, self.count, self.rate.per)

    def note_demand(self, now: float) -> None:
        """One who presses has come."""
        if self.reserve is not None:
            self.reserve.note_demand(now)

    def ready_at(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        """`now` for yes, else the instant at which a token comes back; a request that is out may come back only later.

        `lent`: seconds before a token of their own returns in which those that do not press may use the reserve.
        """
        when = self._free_at(now, self._all, self._in_flight, self.count)
        if expedited:
            return when
        own = self._free_at(now, self._normal, self._in_flight_normal, self.count - self.reserved(now))
        return max(when, own - borrow)

    def paced_at(self, now: float) -> float:
        """When the next that does not press should go, at an even pace that never runs dry; `now` while there were few.

        A pace runs dry when its n-th request comes before the n-th token: of those that are free, and then of those that come back. The
        smallest pace for which that never happens is the answer, from one leaving to the next; at a steady rate it is
        `per / (count - keep)`. After a burst it would be far slower than that, and is not: then the window itself makes who comes wait.
        The first EARLY requests of a window are faster, however small the window is.
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
        """It was answered: from here its token is gone for `per` seconds."""
        self._returned(expedited=expedited)
        self.restore_request(now, expedited=expedited)
        for log in (self._all, self._normal):
            while log and log[0] + self.rate.per <= now:
                log.popleft()  # its token is back

    def cancel(self, *, expedited: bool = True) -> None:
        """Nothing left after all, or it never reached the far end: as if it had not been taken."""
        self._returned(expedited=expedited)
        if not expedited:
            self._last_sent = self._last_sent_before

    def restore_request(self, at: float, *, expedited: bool = True) -> None:
        """A request that was answered then."""
        self._all = _inserted(self._all, at)
        if not expedited:
            self._normal = _inserted(self._normal, at)

    def set_rate(self, rate: Rate) -> None:
        """Another rate holds from now on; what was counted stays counted."""
        self.rate, self.count = rate, rate.count
        self._all = deque(self._all, maxlen=rate.count)
        self._normal = deque(self._normal, maxlen=rate.count)

    @property
    def newest(self) -> float:
        """When the last request that is known was answered; there must be one."""
        return self._all[-1]

    def clears(self, window: float) -> float:
        """From when on fewer requests than the rate permits lie in the last `window` seconds, should nothing be sent meanwhile."""
        return self._all[0] + window if len(self._all) == self._all.maxlen else 0.0

    def _returned(self, *, expedited: bool) -> None:
        self._in_flight -= 1
        self._in_flight_normal -= not expedited

    def used(self, now: float) -> int:
        """How many tokens are gone at `now`."""
        return self._in_flight + sum(1 for _ in self._since(now - self.rate.per))

    def _since(self, then: float) -> Iterator[float]:
        return (at for at in self._all if at > then)

    def _free_at(self, now: float, log: deque[float], out: int, allowed: int) -> float:
        room = max(allowed, 1) - out
        if room <= 0:
            return now + self.rate.per
        return max(now, log[-room] + self.rate.per) if len(log) >= room else now


def _inserted(log: deque[float], at: float) -> deque[float]:
    """The log, in order still: what comes from before a restart may come late."""
    if log and at < log[-1]:
        return deque(sorted((*log, at)), maxlen=log.maxlen)
    log.append(at)
    return log
