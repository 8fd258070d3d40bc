"""Jobs by which this host takes back deliveries that it handed over: to send them to their fallback, or to end them here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

import msgspec

from tocsind.policy.delivery import Priority

from .elsewhere import IS_FOREIGN
from .epochs import doubt
from .maintenance import CHUNK
from .rerouting import CAN_TAKE, MAX_MOVED
from .shared import Here, told


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


def take_back_later(connection: sqlite3.Connection, numbers: Collection[int], before: float = 0.0) -> None:
    """Take these back while the engine is away. They are marked as possible duplicates (`epochs.doubt`); the engine is informed when it
    answers again.
    """
    doubt(connection, list(numbers), before)
    connection.execute(
        "UPDATE shared SET stage = 'withdrawn' WHERE stage <> 'told' AND delivery IN (SELECT value FROM json_each(?))",
        (json.dumps(list(numbers)),),
    )


class Own(msgspec.Struct, frozen=True):
    """A delivery that this host accepted. `id`, `target`: under which the engine may have it; None: it has not."""

    number: int
    id: str | None
    target: str | None


def overdue(connection: sqlite3.Connection, host: str, now: float, after: int) -> dict[int, str]:
    """The next waiting deliveries of this host after number `after` whose deadline passed: destination by number."""
    rows = connection.execute(
        "SELECT number, destination FROM deliveries WHERE state IN ('queued', 'held')"  # noqa: S608 - constant text
        f" AND deadline IS NOT NULL AND deadline <= ? AND number > ? AND NOT {IS_FOREIGN} ORDER BY number LIMIT ?",
        (now, after, host, CHUNK),
    )
    return dict(rows.fetchall())


def own(connection: sqlite3.Connection, host: str, numbers: Collection[int]) -> list[Own]:
    """Those of these deliveries that this host accepted."""
    rows = connection.execute(
        "SELECT n.value, e.id, e.target, e.stage = 'waits' OR (e.stage = 'begun' AND e.epoch IS NOT NULL) FROM json_each(?) n"
        " LEFT JOIN shared e ON e.delivery = n.value WHERE e.origin IS NULL OR e.origin = ?",
        (json.dumps(list(numbers)), host),
    )
    return [Own(number, *(id_, target) if is_there else (None, None)) for number, id_, target, is_there in rows]


def taken_back(connection: sqlite3.Connection, ids: Mapping[str, bool], others: Collection[str] = ()) -> None:
    """The engine has given back these, by id; True: it may have arrived in an attempt of another host. The `others` it has not: they are in
    flight, have ended, or it has lost them, so each is offered to it again.
    """
    told(connection, ids)
    connection.execute(
        "UPDATE deliveries SET doubt = 1 WHERE number IN"
        " (SELECT delivery FROM shared WHERE id IN (SELECT value FROM json_each(?)))",
        (json.dumps([id_ for id_, may_have_arrived in ids.items() if may_have_arrived]),),
    )
    connection.execute(
        "UPDATE shared SET stage = 'begun' WHERE stage = 'waits' AND id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(others)),),
    )
