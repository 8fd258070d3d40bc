"""A destination in `status`, `test` and `why`: JSON made from the snapshot of its lane."""

from __future__ import annotations

from math import ceil, inf
from typing import Any

import msgspec

from tocsin.durations import format_duration
from tocsind.delivery.lane_view import LaneView
from tocsind.policy.delivery import Priority

from .health import NOT_WORKING


def summary(view: LaneView) -> dict[str, Any]:
    """The condition of the destination, in the contract's words.

    `failing_seconds` counts from the first failure in a row, or from the start of a block; null while deliveries arrive.
    """
    return {
        "name": view.name,
        "kind": view.kind,
        "condition": view.condition.word,
        "reason": view.condition.reason,
        "until_seconds": view.condition.seconds,
        "failing_seconds": round(view.outage.seconds, 3) if view.outage.is_on else None,
    }


def limits(view: LaneView) -> dict[str, Any]:
    """What is left of each limit, and when a request of each priority may leave; null while that depends on a probe in flight."""
    return {
        "channel": view.turn_queue,
        "windows": [msgspec.to_builtins(window) for window in view.limits.windows],
        "ready_seconds": {each.label: _finite(view.limits.ready_in[each]) for each in Priority},
        "waits_for": {each.label: view.limits.waits_for[each] for each in Priority},
    }


def fallback_in(view: LaneView) -> dict[str, float | None]:
    """By priority: when a fallback takes what waits, during an outage; null while none would."""
    in_outage = view.outage.is_on and view.disabled is None and view.fallbacks
    return {each.label: _finite(max(0.0, view.outage.moves_after[each])) if in_outage else None for each in Priority}


def wait_reason(view: LaneView, priority: Priority, known: str | None = None) -> str | None:
    """Why a delivery of this priority waits, for people; None when it is about to go. `known` is the journal's reason, if it has one."""
    if known is not None:
        reason: str | None = known
    elif view.condition.word in NOT_WORKING:
        reason = f"{view.name} is {view.condition.word}: {view.condition.reason}"
    else:
        reason = view.limits.waits_for[priority]
    return None if reason is None else reason + _until_rerouted(view, priority)


def _until_rerouted(view: LaneView, priority: Priority) -> str:
    """How long its patience still lasts, during an outage of a destination with fallbacks."""
    seconds = view.outage.moves_after[priority]
    if seconds == inf or view.disabled is not None or not view.fallbacks:
        return ""
    if seconds <= 0:
        return "; its patience is over, and no fallback works"
    return f"; a fallback takes it in {format_duration(ceil(seconds))}"


def _finite(seconds: float) -> float | None:
    return None if seconds == inf else round(seconds, 3)
