"""What ends the repetitions of an alert: `tocsin ack`, and the end of the story of its key. A job: acknowledge.

A delivery that is to be repeated is `sent` and has a `repeat_at`; between that instant and its next request it is `queued`, with `repeats`
above zero. Both end in the commit that stores what ends them, so no repetition leaves after it.

An acknowledgement by id covers that signal. One by key covers all signals of the key so far, and later ones until the story ends. What
another host accepted is repeated by that host, and acknowledged there.
"""

from __future__ import annotations

import sqlite3

from .elsewhere import IS_FOREIGN, accepted_by
from .records import Acknowledged

ACKNOWLEDGED = "acknowledged before it was posted again"
STORY_ENDED = "its story ended before it was posted again"
REPETITION_ENDED = (ACKNOWLEDGED, STORY_ENDED)


def acknowledge(
    connection: sqlite3.Connection, name: str, uid: int, wall: float, host: str | None = None
) -> Acknowledged | None:
    """Record who acknowledged a signal (by its id) or a story (by its key). None when neither is known, or only other hosts than
    `host` accepted it.
    """
    row = connection.execute("SELECT number FROM signals WHERE id = ?", (name.upper(),)).fetchone()
    if row is not None:
        others = accepted_by(connection, name, host)
        if others and not _has_own(connection, row[0], host):
            return None
        connection.execute("INSERT OR IGNORE INTO acknowledged VALUES (?, ?, ?)", (row[0], uid, wall))
        return Acknowledged(name.upper(), None, _stop(connection, "signal = ?", row[0], ACKNOWLEDGED, host), others)
    (newest,) = connection.execute(
        f"SELECT max(signal) FROM deliveries WHERE key = ? AND NOT {IS_FOREIGN}",  # noqa: S608 - constant text
        (name, host),
    ).fetchone()
    if newest is None:
        return None
    connection.execute(
        "INSERT INTO acknowledged_stories VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET uid = excluded.uid, at = excluded.at, newest = excluded.newest",
        (name, uid, wall, newest),
    )
    stopped = _stop(connection, "key = ?", name, ACKNOWLEDGED, host)
    return Acknowledged(None, name, stopped, accepted_by(connection, name, host))


def _has_own(connection: sqlite3.Connection, signal: int, host: str | None) -> bool:
    """Whether this host answers for a delivery of the signal, such as one to its fallback for a host that is gone."""
    found = f"SELECT 1 FROM deliveries WHERE signal = ? AND NOT {IS_FOREIGN}"  # noqa: S608 - constant text
    return connection.execute(found, (signal, host)).fetchone() is not None


def by_whom(connection: sqlite3.Connection, signal: int, key: str | None) -> tuple[int, float] | None:
    """Who acknowledged a signal, and when (wall clock); None when it is not acknowledged."""
    row: tuple[int, float] | None = connection.execute(
        "SELECT uid, at FROM acknowledged WHERE signal = ?1 UNION ALL SELECT uid, at FROM acknowledged_stories a"
        " WHERE a.key = ?2 AND NOT EXISTS (SELECT 1 FROM deliveries d"
        " WHERE d.key = ?2 AND d.ends = 1 AND d.signal BETWEEN min(a.newest, ?1) AND max(a.newest, ?1) - 1) LIMIT 1",
        (signal, key),
    ).fetchone()
    return row


def end_story(connection: sqlite3.Connection, key: str) -> None:
    """A signal that ends the story of this key is stored: nothing of it is repeated."""
    _stop(connection, "key = ?", key, STORY_ENDED)


def schedule(connection: sqlite3.Connection, number: int, order: int, key: str | None, at: float) -> None:
    """Repeat a delivery at this instant, if it needs that: it is not acknowledged, and the story of its key goes on.

    An earlier signal of its key at the same destination is not repeated any more: this one takes over.
    """
    if by_whom(connection, order, key) or _has_ended(connection, order, key):
        return
    connection.execute("UPDATE deliveries SET repeat_at = ? WHERE number = ? AND repeats >= 0", (at, number))
    if key:
        connection.execute(
            "UPDATE deliveries SET repeat_at = NULL WHERE key = ? AND signal < ? AND repeat_at IS NOT NULL"
            " AND destination = (SELECT destination FROM deliveries WHERE number = ?)",
            (key, order, number),
        )


def _has_ended(connection: sqlite3.Connection, order: int, key: str | None) -> bool:
    found = "SELECT 1 FROM deliveries WHERE key = ? AND signal >= ? AND ends = 1 LIMIT 1"
    return key is not None and connection.execute(found, (key, order)).fetchone() is not None


def _stop(connection: sqlite3.Connection, which: str, value: int | str, reason: str, host: str | None = None) -> int:
    """End the repetitions of some deliveries, but for those that another host than `host` accepted; how many were waiting for one."""
    waiting = connection.execute(
        f"UPDATE deliveries SET repeat_at = NULL WHERE {which} AND repeat_at IS NOT NULL",  # noqa: S608 - constant text
        (value,),
    ).rowcount
    queued = connection.execute(
        f"UPDATE deliveries SET state = 'sent', reason = ? WHERE {which} AND state = 'queued' AND repeats > 0"  # noqa: S608 - constant text
        f" AND NOT {IS_FOREIGN}",
        (reason, value, host),
    ).rowcount
    return waiting + queued
