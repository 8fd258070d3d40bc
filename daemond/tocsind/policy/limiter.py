"""The limiter of a lane: when may a request of this priority be sent?

It combines several waits. A request may leave when all of them are over; the longest one is what the lane waits for:

    ours       the configured limit, with a reserve for URGENT and HIGH
    endpoint   the webhook's window, reported by headers or counted          } the server may also block each of these:
    channel    the hidden window that all webhooks of a channel share, with a reserve } "not before"
    address    the requests of this host, and the guard against too many invalid ones

Expedited requests (URGENT and HIGH) may use every token. The others leave the reserve alone, and a message that is not full is paced. When
few requests left lately it goes at once. Else it goes at the even pace that the two long windows permit: later deliveries can then join it,
instead of using tokens of their own. A breaker is a separate thing: the limiter is about pace, while requests succeed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from .bucket import Bucket, Rate
from .delivery import Priority
from .outcomes import Deferred, Delivered, Reach, Report
from .rate_limits import ChannelLimit, HostLimit, RateLimit, WebhookLimit
from .reserve import Reserve

LIMIT_NAMES = ("webhook", "channel", "address")  # as users call endpoint, channel and address
UNSTATED_WAIT = 1.0  # s, when the server limits requests and does not say for how long
_LIMIT_TEXTS = tuple(f"the {name}'s limit of" for name in LIMIT_NAMES)


class Wait(NamedTuple):
    """One reason to wait. `reason` formats the text only when it is asked for: `ready_at` runs often and needs no text."""

    until: float
    text: str = ""
    rate: Rate | None = None

    @property
    def reason(self) -> str:
        return self.text if self.rate is None else f"{self.text} {self.rate}"


class Window(msgspec.Struct, frozen=True):
    """The state of one limit, for status. `reserved` of the tokens that are left are for URGENT and HIGH only."""

    name: str
    count: int  # requests, lowered to what responses showed
    per: float  # seconds
    left: int
    reserved: int = msgspec.field(name="kept")  # the key in `status --json`


class Limiter:
    """Answers `ready_at`; learns from `acquire`, `on_response` and `on_limited`. All times are monotonic seconds."""

    def __init__(
        self,
        limit: Rate | None,
        endpoint: WebhookLimit | None = None,
        channel: ChannelLimit | None = None,
        address: HostLimit | None = None,
    ) -> None:
        self.configured = None if limit is None else Bucket(limit, Reserve())
        self.endpoint = endpoint or WebhookLimit()
        self.channel = channel or ChannelLimit()
        self.address = address or HostLimit()

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """The limits of the server, the narrowest first."""
        return self.endpoint, self.channel, self.address

    def ready_at(self, now: float, priority: Priority, *, full: bool = True) -> float:
        """`now` if a request may leave, else a later instant. `full`: no later delivery could join this message."""
        return max(wait.until for wait in self._waits(now, priority, full=full))

    def wait_reason(self, now: float, priority: Priority, *, full: bool = True) -> str | None:
        """Why `ready_at` is later than now, as text; None when it is not."""
        last = max(self._waits(now, priority, full=full), key=lambda wait: wait.until)
        return last.reason if last.until > now else None

    def note_demand(self, now: float) -> None:
        """An URGENT or HIGH delivery arrived. The size of the reserve follows from these calls."""
        for bucket in self._shared():
            bucket.note_demand(now)

    def acquire(self, now: float, priority: Priority) -> None:
        """A request leaves now, or at once. Between `ready_at` and this call no other lane with the same limits may call `ready_at`."""
        for each in self._counting():
            each.acquire(now, expedited=is_expedited(priority))

    def cancel(self, priority: Priority) -> None:
        """The acquired request did not leave."""
        for each in self._counting():
            each.cancel(expedited=is_expedited(priority))

    def on_response(self, now: float, priority: Priority, report: Report) -> None:
        """The request ended. A rate limit in its outcome is for `on_limited`. A request that never reached the server uses no token."""
        if not report.reached:
            self.cancel(priority)
            return
        expedited = is_expedited(priority)
        for each in self._counting():
            each.release(now, expedited=expedited)
        self.endpoint.on_response(now, report.rate_headers)
        self.address.on_response(now, invalid=report.invalid)
        if any(isinstance(outcome, Delivered) for outcome in report.outcomes):
            self.address.on_answer()

    def on_limited(self, now: float, outcome: Deferred) -> float:
        """The response was a rate limit: block what it applies to. Returns the length of the block in seconds."""
        if outcome.reach is Reach.KIND:
            wait = self.address.on_unstated_block() if outcome.wait is None else outcome.wait
            self.address.block(now + wait, outcome.reason, wait)
            return wait
        wait = UNSTATED_WAIT if outcome.wait is None else outcome.wait
        if outcome.reach is Reach.CHANNEL:
            self.channel.on_limited(now, wait, outcome.reason)
        else:
            self.endpoint.block(now + wait, outcome.reason, wait)
        return wait

    def restore_requests(self, at: float, *, expedited: bool, endpoint: bool) -> None:
        """Count a request of an earlier run that was answered at `at`. `endpoint`: the webhook's limit does not have it yet."""
        if self.configured:
            self.configured.restore_request(at, expedited=expedited)
        if endpoint:
            self.endpoint.restore_request(at, expedited=expedited)

    def blocked_for(self, now: float) -> float:
        """Seconds that the server asked for; 0 without a block."""
        return max(limit.block_ends(now) for limit in self.limits) - now

    def blocked_because(self, now: float) -> str:
        """The server's text for the longest block; empty without a block."""
        longest = max(self.limits, key=lambda limit: limit.block_ends(now))
        return (longest.blocked_because or "") if longest.block_ends(now) > now else ""

    def unblock(self) -> None:
        """The operator enabled the destination: drop the blocks of webhook and channel.

        The block of the address stays. Other destinations share it, and further requests could make it longer.
        """
        self.endpoint.unblock()
        self.channel.unblock()

    def rate(self, now: float) -> float:
        """Requests a second that NORMAL and LOW may use in the long run; infinity without a limit."""
        buckets = (*self._shared(), *self.endpoint.buckets)
        return min((max(each.count - each.reserved(now), 1) / each.rate.per for each in buckets), default=float("inf"))

    def windows(self, now: float) -> list[Window]:
        """The state of every limit, the configured one first."""
        return [
            Window(name, bucket.count, bucket.rate.per, max(0, bucket.count - bucket.used(now)), bucket.reserved(now))
            for name, bucket in self._buckets()
        ]

    def _waits(self, now: float, priority: Priority, *, full: bool) -> Iterator[Wait]:
        expedited = is_expedited(priority)
        yield Wait(now)
        for limit in self.limits:
            yield Wait(limit.block_ends(now), limit.blocked_because or "")
        yield from self._window_waits(now, expedited=expedited)
        yield Wait(self.address.guard_ends(now), "too many invalid requests: the guard of", self.address.guard)
        if not (full or expedited):
            paced = max((bucket.paced_at(now) for bucket in self._shared()), default=now)
            yield Wait(paced, "an even pace: more may join")

    def _window_waits(self, now: float, *, expedited: bool) -> Iterator[Wait]:
        borrow = self.endpoint.may_borrow()
        if self.configured:
            opens = self.configured.ready_at(now, expedited=expedited, borrow=borrow)
            yield Wait(opens, "the configured limit of", self.configured.rate)
        for text, limit in zip(_LIMIT_TEXTS, self.limits, strict=True):
            if limit.bucket:
                yield Wait(limit.window_opens(now, expedited=expedited, borrow=borrow), text, limit.bucket.rate)
            for bucket in limit.buckets[1:]:
                yield Wait(bucket.ready_at(now, expedited=expedited, borrow=borrow), text, bucket.rate)

    def _buckets(self) -> Iterator[tuple[str, Bucket]]:
        if self.configured:
            yield "ours", self.configured
        named = zip(LIMIT_NAMES, self.limits, strict=True)
        yield from ((name, bucket) for name, limit in named for bucket in limit.buckets)

    def _shared(self) -> Iterator[Bucket]:
        """The long windows: only these are paced and have a reserve."""
        yield from (bucket for bucket in (self.configured, *self.channel.buckets) if bucket is not None)

    def _counting(self) -> Iterator[Bucket | RateLimit]:
        yield from (each for each in (self.configured, *self.limits) if each is not None)


def is_expedited(priority: Priority) -> bool:
    """Whether requests of this priority may use the reserve and are never paced."""
    return priority <= Priority.HIGH
