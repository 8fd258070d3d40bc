"""Jobs after the engine of several hosts may have lost data (`shared`): report again what it lost, and mark possible duplicates.

The engine begins a new epoch when it has lost its data or may have lost its last commands. A shared delivery has the epoch in which the
engine first received it; UNKNOWN if this host missed the end of an epoch since then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from tocsind.policy.delivery import Delivery, Priority

from . import shared_view
from .queue import feed_where
from .shared import Here

UNKNOWN: Final = "?"
MAX_OPEN: Final = 1000
_IN_DIGEST: Final = (  # of a delivery d: a digest that stands for it is in flight
    "(d.state = 'digested' AND EXISTS (SELECT 1 FROM deliveries g WHERE g.signal = d.digest AND g.state = 'sending'))"
)


def offer_again(connection: sqlite3.Connection, host: str, target: str) -> None:
    """Have the open deliveries that this host accepted handed over again, because the engine may have lost them."""
    connection.execute(
        "UPDATE shared SET stage = 'begun' WHERE target = ? AND origin = ? AND (stage = 'waits' OR (stage = 'withdrawn'"
        " AND (SELECT state FROM deliveries WHERE number = delivery) = 'queued'))",
        (target, host),
    )


def account(
    connection: sqlite3.Connection, host: str, target: str, since: float, *, epoch: str, followed: bool
) -> tuple[list[str], list[str]]:
    """Begin this epoch. Deliveries that ended after `since` are reported again. Returns the ids of deliveries in flight, and of those that
    may have arrived in an attempt before. `followed`: this host was connected when the epoch before it ended.
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
        f"SELECT e.id, d.state NOT IN ('queued', 'rerouted') FROM shared e JOIN deliveries d ON d.number = e.delivery WHERE e.target = ?"  # noqa: S608 - constant text
        f" AND (d.state = 'sending' OR {_IN_DIGEST} OR (e.epoch <> ? AND d.doubt AND d.state IN ('queued', 'rerouted')))"
        " ORDER BY d.number DESC LIMIT ?",
        (target, epoch, MAX_OPEN),
    ).fetchall()
    return [id_ for id_, is_open in rows if is_open], [id_ for id_, is_open in rows if not is_open]


def feed_own(  # noqa: PLR0917 - as `queue.feed`
    connection: sqlite3.Connection, here: Here, priority: Priority, after: int, most: int, before: float
) -> list[Delivery]:
    """As `queue.feed`, while the engine is away: deliveries that this host accepted, and did not hand over or did so before `before`."""
    unsafe = "SELECT 1 FROM shared e WHERE e.delivery = d.number AND NOT (e.origin = ? AND (e.epoch IS NULL OR e.since <= ?))"
    condition = f"AND NOT EXISTS ({unsafe})"
    return feed_where(connection, here.destination, priority, after, most, condition, here.host, before)


def doubt(connection: sqlite3.Connection, numbers: Sequence[int], before: float = 0.0) -> None:
    """Mark those of these deliveries that the engine has as possible duplicates: another host may have sent them. Mark also those that were
    accepted `before` (steady clock): another daemon on a copy of this journal may have sent them.
    """
    shared_view.note_alone(connection, numbers)
    connection.execute(
        "UPDATE deliveries AS d SET doubt = 1 WHERE number IN (SELECT value FROM json_each(?)) AND"
        " (EXISTS (SELECT 1 FROM shared e WHERE e.delivery = d.number AND e.epoch IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM signals s WHERE s.number = d.signal AND s.accepted + s.skew < ?))",
        (json.dumps(list(numbers)), before),
    )
