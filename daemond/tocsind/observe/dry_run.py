"""What would become of a signal at one destination, and when: `tocsin test`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tocsind.delivery.lane import Lane
from tocsind.journal import Count
from tocsind.policy.delivery import Delivery

from .lane_view import lane_view, limiter_view


def dry_run(lane: Lane, delivery: Delivery, counts: Sequence[Count]) -> dict[str, Any]:
    """How the lane is, what it would send, and the earliest instant at which its gate would let this priority go.

    `living`, where a message can be edited and the signal has a key: which message it `edits` (null: it posts one), why, and how many
    other `states` the key has there.

    `ahead` of it stand so many that wait and are as pressing or more; `earliest_seconds` is null while nobody knows.
    """
    gate = limiter_view(lane)
    return {
        **lane_view(lane),
        "fallback": list(lane.options.fallback),
        "ahead": sum(each.n for each in counts if _goes_first(each, delivery)),
        "earliest_seconds": None if lane.disabled else gate["ready_seconds"][delivery.priority.label],
        "limits": gate,
        **_live_message(delivery),
        "preview": lane.preview(delivery),
    }


def _live_message(delivery: Delivery) -> dict[str, Any]:
    telling = delivery.update
    if telling is None:
        return {}
    others = len(telling.history) + telling.then.earlier
    return {"living": {"key": telling.key, "edits": telling.edits, "states": others}}


def _goes_first(count: Count, delivery: Delivery) -> bool:
    mine = count.destination == delivery.destination and count.state in ("queued", "sending")
    return mine and count.priority <= delivery.priority
