"""A server that counts as Discord may: each webhook by itself, told in headers; the channel over all of them, told by nothing."""

from __future__ import annotations

from typing import NamedTuple

from tocsind.policy.outcomes import RateHeaders
from tocsind.testing.answers import ceil_ms
from tocsind.testing.limits import Limit, Limiter, Verdict

USER, SHARED = "user", "shared"  # the scopes of a 429, as Discord calls them


class Model(NamedTuple):
    """How a server counts, and whether it tells. Written `sliding:5/2,fixed:30/60`, and `,silent` for one without headers."""

    webhook: Limit
    channel: Limit
    headers: bool = True

    @classmethod
    def parse(cls, text: str) -> Model:
        webhook, channel, *silent = text.split(",")
        return cls(Limit.parse(webhook), Limit.parse(channel), headers=not silent)

    def __str__(self) -> str:
        limits = (f"{limit.model}:{limit.requests}/{limit.window:g}" for limit in (self.webhook, self.channel))
        return ",".join([*limits, *([] if self.headers else ["silent"])])


class Answer(NamedTuple):
    """What a request is told: that it passed, or whose limit refused it and for how long."""

    scope: str | None  # of the 429; None: it passed
    wait: float
    told: RateHeaders | None

    @property
    def passed(self) -> bool:
        return self.scope is None


class Server:
    """Its clock is `ahead` of ours; only differences of it ever leave."""

    def __init__(self, model: Model, ahead: float) -> None:
        self._model = model
        self._ahead = ahead
        self._channel = model.channel.build()
        self._webhooks: dict[int, Limiter] = {}

    def ask(self, webhook: int, now: float) -> Answer:
        """One request, which meets the webhook's limit and then the channel's."""
        at = now + self._ahead
        limiter = self._webhooks.setdefault(webhook, self._model.webhook.build())
        own = limiter.take(at)
        told = self._told(limiter, own)
        if not own.passes:
            return Answer(USER, ceil_ms(own.reset_after), told)
        shared = self._channel.take(at)
        return Answer(None, 0.0, told) if shared.passes else Answer(SHARED, ceil_ms(shared.reset_after), told)

    def foreign(self, now: float) -> None:
        """Another program posts in the channel, if the limit permits it."""
        self._channel.take(now + self._ahead)

    def _told(self, limiter: Limiter, verdict: Verdict) -> RateHeaders | None:
        if not self._model.headers:
            return None
        return RateHeaders(limiter.limit, verdict.remaining, ceil_ms(verdict.reset_after))
