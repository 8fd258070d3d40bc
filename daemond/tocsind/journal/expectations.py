"""Jobs around expectations. One row for each; `uid` is that of its owner, or CONFIGURED for one of alerts.toml."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from .records import ExpectationRow

CONFIGURED = -1  # the uid of expectations of alerts.toml
SEARCHED = 20_000  # the newest signals, among which `last_signal` looks

_NAMES = ExpectationRow.__struct_fields__
_decode = msgspec.msgpack.Decoder().decode


def load(connection: sqlite3.Connection) -> list[ExpectationRow]:
    """All expectations, by name."""
    rows = connection.execute(f"SELECT {', '.join(_NAMES)} FROM expectations ORDER BY name, uid")  # noqa: S608 - constant field names
    return [ExpectationRow(*row) for row in rows]


def save(connection: sqlite3.Connection, rows: Iterable[ExpectationRow]) -> None:
    """Store expectations; each replaces its earlier state."""
    marks = ", ".join("?" * len(_NAMES))
    connection.executemany(
        f"INSERT OR REPLACE INTO expectations ({', '.join(_NAMES)}) VALUES ({marks})",  # noqa: S608 - as above
        [msgspec.structs.astuple(row) for row in rows],
    )


def delete(connection: sqlite3.Connection, owners: Iterable[tuple[int, str]]) -> None:
    """Delete expectations, by owner and name."""
    connection.executemany("DELETE FROM expectations WHERE uid = ? AND name = ?", list(owners))


def last_signal(connection: sqlite3.Connection, uid: int | None, pid: int) -> tuple[str, str, float] | None:
    """The last signal that a process sent: id, title, when it was accepted (steady clock). None when it is not among the newest.

    `uid` is that of the process; None: unknown.
    """
    row = connection.execute(
        "SELECT id, body, accepted + skew FROM signals WHERE number > (SELECT max(number) FROM signals) - ?"
        " AND uid = coalesce(?, uid) AND pid = ? ORDER BY number DESC LIMIT 1",
        (SEARCHED, uid, pid),
    ).fetchone()
    return None if row is None else (row[0], _decode(row[1])["title"], row[2])
