"""A delivery as one line of JSON: everything that is known of the signal, for programs and for a person with grep."""

from __future__ import annotations

from typing import Any

import msgspec

from tocsind.policy.delivery import Delivery

from .numbers import iso


def json_line(delivery: Delivery, wall: float) -> bytes:
    """One JSON object and a line break, written at Unix time `wall`."""
    return msgspec.json.encode(json_object(delivery, wall)) + b"\n"


def json_object(delivery: Delivery, wall: float) -> dict[str, Any]:
    """The object of a line.

    The signal's own fields, with `priority` as it was resolved, and beside them `destination`, `accepted` and `written` (ISO 8601, UTC),
    `accepted_unix`, and `possible_duplicate`: true when an earlier attempt may have arrived. `reminder` counts the repetitions of an alert
    that is not acknowledged; `unacknowledged`: the fallback gets it after all of them.
    """
    signal = delivery.signal
    line = {
        "id": delivery.id,
        "title": signal.title,
        "priority": delivery.priority.label,
        "destination": delivery.destination,
        "accepted": iso(delivery.accepted),
        "accepted_unix": delivery.accepted,
        "written": iso(wall),
    }
    doubt: dict[str, Any] = {"possible_duplicate": True} if delivery.maybe_duplicate else {}
    if delivery.repeats:
        doubt |= {"reminder": delivery.repeats} if delivery.repeats > 0 else {"unacknowledged": True}
    return line | doubt | {k: v for k, v in signal.as_dict().items() if k not in line}
