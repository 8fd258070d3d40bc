"""Jobs around the state that lanes and limits must have after a restart: their requests, responses and learned limits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from .records import LaneState, LimitState, RequestRecord, RequestStart

MAX_REQUESTS = 300  # per destination; the widest known window, of a day, has 250


def load_boot(connection: sqlite3.Connection, id_: str, base: float) -> tuple[str, float]:
    """The boot of the machine as the journal first recorded it. An unknown one is recorded now."""
    known = connection.execute("SELECT id, base FROM boots WHERE id = ?", (id_,)).fetchone()
    if known:
        return known[0], known[1]
    connection.execute("DELETE FROM boots")
    connection.execute("INSERT INTO boots VALUES (?, ?)", (id_, base))
    return id_, base


def start_request(connection: sqlite3.Connection, request: RequestStart, now: float) -> None:
    """Record a request that is about to leave. Only the newest are kept."""
    connection.execute(
        "INSERT INTO requests (channel, destination, sent, pressing) VALUES (?, ?, ?, ?)",
        (request.channel, request.destination, now, request.expedited),
    )
    connection.execute(
        "DELETE FROM requests WHERE destination = ?1 AND number <="
        " (SELECT number FROM requests WHERE destination = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        (request.destination, MAX_REQUESTS),
    )


def finish_request(connection: sqlite3.Connection, destination: str, now: float) -> None:
    """The response came."""
    connection.execute(
        "UPDATE requests SET answered = ? WHERE destination = ? AND answered IS NULL", (now, destination)
    )


def cancel_request(connection: sqlite3.Connection, destination: str) -> None:
    """The request never reached the server, which therefore did not count it."""
    connection.execute("DELETE FROM requests WHERE destination = ? AND answered IS NULL", (destination,))


def close_requests(connection: sqlite3.Connection, now: float) -> None:
    """Requests that were open when the last run ended count as answered now, so that no later run waits for them."""
    connection.execute("UPDATE requests SET answered = ? WHERE answered IS NULL", (now,))


def last_request(connection: sqlite3.Connection, destination: str) -> int | None:
    """The number of a destination's latest request; None without any."""
    row = connection.execute("SELECT max(number) FROM requests WHERE destination = ?", (destination,)).fetchone()
    found: int | None = row[0]
    return found


def requests(connection: sqlite3.Connection, channel: str, destination: str) -> list[RequestRecord]:
    """The requests into this channel, and those of this destination, whatever its channel was at the time; oldest first."""
    rows = connection.execute(
        "SELECT answered, pressing, destination FROM requests WHERE channel = ? OR destination = ?"
        " ORDER BY answered IS NULL, answered, number",
        (channel, destination),
    )
    return [RequestRecord(at, bool(expedited), name) for at, expedited, name in rows]


def save(connection: sqlite3.Connection, lane: LaneState | None, scopes: Iterable[LimitState]) -> None:
    """Save the state of a lane and of limits; it replaces earlier ones."""
    if lane is not None:
        _save_limit(connection, "lanes", lane)
    for scope in scopes:
        _save_limit(connection, "scopes", scope)


def load_lane(connection: sqlite3.Connection, destination: str) -> LaneState:
    """The saved state of a lane; else an empty one."""
    names = LaneState.__struct_fields__
    row = connection.execute(f"SELECT {', '.join(names)} FROM lanes WHERE destination = ?", (destination,)).fetchone()  # noqa: S608 - constant field names
    return LaneState(*row) if row else LaneState(destination)


def load_limit(connection: sqlite3.Connection, scope: str) -> LimitState:
    """The saved state of a limit; else an empty one."""
    names = LimitState.__struct_fields__
    row = connection.execute(f"SELECT {', '.join(names)} FROM scopes WHERE scope = ?", (scope,)).fetchone()  # noqa: S608 - as above
    return LimitState(*row) if row else LimitState(scope)


def _save_limit(connection: sqlite3.Connection, table: str, state: LaneState | LimitState) -> None:
    names, marks = state.__struct_fields__, ", ".join("?" * len(state.__struct_fields__))
    connection.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - as above
        msgspec.structs.astuple(state),
    )
