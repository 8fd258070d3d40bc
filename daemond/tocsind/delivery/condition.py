"""The condition of a lane: its state in one word, and why. Decided here, shown by every observer.

ready       limiter and breaker allow a request now
limited     the limiter does not allow one: a rate limit, or a block by the server
failing     the breaker is open, or the outage has lasted longer than patience: signals take the fallback
probing     one request is in flight to find out whether the destination is back
disabled    the destination refused for good, or the configuration disables it; an operator enables it. Its queue moves to the
fallback; without a fallback it stays
"""

from __future__ import annotations

import msgspec

from tocsind.policy.breaker import Breaker, Phase
from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import Limiter


class Condition(msgspec.Struct, frozen=True):
    """The state of a lane in one word, with the reason."""

    word: str
    """"ready", "limited", "failing", "probing" or "disabled"; the table is at the head of this module."""

    reason: str | None = None
    """Why, for people; None while the lane is ready."""

    seconds: float | None = None
    """How much longer, if that is known."""


def condition_of(
    now: float, disabled: str | None, breaker: Breaker, limiter: Limiter, *, lead: Priority, rerouted_for: str | None
) -> Condition:
    """The condition at `now`, in monotonic seconds: the first that applies, in this order.

    `lead` is the highest priority that waits; `rerouted_for` the reason of an outage that has lasted longer than patience.
    """
    if disabled is not None:
        return Condition("disabled", disabled)
    if breaker.phase is not Phase.READY:
        return Condition(breaker.phase.value, breaker.reason, max(0.0, breaker.until - now))
    if limit := limiter.wait_reason(now, lead):
        return Condition("limited", limit, limiter.ready_at(now, lead) - now)
    return Condition("ready") if rerouted_for is None else Condition("failing", rerouted_for)
