"""A lane as people see it: how it is, and what its gate has left."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec

from .lane import Lane
from .policy.delivery import Priority


def face(lane: Lane) -> dict[str, Any]:
    """What is told of it first, everywhere."""
    condition = lane.condition()
    return {
        "name": lane.name,
        "kind": lane.options.kind,
        "condition": condition.word,
        "reason": condition.reason,
        "until_seconds": condition.seconds,
    }


def waits_for(lane: Lane, priority: Priority) -> str | None:
    """What a delivery of this priority waits for; None when it is about to go."""
    condition = lane.condition()
    if condition.word in {"disabled", "throttled", "probing"}:
        return f"{lane.name} is {condition.word}: {condition.reason}"
    return lane.why_closed(lane.clock.now(), priority)


def budget(lane: Lane) -> dict[str, Any]:
    """What is left of each limit, and when each priority may go; null while that depends on something that has to happen first."""
    now = lane.clock.now()
    return {
        "channel": lane.channel.name,
        "windows": [msgspec.to_builtins(window) for window in lane.gate.windows(now)],
        "ready_seconds": {each.label: _in(lane.opens_at(now, each) - now) for each in Priority},
        "waits_for": {each.label: lane.why_closed(now, each) for each in Priority},
    }


def _in(seconds: float) -> float | None:
    return None if seconds == inf else round(seconds, 3)
