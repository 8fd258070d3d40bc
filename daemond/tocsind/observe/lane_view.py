"""A lane as people see it: how it is, and what its gate has left."""

from __future__ import annotations

from math import ceil, inf
from typing import Any

import msgspec

from tocsin.durations import format_duration
from tocsind.delivery.lane import Lane
from tocsind.policy.delivery import Priority


def lane_view(lane: Lane) -> dict[str, Any]:
    """What is told of it first, everywhere."""
    condition = lane.condition()
    return {
        "name": lane.name,
        "kind": lane.options.kind,
        "condition": condition.word,
        "reason": condition.reason,
        "until_seconds": condition.seconds,
        "failing_seconds": outage_view(lane),
    }


def outage_view(lane: Lane) -> float | None:
    """Seconds since nothing gets through: the first failure in a row, or the start of a block; None when all is well."""
    outage = lane.rerouting.outage
    return round(outage.duration(lane.clock.now()), 3) if outage.is_on else None


def wait_reason(lane: Lane, priority: Priority, known: str | None = None) -> str | None:
    """What a delivery of this priority waits for; None when it is about to go. `known` is what the journal says of it."""
    condition = lane.condition()
    if known is not None:
        reason: str | None = known
    elif condition.word in {"disabled", "failing", "probing"}:
        reason = f"{lane.name} is {condition.word}: {condition.reason}"
    else:
        reason = lane.limit_reason(lane.clock.now(), priority)
    return None if reason is None else reason + _until_rerouted(lane, priority)


def _until_rerouted(lane: Lane, priority: Priority) -> str:
    """How long its patience still lasts, while an outage of a destination with fallbacks is on."""
    seconds = lane.rerouting.moves_after(priority)
    if seconds == inf or lane.disabled is not None or not lane.options.fallback:
        return ""
    if seconds <= 0:
        return "; its patience is over, and no fallback works"
    return f"; a fallback takes it in {format_duration(ceil(seconds))}"


def limiter_view(lane: Lane) -> dict[str, Any]:
    """What is left of each limit, and when each priority may go; null while that depends on something that has to happen first."""
    now = lane.clock.now()
    return {
        "channel": lane.turns.name,
        "windows": [msgspec.to_builtins(window) for window in lane.limiter.windows(now)],
        "ready_seconds": {each.label: _in(lane.opens_at(now, each) - now) for each in Priority},
        "waits_for": {each.label: lane.limit_reason(now, each) for each in Priority},
    }


def _in(seconds: float) -> float | None:
    return None if seconds == inf else round(seconds, 3)
