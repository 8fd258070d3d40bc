"""Jobs for what an engine may have forgotten (`shared`): what it is told again, and what another host may have sent meanwhile.

The engine begins another epoch when it has lost its memory or may have lost its last steps. A shared delivery has the epoch in which the
engine got it first; UNKNOWN when what happened since then is not known.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from tocsind.policy.delivery import Delivery, Priority

from . import shared_view
from .queue import COLUMNS, delivery_of
from .shared import Here

UNKNOWN: Final = "?"
MAX_OPEN: Final = 1000


def offer_again(connection: sqlite3.Connection, host: str, target: str) -> None:
    """The engine may have lost something: what this host accepted and has not ended is handed over again."""
    connection.execute(
        "UPDATE shared SET stage = 'begun' WHERE target = ? AND origin = ? AND (stage = 'waits' OR (stage = 'withdrawn'"
        " AND (SELECT state FROM deliveries WHERE number = delivery) = 'queued'))",
        (target, host),
    )


def account(
    connection: sqlite3.Connection, host: str, target: str, since: float, *, epoch: str, followed: bool
) -> list[str]:
    """Begin this epoch. What was told before it, and ended after `since`, is told again. Returns the ids of attempts whose end this host
    does not know. `followed`: this host knew the engine until it began.
    """
    offer_again(connection, host, target)
    earlier = "target = ? AND epoch <> ?"
    if not followed:
        connection.execute(
            f"UPDATE shared SET epoch = ? WHERE {earlier} AND origin = ? AND stage = 'begun'",  # noqa: S608 - constant text
            (UNKNOWN, target, epoch, host),
        )
    connection.execute(
        "UPDATE shared SET stage = 'waits' WHERE target = ? AND epoch IS NOT ? AND stage = 'told'"
        " AND (SELECT since FROM deliveries WHERE number = delivery) >= ?",
        (target, epoch, since),
    )
    rows = connection.execute(
        "SELECT e.id FROM shared e JOIN deliveries d ON d.number = e.delivery WHERE e.target = ?"
        " AND (d.state = 'sending' OR (e.epoch <> ? AND d.doubt AND d.state IN ('queued', 'rerouted')))"
        " ORDER BY d.number DESC LIMIT ?",
        (target, epoch, MAX_OPEN),
    )
    return [id_ for (id_,) in rows]


def feed_own(  # noqa: PLR0917 - as `queue.feed`
    connection: sqlite3.Connection, here: Here, priority: Priority, after: int, most: int, before: float
) -> list[Delivery]:
    """As `queue.feed`, while the engine is away: what this host accepted, and handed over not after `before` if at all."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " LEFT JOIN shared e ON e.delivery = d.number"
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.number > ?"
        " AND (e.delivery IS NULL OR (e.origin = ? AND (e.epoch IS NULL OR e.since <= ?))) ORDER BY d.number LIMIT ?",
        (here.destination, priority, after, here.host, before, most),
    ).fetchall()
    return [delivery_of(here.destination, priority, *row) for row in rows]


def doubt(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Another host may have sent these, as the engine had them."""
    shared_view.note_alone(connection, numbers)
    connection.execute(
        "UPDATE deliveries SET doubt = 1 WHERE number IN"
        " (SELECT delivery FROM shared WHERE epoch IS NOT NULL AND delivery IN (SELECT value FROM json_each(?)))",
        (json.dumps(list(numbers)),),
    )
