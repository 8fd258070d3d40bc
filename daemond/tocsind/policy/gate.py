"""The gate of a lane: when may a delivery of this priority be sent?

Two things can close it: the user's own limit, as a token bucket of which a few tokens are kept for URGENT and HIGH, and a block, set
when the far end said "not before". Breakers are another matter: the gate is about pace, between healthy partners. What the gate needs
in order to learn (request times, pauses the far end asks for) is told to it by `take` and `block`; windows that Discord keeps
to itself will be further buckets here.
"""

from __future__ import annotations

from collections.abc import Iterable

from .bucket import Bucket, Rate
from .delivery import Priority

RESERVE_SHARE = 4 / 30  # of the tokens, for URGENT and HIGH: 4 of the 30 a minute that a Discord channel takes


def reserve_of(rate: Rate) -> int:
    """Tokens that NORMAL and LOW leave untouched; a bucket too small to share keeps none."""
    return max(1, round(rate.count * RESERVE_SHARE)) if rate.count > 1 else 0


class Gate:
    """Answers `ready_at`, learns from `take` and `block`. All times are monotonic seconds."""

    def __init__(self, limit: Rate | None) -> None:
        self._bucket = Bucket(limit) if limit else None
        self._reserve = reserve_of(limit) if limit else 0
        self.blocked_until = 0.0
        self.blocked_because: str | None = None

    def ready_at(self, now: float, priority: Priority) -> float:
        """`now` for yes, a later instant for not before."""
        return max(self._block_ends(now), self._token_at(now, priority))

    def take(self, now: float) -> None:
        """A request goes out."""
        if self._bucket:
            self._bucket.take(now)

    def blocked_for(self, now: float) -> float:
        """Seconds that the far end has told us to wait; 0 when it did not."""
        return self._block_ends(now) - now

    def remember(self, times: Iterable[float]) -> None:
        """Requests of before a restart, oldest first, on today's monotonic clock."""
        for at in times:
            self.take(at)

    def block(self, until: float, reason: str) -> None:
        """Close until an instant; a block never shortens an earlier one."""
        if until > self.blocked_until:
            self.blocked_until, self.blocked_because = until, reason

    def unblock(self) -> None:
        """A person knows better than the far end's last word."""
        self.blocked_until, self.blocked_because = 0.0, None

    def why_closed(self, now: float, priority: Priority) -> str | None:
        """Why `ready_at` is not now, in words for people; None when it is."""
        if self._block_ends(now) > now:
            return self.blocked_because
        if self._bucket and self._token_at(now, priority) > now:
            return f"our limit of {self._bucket.rate}"
        return None

    def _block_ends(self, now: float) -> float:
        return max(now, self.blocked_until) if self.blocked_because else now

    def _token_at(self, now: float, priority: Priority) -> float:
        keep = 0 if priority <= Priority.HIGH else self._reserve
        return self._bucket.ready_at(now, keep) if self._bucket else now
