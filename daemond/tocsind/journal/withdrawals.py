"""Jobs by which this host takes back deliveries that it handed over, to send them to their fallback."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

import msgspec

from tocsind.policy.delivery import Priority

from .epochs import doubt
from .rerouting import CAN_TAKE, MAX_MOVED
from .shared import Here


class Waiting(msgspec.Struct, frozen=True):
    """A queued delivery that this host may send to its fallback. `is_free`: the engine does not have it."""

    number: int
    id: str | None
    is_free: bool


def waiting(
    connection: sqlite3.Connection,
    here: Here,
    over: Collection[Priority],
    fallbacks: Collection[str],
    living: Collection[str],
    *,
    hurried: bool,
) -> list[Waiting]:
    """At most MAX_MOVED queued deliveries of a destination that one of the fallbacks can take: those with a priority in `over`, and with
    `hurried` those that came here when their patience ended. Without deliveries that `living` hosts accepted.
    """
    rows = connection.execute(
        "SELECT d.number, e.id, coalesce(e.stage, 'told') = 'told' FROM deliveries d LEFT JOIN shared e ON e.delivery = d.number"  # noqa: S608 - constant text
        f" WHERE d.destination = ? AND d.state = 'queued' AND {CAN_TAKE}"
        " AND (d.priority IN (SELECT value FROM json_each(?)) OR (? AND d.hurried = 1))"
        " AND (e.origin IS NULL OR e.origin NOT IN (SELECT value FROM json_each(?)))"
        " ORDER BY d.priority, d.number LIMIT ?",
        (
            here.destination,
            *map(json.dumps, (list(fallbacks), list(over))),
            hurried,
            json.dumps(list(living)),
            MAX_MOVED,
        ),
    )
    return [Waiting(number, id_, bool(is_free)) for number, id_, is_free in rows]


def take_back_later(connection: sqlite3.Connection, numbers: Collection[int]) -> None:
    """Take these back while the engine is away. They are marked as possible duplicates; the engine is informed when it answers again."""
    doubt(connection, list(numbers))
    connection.execute(
        "UPDATE shared SET stage = 'withdrawn' WHERE stage <> 'told' AND delivery IN (SELECT value FROM json_each(?))",
        (json.dumps(list(numbers)),),
    )
