"""The limits a request meets, from the outside in.

    invalid    401, 403 and unshared 429 of the last minutes; beyond it the whole address is blocked by Cloudflare
    ip         every request of the address; seen only when it says no
    webhook    one bucket for each webhook and kind of request; the one that shows in headers
    channel    every message in the channel, by any author; never shown, a bare 429 of scope `shared`

A refusal by an inner limit has already been counted by the outer ones, as a request through several checks would be.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from tocsind.testing.answers import ceil_ms
from tocsind.testing.limits import Limit, Limiter, Verdict
from tocsind.testing.messages import Moment
from tocsind.testing.settings import Settings

_UNLIMITED = Verdict(passes=True, remaining=1, reset_after=0.0)


class Quotas:
    """All limiters of one server. Those of webhooks and channels are made when first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ip = self._build(settings.ip_limit)
        self._invalid = self._build(settings.invalid_limit)
        self._webhooks: dict[tuple[str, str], Limiter] = {}
        self._channels: dict[str, Limiter] = {}

    def take_ip(self, now: float) -> Verdict:
        return _UNLIMITED if self._ip is None else self._ip.take(now)

    def ban(self, now: float) -> Verdict:
        """Does not pass while the address is blocked for its invalid requests."""
        return _UNLIMITED if self._invalid is None else self._invalid.look(now)

    def count_invalid(self, now: float) -> None:
        if self._invalid is not None:
            self._invalid.take(now)

    def take_webhook(self, webhook_id: str, kind: str, now: float) -> Verdict:
        limiter = self._webhook(webhook_id, kind)
        return _UNLIMITED if limiter is None else limiter.take(now)

    def take_channel(self, channel_id: str, now: float) -> Verdict:
        limit = self._settings.channel_limit
        if limit is None:
            return _UNLIMITED
        limiter = self._channels.setdefault(channel_id, limit.build(self._settings.scale))
        return limiter.take(now)

    def rate_headers(self, webhook_id: str, kind: str, at: Moment, verdict: Verdict | None = None) -> Mapping[str, str]:
        """The bucket's headers; without a verdict as the bucket stands, nothing taken."""
        limiter = self._webhook(webhook_id, kind)
        if limiter is None or not self._settings.rate_headers:
            return {}
        said = verdict or limiter.look(at.steady)
        return {
            "X-RateLimit-Limit": str(limiter.limit),
            "X-RateLimit-Remaining": str(said.remaining),
            "X-RateLimit-Reset": f"{math.ceil((at.server + said.reset_after) * 1000) / 1000:.3f}",
            "X-RateLimit-Reset-After": f"{ceil_ms(said.reset_after):.3f}",
            "X-RateLimit-Bucket": bucket_hash(kind),
        }

    def _webhook(self, webhook_id: str, kind: str) -> Limiter | None:
        limit = self._settings.webhook_limit
        if limit is None:
            return None
        return self._webhooks.setdefault((webhook_id, kind), limit.build(self._settings.scale))

    def _build(self, limit: Limit | None) -> Limiter | None:
        return None if limit is None else limit.build(self._settings.scale)


def bucket_hash(kind: str) -> str:
    """Names the route, not the webhook: it is the same for all of them."""
    return hashlib.sha256(f"bucket {kind}".encode()).hexdigest()[:32]
