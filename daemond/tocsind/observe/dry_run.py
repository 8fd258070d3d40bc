"""What `tocsin test` shows: what one destination would do with a signal, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tocsind.delivery.lane_view import LaneView
from tocsind.journal import Count
from tocsind.policy.delivery import Delivery
from tocsind.policy.routes import Route

from .destination_view import limits, summary


def dry_run(
    view: LaneView, delivery: Delivery, counts: Sequence[Count], preview: dict[str, Any], held: tuple[str, float] | None
) -> dict[str, Any]:
    """The destination's condition, the request that it would get (`preview`), and the earliest time at which it could leave.

    `held` is the reason why quiet hours or the delay of a route would hold it, with the seconds until it is released; null: they do not.
    `ahead` counts the waiting deliveries of the same or a higher priority. `earliest_seconds` is null while it cannot be known.
    `living` is there when the destination can edit messages and the signal has a key: the message that the delivery `edits` (null: it
    posts a new one), and how many other `states` of the key that message shows.
    """
    found = limits(view)
    reason, seconds = held or (None, 0.0)
    earliest = None if view.disabled else found["ready_seconds"][delivery.priority.label]
    return {
        **summary(view),
        "fallback": list(view.fallbacks),
        "ahead": sum(each.n for each in counts if _goes_first(each, delivery)),
        "earliest_seconds": None if earliest is None else max(earliest, seconds),
        "held": reason,
        "limits": found,
        **_live_message(delivery),
        "preview": preview,
    }


def route_view(number: int, route: Route) -> dict[str, Any]:
    """A route, by its number in alerts.toml, from 1."""
    return {"number": number, "when": {key: list(values) for key, values in route.when.items()}, "to": list(route.to)}


def _live_message(delivery: Delivery) -> dict[str, Any]:
    update = delivery.update
    if update is None:
        return {}
    others = len(update.history) + update.then.earlier
    return {"living": {"key": update.key, "edits": update.edits, "states": others}}


def _goes_first(count: Count, delivery: Delivery) -> bool:
    same = count.destination == delivery.destination and count.state in ("queued", "sending")
    return same and count.priority <= delivery.priority
