"""A job for news: what became of this host's deliveries at other hosts (`shared`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from .shared import Ended


def under_way(connection: sqlite3.Connection, news: Sequence[Ended], now: float) -> list[str]:
    """Of this host's deliveries that ended at another one, those for which an attempt is open here: its end decides first."""
    for each in news:
        _note_own(connection, each, now)
    rows = connection.execute(
        "SELECT e.id FROM shared e JOIN deliveries d ON d.number = e.delivery"
        " WHERE d.state = 'sending' AND e.id IN (SELECT value FROM json_each(?))",
        (json.dumps([each.id for each in news]),),
    )
    return [id_ for (id_,) in rows]


def _note_own(connection: sqlite3.Connection, news: Ended, now: float) -> None:
    """The engine had it, though it did not say so when it was handed over."""
    _, signal, destination = [*news.id.split("/", 2), "", ""][:3]
    connection.execute(
        "INSERT OR IGNORE INTO shared (delivery, id, target, origin, stage, since)"
        " SELECT d.number, ?, '', ?, 'told', ? FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE s.id = ? AND d.destination = ?",
        (news.id, news.origin, now, signal, destination),
    )
