"""Jobs around what lanes and scopes must know after a restart: when they asked, what they were told, what they learned."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from .records import LaneState, LimitState, RequestRecord, RequestStart

MAX_REQUESTS = 120  # a destination; the tightest window known asks for 30, but a user's own limit may be wider


def load_boot(connection: sqlite3.Connection, id_: str, base: float) -> tuple[str, float]:
    """The boot of the machine that the journal runs in, as it was first noted; one that is not known yet is noted."""
    known = connection.execute("SELECT id, base FROM boots WHERE id = ?", (id_,)).fetchone()
    if known:
        return known[0], known[1]
    connection.execute("DELETE FROM boots")
    connection.execute("INSERT INTO boots VALUES (?, ?)", (id_, base))
    return id_, base


def start_request(connection: sqlite3.Connection, asking: RequestStart, now: float) -> None:
    """A request leaves; the newest are kept."""
    connection.execute(
        "INSERT INTO requests (channel, destination, sent, pressing) VALUES (?, ?, ?, ?)",
        (asking.channel, asking.destination, now, asking.expedited),
    )
    connection.execute(
        "DELETE FROM requests WHERE destination = ?1 AND number <="
        " (SELECT number FROM requests WHERE destination = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        (asking.destination, MAX_REQUESTS),
    )


def finish_request(connection: sqlite3.Connection, destination: str, now: float) -> None:
    """The answer came."""
    connection.execute(
        "UPDATE requests SET answered = ? WHERE destination = ? AND answered IS NULL", (now, destination)
    )


def cancel_request(connection: sqlite3.Connection, destination: str) -> None:
    """It never reached the far end, which therefore did not count it."""
    connection.execute("DELETE FROM requests WHERE destination = ? AND answered IS NULL", (destination,))


def close_requests(connection: sqlite3.Connection, now: float) -> None:
    """What was open when the last run ended has been answered by now, if it ever is: no later run shall wait for it anew."""
    connection.execute("UPDATE requests SET answered = ? WHERE answered IS NULL", (now,))


def last_request(connection: sqlite3.Connection, destination: str) -> int | None:
    """The number of a destination's latest request; None when it never asked."""
    row = connection.execute("SELECT max(number) FROM requests WHERE destination = ?", (destination,)).fetchone()
    found: int | None = row[0]
    return found


def requests(connection: sqlite3.Connection, channel: str, destination: str) -> list[RequestRecord]:
    """Those that went into this channel, and those of this destination, wherever it led at the time; oldest first."""
    rows = connection.execute(
        "SELECT answered, pressing, destination FROM requests WHERE channel = ? OR destination = ?"
        " ORDER BY answered IS NULL, answered, number",
        (channel, destination),
    )
    return [RequestRecord(at, bool(pressing), name) for at, pressing, name in rows]


def save(connection: sqlite3.Connection, lane: LaneState | None, scopes: Iterable[LimitState]) -> None:
    """What must be known after a restart; it replaces what was known before."""
    if lane is not None:
        _save_limit(connection, "lanes", lane)
    for scope in scopes:
        _save_limit(connection, "scopes", scope)


def load_lane(connection: sqlite3.Connection, destination: str) -> LaneState:
    """What was remembered of a lane; a fresh one otherwise."""
    names = LaneState.__struct_fields__
    row = connection.execute(f"SELECT {', '.join(names)} FROM lanes WHERE destination = ?", (destination,)).fetchone()  # noqa: S608 - our own field names
    return LaneState(*row) if row else LaneState(destination)


def load_limit(connection: sqlite3.Connection, scope: str) -> LimitState:
    """What was remembered of a scope; a fresh one otherwise."""
    names = LimitState.__struct_fields__
    row = connection.execute(f"SELECT {', '.join(names)} FROM scopes WHERE scope = ?", (scope,)).fetchone()  # noqa: S608 - as above
    return LimitState(*row) if row else LimitState(scope)


def _save_limit(connection: sqlite3.Connection, table: str, memory: LaneState | LimitState) -> None:
    names, marks = memory.__struct_fields__, ", ".join("?" * len(memory.__struct_fields__))
    connection.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - as above
        msgspec.structs.astuple(memory),
    )
