"""The arithmetic floor: the least time in which a burst can be sent.

It is computed by sending full messages without latency and without other programs: a request goes at the first instant at which both
limits permit it. With the limits of one model, in the phase of its server, this is the time of an
omniscient sender under this model. With sliding logs it is the time of a sender that knows both limits and not how they
are counted: the least time in which no window, wherever it begins, holds more than its limit. The channel's way of counting is never
known, so a sender that is faster than the second floor exceeds the limits of some other model.
"""

from __future__ import annotations

from math import ceil

from tocsind.testing.limits import Limit, Limiter
from tocsind.testing.limits import Model as Way

from .server import Model
from .tocsin import EMBEDS

NUDGE = 1e-6  # seconds: an instant after the window has opened


def omniscient(model: Model, burst: int, at: float = 0.0) -> float:
    """Seconds for a burst of so many signals, when the server's clock stands at `at` and its way of counting is known."""
    limiters, now = (model.webhook.build(), model.channel.build()), at
    for _ in range(ceil(burst / EMBEDS)):
        now = _pass(limiters, now)
    return now - at


def universal(model: Model, burst: int) -> float:
    """Seconds for a burst, when it is not known how the limits are counted."""
    webhook, channel = (Limit(Way.SLIDING, limit.requests, limit.window) for limit in (model.webhook, model.channel))
    return omniscient(Model(webhook, channel), burst)


def _pass(limiters: tuple[Limiter, Limiter], now: float) -> float:
    while closed := [verdict for each in limiters if not (verdict := each.look(now)).passes]:
        now += max(verdict.reset_after for verdict in closed) + NUDGE
    for each in limiters:
        each.take(now)
    return now
