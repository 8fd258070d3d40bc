"""Limits by scope, the narrowest first: a webhook, a channel that several webhooks share, the address of this host.

    webhook    its responses say how many requests remain; without headers a log of our requests and what earlier headers said decide
    channel    a window that no header shows: a log of our requests, lowered when the server says 429 all the same (others post there too)
    host       every request of this host to one server; and, where the server bans, a guard that stops all of them before too many were
               invalid

A limit may have several windows ("1 a second and 20 a minute"): a request leaves when all of them have room. Responses teach the first one.

The server may block each of them: "not before". A limit without a rate is always open. All limiters that lead through a scope share its
limit, and so what it learned. `SavedLimit` is what the next run must know.

Configured and learned limits are separate, because they change for different reasons. A reload changes the configured one, at once and in
both directions. Responses only ever make it stricter, and what they taught is dropped when no later response confirms it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from .bucket import BORROW_TIME, Bucket, Rate
from .outcomes import RateHeaders
from .pace import Rates
from .reserve import Reserve

MARGIN = 0.02  # s that our windows are longer than the server's: clocks run at slightly different speeds
UNSTATED_BLOCK = 60.0  # s of a block of the whole address without a stated length; doubles up to an hour
MAX_UNSTATED_BLOCK = 3600.0
USUAL_WINDOW = 2.0 + MARGIN  # s of a webhook's window; within BORROW_TIME an URGENT request can wait for one
SLOWEST_WEBHOOK = Rate(5, 5.0 + MARGIN)  # requests; the slowest Discord webhook that was observed
MIN_LEARNED = 5  # a minute; below this an occasional 429 costs less than waiting
CLEAN_TIME = 60.0  # s without a shared 429 after which the limit is raised by one
MAX_CLEAN_TIME = 8 * CLEAN_TIME  # s; the longest, after repeated 429s
OBSERVATION_PERIOD = 1800.0  # s of one observation period; what neither of the last two periods showed is dropped


class SavedLimit(msgspec.Struct, frozen=True):
    """What the journal keeps of a limit. Instants are monotonic seconds here, and on the steady clock in the journal."""

    blocked_until: float | None = None
    blocked_because: str | None = None
    count: int | None = None  # learned: requests
    per: float | None = None  # learned: seconds
    learned_at: float | None = None
    blocked_for: float | None = None  # s; length of the block when it was set: no change of a clock makes it longer


class RateLimit:
    """Common part of all limits: any number of windows, an optional block."""

    margin = 0.0  # s that our window is longer than the server's

    def __init__(self, rate: Rates = None, *, reserves: bool = False) -> None:
        self.buckets = tuple(Bucket(self._with_margin(each), Reserve() if reserves else None) for each in windows(rate))
        self.blocked_until = 0.0
        self.blocked_because: str | None = None
        self.blocked_for: float | None = None

    @property
    def bucket(self) -> Bucket | None:
        """The first window; None without any."""
        return self.buckets[0] if self.buckets else None

    def ready_at(self, now: float, *, expedited: bool = True) -> float:
        """`now` if a request may leave, else a later instant."""
        others = (bucket.ready_at(now, expedited=expedited) for bucket in self.buckets[1:])
        return max(self.block_ends(now), self.window_opens(now, expedited=expedited), *others)

    def window_opens(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        """When the count of the first window permits a request; `borrow` as in `Bucket.ready_at`."""
        return self.bucket.ready_at(now, expedited=expedited, borrow=borrow) if self.bucket else now

    def apply_rate(self, rate: Rates) -> None:
        """The configuration has another rate. The number of windows stays as it is until the daemon restarts."""
        for bucket, each in zip(self.buckets, windows(rate), strict=False):
            bucket.set_rate(self._with_margin(each))

    def block_ends(self, now: float) -> float:
        """When the server's block ends; `now` without one."""
        return max(now, self.blocked_until) if self.blocked_because else now

    def block(self, until: float, reason: str, wait: float | None = None) -> None:
        """Block until this instant, which is `wait` seconds ahead. A block never shortens an earlier one."""
        if until > self.blocked_until:
            self.blocked_until, self.blocked_because, self.blocked_for = until, reason, wait

    def unblock(self) -> None:
        """Drop the block: the operator overrides the server."""
        self.blocked_until, self.blocked_because, self.blocked_for = 0.0, None, None

    def acquire(self, now: float, *, expedited: bool) -> None:
        """A request leaves."""
        for bucket in self.buckets:
            bucket.acquire(now, expedited=expedited)

    def release(self, now: float, *, expedited: bool) -> None:
        """The request was answered."""
        for bucket in self.buckets:
            bucket.release(now, expedited=expedited)

    def cancel(self, *, expedited: bool) -> None:
        """The acquired request did not leave."""
        for bucket in self.buckets:
            bucket.cancel(expedited=expedited)

    def restore_request(self, at: float, *, expedited: bool) -> None:
        """Count a request of an earlier run. An expedited one also counts as demand."""
        for bucket in self.buckets:
            bucket.restore_request(at, expedited=expedited)
            if expedited:
                bucket.note_demand(at)

    def _with_margin(self, rate: Rate) -> Rate:
        return Rate(rate.count, rate.per + self.margin)

    def saved(self) -> SavedLimit:
        """The state to keep in the journal."""
        until = self.blocked_until if self.blocked_because else None
        return SavedLimit(until, self.blocked_because, blocked_for=self.blocked_for)

    def restore(self, saved: SavedLimit) -> None:
        """Continue an earlier run."""
        if saved.blocked_until is not None:
            self.block(saved.blocked_until, saved.blocked_because or "as before the restart", saved.blocked_for)


def windows(rate: Rates) -> tuple[Rate, ...]:
    """The windows of one limit."""
    return (rate,) if isinstance(rate, Rate) else rate or ()


class WebhookLimit(RateLimit):
    """The limit of a webhook, or of the address of another destination. The headers of the last response decide.

    If the webhook sends headers and the last response had none (a lost response), the count before it less one is used. When that is zero,
    a whole window passes first, and then the log is right again. After a restart the remaining count is not known. The first request waits
    until the log holds fewer requests than a window permits, over the slowest known window, and for one whole window at most. If the
    webhook never sends headers, the log decides.
    """

    margin = MARGIN

    def __init__(self, rate: Rates = None) -> None:
        super().__init__(rate)
        self._configured = self.bucket.rate if self.bucket else None
        self._opens: float | None = None  # from the last headers; None: the log decides
        self._sends_headers = False
        self._remaining = 0  # requests that remain, by the last headers
        self._observations = _Observations()

    def window_opens(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        if self._observations.roll_over(now):
            self._apply_learned()
        if self._opens is None:
            return super().window_opens(now, expedited=expedited, borrow=borrow)
        return max(now, self._opens)

    def may_borrow(self) -> float:
        """Seconds for which NORMAL and LOW may borrow the reserve of wider windows.

        A backlog uses up a slow webhook each time it opens, so an URGENT request waits for it in any case. Borrowing for that long costs
        the request nothing.
        """
        if (
            self.bucket is None
            or self.bucket.count > SLOWEST_WEBHOOK.count
            or not USUAL_WINDOW < self.bucket.rate.per <= SLOWEST_WEBHOOK.per
        ):
            return BORROW_TIME
        return self.bucket.rate.per

    def apply_rate(self, rate: Rates) -> None:
        super().apply_rate(rate)
        if self.bucket:
            self._configured = self.bucket.rate
            self._apply_learned()

    def on_response(self, now: float, headers: RateHeaders | None) -> None:
        """Use the headers of a response that arrived at `now`. Only durations count, so the server's clock does not matter."""
        if headers is not None:
            self._sends_headers, self._remaining = True, headers.remaining
            self._opens = now + (headers.reset_after if headers.remaining <= 0 else 0.0)
            self._learn_window(now, headers)
        elif self._sends_headers and self.bucket and self._remaining > 1:
            self._remaining -= 1
        else:
            self._opens = now + self.bucket.rate.per if self._sends_headers and self.bucket else None
            self._sends_headers = False

    def restore_request(self, at: float, *, expedited: bool) -> None:
        """Count a request of an earlier run. Its headers are not known."""
        super().restore_request(at, expedited=expedited)
        if self.bucket:
            per = self.bucket.rate.per
            self._opens = min(self.bucket.newest + per, self.bucket.clears(max(per, SLOWEST_WEBHOOK.per)))

    def saved(self) -> SavedLimit:
        learned = self._observations.result
        if learned is None:
            return super().saved()
        return msgspec.structs.replace(
            super().saved(), count=learned.count, per=learned.per, learned_at=self._observations.began
        )

    def restore(self, saved: SavedLimit) -> None:
        """Continue an earlier run. A value without `learned_at` is from an old journal that kept the configured rate there: ignore it."""
        super().restore(saved)
        if self.bucket and saved.count and saved.per and saved.learned_at is not None:
            self._observations.restore(Rate(saved.count, saved.per), saved.learned_at)
            self._apply_learned()

    def _learn_window(self, now: float, headers: RateHeaders) -> None:
        """Learn from headers with requests left. Headers with none left may show a block and not the window."""
        rate = Rate(headers.limit, headers.reset_after + MARGIN)
        known = self._configured
        if headers.remaining > 0 and known is not None and (rate.per > known.per or rate.count < known.count):
            self._observations.add(now, rate)
            self._apply_learned()

    def _apply_learned(self) -> None:
        """Use the configured rate, made stricter by what was learned: the log is used only without headers, and must then be careful."""
        assert self.bucket is not None
        assert self._configured is not None
        rate = _slower(self._configured, self._observations.result)
        if rate != self.bucket.rate:
            self.bucket.set_rate(rate)


class _Observations:
    """The strictest rate that headers showed in the current observation period and in the one before it."""

    def __init__(self) -> None:
        self.began = 0.0  # start of the current period
        self._before: Rate | None = None
        self._now: Rate | None = None

    @property
    def result(self) -> Rate | None:
        """The strictest of both; None without any."""
        return self._before if self._now is None else _slower(self._now, self._before)

    def add(self, now: float, rate: Rate) -> None:
        """Headers showed this rate."""
        self.roll_over(now)
        if self.result is None:
            self.began = now
        self._now = _slower(rate, self._now)

    def roll_over(self, now: float) -> bool:
        """Drop what is too old; True when that changed the result."""
        known = self.result
        while self.result is not None and now >= self.began + OBSERVATION_PERIOD:
            self._before, self._now, self.began = self._now, None, self.began + OBSERVATION_PERIOD
        return self.result != known

    def restore(self, rate: Rate, began: float) -> None:
        """Continue an earlier run."""
        self._now, self.began = rate, began


def _slower(rate: Rate, other: Rate | None) -> Rate:
    """The fewer requests, in the longer time."""
    return rate if other is None else Rate(min(rate.count, other.count), max(rate.per, other.per))


class ChannelLimit(RateLimit):
    """The limit that the webhooks of a channel share. No header shows it, so it is counted here for all of them together."""

    margin = MARGIN

    def __init__(self, rate: Rates = None) -> None:
        super().__init__(rate, reserves=True)
        self._learned: int | None = None  # requests that the last shared 429 left us
        self._learned_at = 0.0
        self._clean_time = CLEAN_TIME
        self._held_until = 0.0
        self._others_held_until = 0.0

    def window_opens(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        self._try_faster(now)
        held = self._held_until if expedited else max(self._held_until, self._others_held_until)
        return max(held, super().window_opens(now, expedited=expedited, borrow=borrow))

    def hold(self, until: float, *, expedited: bool) -> None:
        """Requests of other senders, not all of which are counted here yet, leave no room until then. Only for an expedited request this
        means that there is none for any.
        """
        if expedited:
            self._held_until = max(self._held_until, until)
        else:
            self._others_held_until = max(self._others_held_until, until)

    def count_foreign(self, at: float, *, expedited: bool) -> None:
        """Count a request of another sender that was answered at `at`; the pace goes on from there."""
        self.restore_request(at, expedited=expedited)
        for bucket in self.buckets:
            if not expedited:
                bucket.note_sent(at)

    def on_limited(self, now: float, wait: float, reason: str) -> None:
        """A shared 429 came although our count permitted the request: another sender posts there. Lower the count to what passed."""
        self.block(now + wait, reason, wait)
        if self.bucket is None:
            return
        self._try_faster(now)
        passed = self.bucket.used(now) - 1  # without the refused request
        self._clean_time = min(2 * self._clean_time, MAX_CLEAN_TIME) if self._learned is not None else CLEAN_TIME
        self._learned = max(MIN_LEARNED, min(self.bucket.count, passed) - 1)
        self._learned_at = now
        self._try_faster(now)

    def saved(self) -> SavedLimit:
        return msgspec.structs.replace(
            super().saved(), count=self._learned, learned_at=None if self._learned is None else self._learned_at
        )

    def restore(self, saved: SavedLimit) -> None:
        super().restore(saved)
        if saved.count is not None and saved.learned_at is not None:
            self._learned, self._learned_at = saved.count, saved.learned_at

    def _try_faster(self, now: float) -> None:
        """Raise the count by one for each clean period."""
        if self.bucket is None or self._learned is None:
            return
        most = self.bucket.rate.count
        self.bucket.count = min(most, self._learned + int(max(0.0, now - self._learned_at) / self._clean_time))
        if self.bucket.count == most:
            self._learned, self._clean_time = None, CLEAN_TIME


class HostLimit(RateLimit):
    """The limit of all requests of this host to one server. `guard`: invalid requests before all others wait; None: no limit of them."""

    def __init__(self, rate: Rates = None, guard: Rate | None = None) -> None:
        super().__init__(rate)
        self.guard = guard
        self._invalid: deque[float] = deque(maxlen=guard.count if guard else 0)
        self._unstated = 0  # blocks in a row without a stated length

    def ready_at(self, now: float, *, expedited: bool = True) -> float:
        return max(super().ready_at(now, expedited=expedited), self.guard_ends(now))

    def is_blocked(self, now: float) -> bool:
        """Whether the host is blocked or guarded."""
        return max(self.block_ends(now), self.guard_ends(now)) > now

    def guard_ends(self, now: float) -> float:
        """When the number of invalid requests is low enough again."""
        if self.guard is None or len(self._invalid) < self.guard.count:
            return now
        return max(now, self._invalid[0] + self.guard.per)

    def on_response(self, now: float, *, invalid: bool) -> None:
        """A response came."""
        if invalid:
            self._invalid.append(now)

    def on_answer(self) -> None:
        """A request passed: the next block without a stated length is short again."""
        self._unstated = 0

    def on_unstated_block(self) -> float:
        """How long to assume a block without a stated length, in seconds."""
        wait = min(UNSTATED_BLOCK * 2.0**self._unstated, MAX_UNSTATED_BLOCK)
        self._unstated = min(self._unstated + 1, 10)  # the cap of an hour is reached at the sixth doubling
        return wait
