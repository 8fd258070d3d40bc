"""Jobs for messages that are known by an id of ours and may be edited: the signal that was stored first holds their present state."""

from __future__ import annotations

import sqlite3


def load(connection: sqlite3.Connection, id_: str) -> bytes | None:
    """The fields of a signal, MessagePack; None for an unknown id."""
    row = connection.execute("SELECT body FROM signals WHERE id = ?", (id_,)).fetchone()
    return row[0] if row else None


def save(connection: sqlite3.Connection, id_: str, body: bytes) -> None:
    """Replace the fields of a signal. What waits of it is read by its own lane; what waits of a later state is shown instead."""
    connection.execute("UPDATE signals SET body = ? WHERE id = ?", (body, id_))
