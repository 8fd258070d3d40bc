"""The gate of a lane: when may a request of this priority be sent?

It is a row of bars, and a request passes when all are up. The last to go up is what the lane waits for, and says why:

    ours       the user's own limit, of which some is kept for URGENT and HIGH
    endpoint   the webhook's window, told by headers or counted              } each of these may also be blocked,
    channel    the hidden window of all webhooks of a channel, with a reserve } because the far end said "not before"
    address    this host's requests, and the guard against too many invalid ones

Those who press (URGENT and HIGH) may use every token. The others leave the reserve alone, and a message that is not full is paced: while
there were few requests lately it goes at once, else at the even pace that the two long windows permit, so that late arrivals join it
instead of using up tokens that will be missed later. Breakers are another matter: the gate is about pace, between healthy partners.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from .bucket import Bucket, Rate
from .delivery import Priority
from .outcomes import Deferred, Delivered, Reach, Report
from .rate_limits import GUARD, ChannelLimit, HostLimit, RateLimit, WebhookLimit
from .reserve import Reserve

LIMIT_NAMES = ("webhook", "channel", "address")  # as people call them
UNSTATED_WAIT = 1.0  # seconds, when the far end limits us and does not say for how long


class Wait(NamedTuple):
    """One reason to wait: until when, and in words for people."""

    until: float
    reason: str


class Window(msgspec.Struct, frozen=True):
    """What is left of a limit, for people: `kept` of it is for URGENT and HIGH alone."""

    name: str
    count: int  # so many, as far as the limit was learned to be had
    per: float  # in so many seconds
    left: int
    reserved: int = msgspec.field(name="kept")  # the key in `status --json`


class Limiter:
    """Answers `ready_at`, learns from `take`, `hear` and `limited`. All times are monotonic seconds."""

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
        """The far end's, from the inside out."""
        return self.endpoint, self.channel, self.address

    def ready_at(self, now: float, priority: Priority, *, full: bool = True) -> float:
        """`now` for yes, a later instant for not before. `full`: no late arrival could join this message."""
        return max(bar.until for bar in self._waits(now, priority, full=full))

    def wait_reason(self, now: float, priority: Priority, *, full: bool = True) -> str | None:
        """Why `ready_at` is not now, in words for people; None when it is."""
        last = max(self._waits(now, priority, full=full), key=lambda bar: bar.until)
        return last.reason if last.until > now else None

    def note_demand(self, now: float) -> None:
        """A pressing delivery has come: what is kept for them is measured by it."""
        for bucket in self._shared():
            bucket.note_demand(now)

    def acquire(self, now: float, priority: Priority) -> None:
        """A request leaves, or is about to: between the question and this nobody else may be asked who shares a scope."""
        for each in self._counting():
            each.acquire(now, pressing=is_expedited(priority))

    def cancel(self, priority: Priority) -> None:
        """Nothing left after all."""
        for each in self._counting():
            each.cancel(pressing=is_expedited(priority))

    def on_response(self, now: float, priority: Priority, report: Report) -> None:
        """Its answer came. What it limits is told by `limited`. What never reached the far end takes nothing from any limit."""
        if not report.reached:
            self.cancel(priority)
            return
        pressing = is_expedited(priority)
        for each in self._counting():
            each.release(now, pressing=pressing)
        self.endpoint.on_response(now, report.rate_headers)
        self.address.on_response(now, invalid=report.invalid)
        if any(isinstance(outcome, Delivered) for outcome in report.outcomes):
            self.address.on_answer()

    def on_limited(self, now: float, outcome: Deferred) -> float:
        """A rate limit answered; what it reaches is closed. Answers for how many seconds."""
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

    def restore_requests(self, at: float, *, pressing: bool, endpoint: bool) -> None:
        """A request of this lane's from before a restart, on today's monotonic clock; `endpoint`: it is news there, too."""
        if self.configured:
            self.configured.restore_request(at, pressing=pressing)
        if endpoint:
            self.endpoint.restore_request(at, pressing=pressing)

    def blocked_for(self, now: float) -> float:
        """Seconds that the far end has told us to wait; 0 when it did not."""
        return max(scope.block_ends(now) for scope in self.limits) - now

    def blocked_because(self, now: float) -> str:
        """What the far end said when it told us to wait, of the longest wait; nothing when it did not."""
        longest = max(self.limits, key=lambda scope: scope.block_ends(now))
        return (longest.blocked_because or "") if longest.block_ends(now) > now else ""

    def unblock(self) -> None:
        """A person knows better than the far end's last word about this destination. About the address, which others share, and where
        each further request may make it worse, nobody does.
        """
        self.endpoint.unblock()
        self.channel.unblock()

    def rate(self, now: float) -> float:
        """Requests a second that those who do not press may count on in the long run; infinity without a limit."""
        shared = (max(bucket.count - bucket.reserved(now), 1) / bucket.rate.per for bucket in self._shared())
        return min(shared, default=float("inf"))

    def windows(self, now: float) -> list[Window]:
        """The limits there are, from the user's own outwards."""
        return [
            Window(name, bucket.count, bucket.rate.per, max(0, bucket.count - bucket.used(now)), bucket.reserved(now))
            for name, bucket in self._buckets()
        ]

    def _waits(self, now: float, priority: Priority, *, full: bool) -> Iterator[Wait]:
        pressing = is_expedited(priority)
        yield Wait(now, "")
        for scope in self.limits:
            yield Wait(scope.block_ends(now), scope.blocked_because or "")
        yield from self._windows(now, pressing=pressing)
        yield Wait(self.address.guard_ends(now), f"too many invalid requests: our guard of {GUARD}")
        if not (full or pressing):
            yield Wait(
                max((bucket.paced_at(now) for bucket in self._shared()), default=now), "an even pace: more may join"
            )

    def _windows(self, now: float, *, pressing: bool) -> Iterator[Wait]:
        lent = self.endpoint.may_borrow()
        if self.configured:
            yield Wait(
                self.configured.ready_at(now, pressing=pressing, lent=lent), f"our limit of {self.configured.rate}"
            )
        for name, scope in zip(LIMIT_NAMES, self.limits, strict=True):
            if scope.bucket:
                opens = scope.window_opens(now, pressing=pressing, lent=lent)
                yield Wait(opens, f"the {name}'s limit of {scope.bucket.rate}")

    def _buckets(self) -> Iterator[tuple[str, Bucket]]:
        if self.configured:
            yield "ours", self.configured
        yield from ((name, scope.bucket) for name, scope in zip(LIMIT_NAMES, self.limits, strict=True) if scope.bucket)

    def _shared(self) -> Iterator[Bucket]:
        """The windows long enough to be saved up for."""
        yield from (bucket for bucket in (self.configured, self.channel.bucket) if bucket is not None)

    def _counting(self) -> Iterator[Bucket | RateLimit]:
        yield from (each for each in (self.configured, *self.limits) if each is not None)


def is_expedited(priority: Priority) -> bool:
    """Whether it may use the reserve, and is never paced."""
    return priority <= Priority.HIGH
