"""The three scopes of a limit, from the inside out: an endpoint (a webhook), a channel that several endpoints share, an address.

    endpoint   its answers tell how many requests are left; where they do not, a log of our own and what they told once
    channel    a window that no header shows: a log of our own, lowered when the far end says 429 all the same (others post there too)
    address    every request of this host; and a guard that stops all of them before too many were invalid and the host is banned

Each may be blocked, when the far end said "not before". What the far end does not limit has no rate, and is always open. A scope is shared
by all gates that lead through it, and so is what it learned: `memory` is what the next run must know.

What the configuration says and what answers taught are kept apart, because they change for different reasons: the first by a reload, at
once and in both directions; the second only ever makes the first stricter, and is forgotten again when no answer confirms it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from .bucket import BORROW_TIME, Bucket, Rate
from .outcomes import RateHeaders
from .reserve import Reserve

GUARD = Rate(500, 600.0)  # invalid requests; at 10,000 in so long Cloudflare bans the address
MARGIN = 0.02  # seconds that our windows are longer than theirs: clocks run at slightly different speeds
UNSTATED_BLOCK = 60.0  # seconds, when a whole address is blocked and nobody says for how long; doubles up to an hour
MAX_UNSTATED_BLOCK = 3600.0
USUAL_WINDOW = 2.0 + MARGIN  # seconds of a webhook's window; LENT is what leaves an URGENT request time for one
SLOWEST_WEBHOOK = Rate(5, 5.0 + MARGIN)  # requests; the slowest webhook of Discord's that was seen
MIN_LEARNED = 5  # a minute; where others leave us less, one refusal now and then costs less than to wait for each
CLEAN_TIME = 60.0  # seconds without a shared 429 after which one more is dared
MAX_CLEAN_TIME = 8 * CLEAN_TIME  # where daring was punished again and again
OBSERVATION_PERIOD = (
    1800.0  # seconds for which lessons are collected; what none of the last two such times taught is forgotten
)


class SavedLimit(msgspec.Struct, frozen=True):
    """What of a scope survives a restart; instants are monotonic seconds here, and those of the steady clock in the journal."""

    blocked_until: float | None = None
    blocked_because: str | None = None
    count: int | None = None  # learned: so many
    per: float | None = None  # learned: in so long
    learned_at: float | None = None
    blocked_for: float | None = None  # seconds, when the block was set: no clock makes it longer than that


class RateLimit:
    """What all scopes share: perhaps a window, perhaps a block."""

    margin = 0.0  # seconds that our window is longer than theirs

    def __init__(self, rate: Rate | None = None, reserve: Reserve | None = None) -> None:
        self.bucket = None if rate is None else Bucket(self._with_margin(rate), reserve)
        self.blocked_until = 0.0
        self.blocked_because: str | None = None
        self.blocked_for: float | None = None

    def ready_at(self, now: float, *, expedited: bool = True) -> float:
        """`now` for yes, a later instant for not before."""
        return max(self.block_ends(now), self.window_opens(now, expedited=expedited))

    def window_opens(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        """When there is room by the count alone; `lent` as in `Bucket.ready_at`."""
        return self.bucket.ready_at(now, expedited=expedited, borrow=borrow) if self.bucket else now

    def apply_rate(self, rate: Rate) -> None:
        """The configuration names another rate."""
        if self.bucket:
            self.bucket.set_rate(self._with_margin(rate))

    def block_ends(self, now: float) -> float:
        """When the far end's last "not before" is over."""
        return max(now, self.blocked_until) if self.blocked_because else now

    def block(self, until: float, reason: str, wait: float | None = None) -> None:
        """Close until an instant, which is `wait` seconds ahead; a block never shortens an earlier one."""
        if until > self.blocked_until:
            self.blocked_until, self.blocked_because, self.blocked_for = until, reason, wait

    def unblock(self) -> None:
        """A person knows better than the far end's last word."""
        self.blocked_until, self.blocked_because, self.blocked_for = 0.0, None, None

    def acquire(self, now: float, *, expedited: bool) -> None:
        """A request leaves."""
        if self.bucket:
            self.bucket.acquire(now, expedited=expedited)

    def release(self, now: float, *, expedited: bool) -> None:
        """It was answered."""
        if self.bucket:
            self.bucket.release(now, expedited=expedited)

    def cancel(self, *, expedited: bool) -> None:
        """Nothing left after all."""
        if self.bucket:
            self.bucket.cancel(expedited=expedited)

    def restore_request(self, at: float, *, expedited: bool) -> None:
        """A request of before a restart; if it pressed, somebody had wished for it."""
        if self.bucket:
            self.bucket.restore_request(at, expedited=expedited)
            if expedited:
                self.bucket.note_demand(at)

    def _with_margin(self, rate: Rate) -> Rate:
        return Rate(rate.count, rate.per + self.margin)

    def saved(self) -> SavedLimit:
        """What the next run must know."""
        until = self.blocked_until if self.blocked_because else None
        return SavedLimit(until, self.blocked_because, blocked_for=self.blocked_for)

    def restore(self, memory: SavedLimit) -> None:
        """Go on where the last run stood."""
        if memory.blocked_until is not None:
            self.block(memory.blocked_until, memory.blocked_because or "as before the restart", memory.blocked_for)


class WebhookLimit(RateLimit):
    """A webhook, or whatever a destination sends to. Its last answer, if it told, knows best.

    Where it is known to tell and the last one did not (a lost answer), what was left before that answer is known, less one; when that is
    nothing, a whole window is waited for, and then the log is right again. After a restart nobody knows what was left: the first request
    waits until the log holds fewer than a window takes, over the slowest window that was seen, and at most for a whole window. Where it
    never tells, the log decides.
    """

    margin = MARGIN

    def __init__(self, rate: Rate | None = None) -> None:
        super().__init__(rate)
        self._configured = self.bucket.rate if self.bucket else None
        self._opens: float | None = None  # as the last answer told; None: the log decides
        self._sends_headers = False
        self._remaining = 0  # requests that the webhook would still take, as far as the last answers that told say
        self._observations = _Observations()

    def window_opens(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        if self._observations.roll_over(now):
            self._apply_learned()
        if self._opens is None:
            return super().window_opens(now, expedited=expedited, borrow=borrow)
        return max(now, self._opens)

    def may_borrow(self) -> float:
        """Seconds for which the reserves of wider windows are lent. A backlog uses up a slow webhook each time it opens, so that an URGENT
        request waits for it in any case: a longer loan costs that request nothing.
        """
        if (
            self.bucket is None
            or self.bucket.count > SLOWEST_WEBHOOK.count
            or not USUAL_WINDOW < self.bucket.rate.per <= SLOWEST_WEBHOOK.per
        ):
            return BORROW_TIME
        return self.bucket.rate.per

    def apply_rate(self, rate: Rate) -> None:
        if self.bucket:
            self._configured = self._with_margin(rate)
            self._apply_learned()

    def on_response(self, now: float, headers: RateHeaders | None) -> None:
        """What an answer told, which came at `now`: only its durations count, so that the server's clock may stand anywhere."""
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
        """Of before a restart; nobody knows what its answer told."""
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

    def restore(self, memory: SavedLimit) -> None:
        """Go on where the last run stood. A journal of before lessons had a time holds what was configured then: that is passed over."""
        super().restore(memory)
        if self.bucket and memory.count and memory.per and memory.learned_at is not None:
            self._observations.restore(Rate(memory.count, memory.per), memory.learned_at)
            self._apply_learned()

    def _learn_window(self, now: float, headers: RateHeaders) -> None:
        """From an answer that tells of room: one that is spent tells of a block, perhaps, and not of a window."""
        rate = Rate(headers.limit, headers.reset_after + MARGIN)
        known = self._configured
        if headers.remaining > 0 and known is not None and (rate.per > known.per or rate.count < known.count):
            self._observations.add(now, rate)
            self._apply_learned()

    def _apply_learned(self) -> None:
        """What is configured, made stricter by what was learned: the log is for when nobody tells, and then it is careful."""
        assert self.bucket is not None
        assert self._configured is not None
        rate = _slower(self._configured, self._observations.result)
        if rate != self.bucket.rate:
            self.bucket.set_rate(rate)


class _Observations:
    """What answers taught, as the strictest rate of the running stretch of LESSON seconds and of the one before it."""

    def __init__(self) -> None:
        self.began = 0.0  # the running stretch
        self._before: Rate | None = None
        self._now: Rate | None = None

    @property
    def result(self) -> Rate | None:
        """The strictest of both; None when nothing was taught."""
        return self._before if self._now is None else _slower(self._now, self._before)

    def add(self, now: float, rate: Rate) -> None:
        """An answer taught this."""
        self.roll_over(now)
        if self.result is None:
            self.began = now
        self._now = _slower(rate, self._now)

    def roll_over(self, now: float) -> bool:
        """Forget what is too old; True when that was something."""
        known = self.result
        while self.result is not None and now >= self.began + OBSERVATION_PERIOD:
            self._before, self._now, self.began = self._now, None, self.began + OBSERVATION_PERIOD
        return self.result != known

    def restore(self, rate: Rate, began: float) -> None:
        """Of before a restart."""
        self._now, self.began = rate, began


def _slower(rate: Rate, other: Rate | None) -> Rate:
    """Fewer, in a longer time."""
    return rate if other is None else Rate(min(rate.count, other.count), max(rate.per, other.per))


class ChannelLimit(RateLimit):
    """What several webhooks share: no header shows it, so it is counted here, for all of them together."""

    margin = MARGIN

    def __init__(self, rate: Rate | None = None) -> None:
        super().__init__(rate, Reserve())
        self._learned: int | None = None  # so many the last shared 429 left us
        self._learned_at = 0.0
        self._clean_time = CLEAN_TIME

    def window_opens(self, now: float, *, expedited: bool = True, borrow: float = BORROW_TIME) -> float:
        self._try_faster(now)
        return super().window_opens(now, expedited=expedited, borrow=borrow)

    def on_limited(self, now: float, wait: float, reason: str) -> None:
        """A shared 429, although we counted: somebody else posts there. What passed in the last window was too many by one."""
        self.block(now + wait, reason, wait)
        if self.bucket is None:
            return
        self._try_faster(now)
        passed = self.bucket.used(now) - 1  # without the one that did not
        self._clean_time = min(2 * self._clean_time, MAX_CLEAN_TIME) if self._learned is not None else CLEAN_TIME
        self._learned = max(MIN_LEARNED, min(self.bucket.count, passed) - 1)
        self._learned_at = now
        self._try_faster(now)

    def saved(self) -> SavedLimit:
        return msgspec.structs.replace(
            super().saved(), count=self._learned, learned_at=None if self._learned is None else self._learned_at
        )

    def restore(self, memory: SavedLimit) -> None:
        super().restore(memory)
        if memory.count is not None and memory.learned_at is not None:
            self._learned, self._learned_at = memory.count, memory.learned_at

    def _try_faster(self, now: float) -> None:
        """One more for each clean while."""
        if self.bucket is None or self._learned is None:
            return
        most = self.bucket.rate.count
        self.bucket.count = min(most, self._learned + int(max(0.0, now - self._learned_at) / self._clean_time))
        if self.bucket.count == most:
            self._learned, self._clean_time = None, CLEAN_TIME


class HostLimit(RateLimit):
    """All requests of one kind from this host."""

    def __init__(self, rate: Rate | None = None) -> None:
        super().__init__(rate)
        self._invalid: deque[float] = deque(maxlen=GUARD.count)
        self._unstated = 0  # blocks in a row for which no time was told

    def ready_at(self, now: float, *, expedited: bool = True) -> float:
        return max(super().ready_at(now, expedited=expedited), self.guard_ends(now))

    def is_blocked(self, now: float) -> bool:
        """Whether more than a moment's patience is wanted: blocked, or guarded."""
        return max(self.block_ends(now), self.guard_ends(now)) > now

    def guard_ends(self, now: float) -> float:
        """When there are few enough invalid requests again."""
        return max(now, self._invalid[0] + GUARD.per) if len(self._invalid) == GUARD.count else now

    def on_response(self, now: float, *, invalid: bool) -> None:
        """An answer came."""
        if invalid:
            self._invalid.append(now)

    def on_answer(self) -> None:
        """They let us through: the next block without a time begins small again."""
        self._unstated = 0

    def on_unstated_block(self) -> float:
        """How long a block is to be believed for which no time was told, in seconds."""
        wait = min(UNSTATED_BLOCK * 2.0**self._unstated, MAX_UNSTATED_BLOCK)
        self._unstated = min(self._unstated + 1, 10)  # beyond the hour's sixth doubling it makes no difference
        return wait
