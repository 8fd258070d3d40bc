"""Jobs around silences: `signals` of a row counts in the commit that stores the signals, so the count is exact whatever is killed when."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from tocsind.policy.silence import Silence

from .records import Arrival

_COUNT = "UPDATE silences SET signals = signals + 1, highest = min(coalesce(highest, ?1), ?1) WHERE id = ?2"
_COLUMNS = "id, keys, uid, since, until, reason, ended_by, signals, highest"


def add(connection: sqlite3.Connection, silence: Silence) -> None:
    """Store a silence."""
    connection.execute(
        "INSERT INTO silences (id, keys, uid, since, until, reason) VALUES (?, ?, ?, ?, ?, ?)",
        (silence.id, json.dumps(silence.when), silence.uid, silence.since, silence.until, silence.reason),
    )


def end(connection: sqlite3.Connection, id_: str, uid: int, now: float) -> None:
    """End a silence early."""
    connection.execute("UPDATE silences SET until = ?, ended_by = ? WHERE id = ? AND until > ?", (now, uid, id_, now))


def active(connection: sqlite3.Connection, now: float) -> list[Silence]:
    """The silences in force, the oldest first."""
    return _silences(connection, "until > ?", now)


def ended(connection: sqlite3.Connection, now: float) -> list[Silence]:
    """The silences that have ended and whose end is not reported with all signals that they silenced."""
    return _silences(connection, "until <= ? AND coalesce(reported, -1) < signals", now)


def reported(connection: sqlite3.Connection, silence: Silence) -> None:
    """The report of its end was stored, with this count of signals."""
    connection.execute("UPDATE silences SET reported = ? WHERE id = ?", (silence.signals, silence.id))


def count(connection: sqlite3.Connection, stored: Iterable[Arrival]) -> None:
    """Count new signals for the silences that match them."""
    connection.executemany(
        _COUNT,
        [(each.priority, each.silence[0]) for each in stored if each.silence is not None],
    )


def settle(
    connection: sqlite3.Connection, silence: Silence, numbers: Sequence[int], now: float
) -> list[tuple[str, bool]]:
    """Settle waiting deliveries as silenced, and count their signals, each once. A repetition is left alone.

    Returns the signal's id for each, and whether it was counted now.
    """
    settled: list[tuple[str, bool]] = []
    for number in numbers:
        row = connection.execute(
            "SELECT s.id, d.priority, EXISTS (SELECT 1 FROM deliveries o WHERE o.signal = d.signal AND o.state = 'silenced')"
            " FROM deliveries d JOIN signals s ON s.number = d.signal"
            " WHERE d.number = ? AND d.state IN ('queued', 'held') AND d.repeats = 0",
            (number,),
        ).fetchone()
        if row is None:
            continue
        id_, priority, is_counted = row
        connection.execute(
            "UPDATE deliveries SET state = 'silenced', reason = ?, since = ? WHERE number = ?",
            (silence.settlement(), now, number),
        )
        settled.append((id_, not is_counted))
        if not is_counted:
            connection.execute(_COUNT, (priority, silence.id))
    return settled


def delete_old(connection: sqlite3.Connection, before: float) -> None:
    """Delete silences that ended before then and were reported."""
    connection.execute("DELETE FROM silences WHERE until < ? AND reported >= signals", (before,))


def _silences(connection: sqlite3.Connection, condition: str, now: float) -> list[Silence]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM silences WHERE {condition} ORDER BY since, id", (now,))  # noqa: S608 - constant text
    return [Silence(id_, tuple((key, value) for key, value in json.loads(keys)), *rest) for id_, keys, *rest in rows]
