"""Jobs for deliveries that the engine still has after a reload: of destinations that were removed, changed, or are no longer shared."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

import msgspec

from tocsind.policy.delivery import Delivery, Priority

from .queue import feed_where
from .shared import HANDED_OVER, Here, return_of_others

_AT_ENGINE = "('begun', 'waits', 'withdrawn')"


class Left(msgspec.Struct, frozen=True):
    """A destination that no longer leads to this target, or no longer exists."""

    target: str
    destination: str


def left(connection: sqlite3.Connection, leads: Mapping[str, str]) -> list[Left]:
    """The targets and destinations of deliveries that the engine may have, except where destinations lead now (`leads`, by destination)."""
    rows = connection.execute(
        "SELECT DISTINCT e.target, d.destination FROM shared e JOIN deliveries d ON d.number = e.delivery"  # noqa: S608 - constant text
        f" WHERE e.stage IN {_AT_ENGINE} AND e.target <> '' AND NOT EXISTS"
        " (SELECT 1 FROM json_each(?) c WHERE c.key = d.destination AND c.value = e.target)",
        (json.dumps(dict(leads)),),
    )
    return [Left(*row) for row in rows]


def give_back(connection: sqlite3.Connection, left: Left, host: str, now: float) -> list[str]:
    """Return deliveries of other hosts, which still share the target. Returns the ids of the queued deliveries that this host accepted."""
    return_of_others(connection, Here(host, left.target, left.destination), now)
    rows = connection.execute(
        "SELECT e.id FROM shared e JOIN deliveries d ON d.number = e.delivery WHERE e.target = ? AND d.destination = ?"
        " AND e.origin = ? AND e.stage IN ('begun', 'waits') AND d.state IN ('queued', 'held')",
        (left.target, left.destination, host),
    )
    return [id_ for (id_,) in rows]


def feed(connection: sqlite3.Connection, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
    """As `queue.feed` for a destination that is not shared, without deliveries that the engine has: another host may send them."""
    condition = "AND NOT EXISTS (SELECT 1 FROM shared e WHERE e.delivery = d.number AND e.stage IN ('begun', 'waits'))"
    return feed_where(connection, destination, priority, after, most, condition)


def release_held(connection: sqlite3.Connection, here: Here, now: float) -> int:
    """Queue deliveries that quiet hours hold here and that the engine has: the host that sends decides about them. Returns how many."""
    return connection.execute(
        "UPDATE deliveries SET state = 'queued', quiet_until = NULL, reason = ?, since = ? WHERE state = 'held' AND destination = ?"
        " AND quiet_until IS NOT NULL AND digest IS NULL"
        " AND number IN (SELECT delivery FROM shared WHERE target = ? AND origin = ? AND stage IN ('begun', 'waits'))",
        (HANDED_OVER, now, here.destination, here.target, here.host),
    ).rowcount


def with_the_engine(connection: sqlite3.Connection, numbers: Collection[int]) -> set[int]:
    """Which of these deliveries the engine may have."""
    rows = connection.execute(
        "SELECT delivery FROM shared WHERE stage IN ('begun', 'waits') AND delivery IN (SELECT value FROM json_each(?))",
        (json.dumps(list(numbers)),),
    )
    return {number for (number,) in rows}
