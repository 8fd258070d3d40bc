"""Jobs for what is left at the engine when a destination is not shared any more, has another far end, or has left the configuration."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

import msgspec

from tocsind.policy.delivery import Delivery, Priority

from .queue import COLUMNS, delivery_of
from .shared import HANDED_OVER, RETURNED, Here

_AT_ENGINE = "('begun', 'waits', 'withdrawn')"


class Left(msgspec.Struct, frozen=True):
    """A destination that does not lead to this target any more, or is none."""

    target: str
    destination: str


def left(connection: sqlite3.Connection, leads: Mapping[str, str]) -> list[Left]:
    """What the engine may have something of, without where destinations lead now (`leads`, by destination)."""
    rows = connection.execute(
        "SELECT DISTINCT e.target, d.destination FROM shared e JOIN deliveries d ON d.number = e.delivery"  # noqa: S608 - constant text
        f" WHERE e.stage IN {_AT_ENGINE} AND e.target <> '' AND NOT EXISTS"
        " (SELECT 1 FROM json_each(?) c WHERE c.key = d.destination AND c.value = e.target)",
        (json.dumps(dict(leads)),),
    )
    return [Left(*row) for row in rows]


def give_back(connection: sqlite3.Connection, left: Left, host: str, now: float) -> list[str]:
    """Leave what other hosts accepted to those that still share the target. Returns the ids of what this host accepted and has queued."""
    foreign = connection.execute(
        "UPDATE deliveries SET state = 'rerouted', reason = ?, since = ? WHERE state IN ('queued', 'held') AND destination = ?"
        " AND number IN (SELECT delivery FROM shared WHERE target = ? AND origin <> ?) RETURNING number",
        (RETURNED, now, left.destination, left.target, host),
    ).fetchall()
    connection.executemany("UPDATE shared SET stage = 'returned' WHERE delivery = ?", foreign)
    rows = connection.execute(
        "SELECT e.id FROM shared e JOIN deliveries d ON d.number = e.delivery WHERE e.target = ? AND d.destination = ?"
        " AND e.origin = ? AND e.stage IN ('begun', 'waits') AND d.state IN ('queued', 'held')",
        (left.target, left.destination, host),
    )
    return [id_ for (id_,) in rows]


def feed(connection: sqlite3.Connection, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
    """As `queue.feed` for a destination that is not shared: without what another host may send, because the engine has it."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.number > ?"
        " AND NOT EXISTS (SELECT 1 FROM shared e WHERE e.delivery = d.number AND e.stage IN ('begun', 'waits'))"
        " ORDER BY d.number LIMIT ?",
        (destination, priority, after, most),
    ).fetchall()
    return [delivery_of(destination, priority, *row) for row in rows]


def release_held(connection: sqlite3.Connection, here: Here, now: float) -> int:
    """What quiet hours hold here and the engine has, another host holds or sends: it waits for that one. How many."""
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
