"""Jobs that take signals in and hand deliveries out, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority, State

from .records import Arrival

UNROUTED = "unrouted"  # the destination of what no route takes
NO_ROUTE = "no route of the configuration takes this signal"
COLUMNS = (
    "d.number, d.deadline, d.attempts, d.first_try, d.doubt, d.unknowns, d.plain, s.accepted, s.body"  # of a delivery
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def append(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> list[bool]:
    """Store each signal with its deliveries; False for an id that was stored before."""
    return [_append_one(connection, arrival) for arrival in arrivals]


def _append_one(connection: sqlite3.Connection, arrival: Arrival) -> bool:
    cursor = connection.execute(
        "INSERT OR IGNORE INTO signals (id, accepted, uid, pid, body) VALUES (?, ?, ?, ?, ?)",
        (arrival.signal.id, arrival.accepted, arrival.uid, arrival.pid, _encode(arrival.signal.as_dict())),
    )
    if cursor.rowcount == 0:
        return False
    for destination in arrival.destinations:
        owe(connection, cursor.lastrowid, destination, arrival.priority, arrival.accepted, deadline=arrival.deadline)
    if not arrival.destinations:
        _keep_unrouted(connection, cursor.lastrowid, arrival)
    return True


def owe(
    connection: sqlite3.Connection,
    signal: int | None,
    destination: str,
    priority: Priority,
    now: float,
    *,
    deadline: float | None = None,
    doubt: bool = False,
) -> bool:
    """A new delivery, queued; False when the signal has been owed to this destination before."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO deliveries (signal, destination, priority, state, since, deadline, doubt)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?)",
        (signal, destination, priority, now, deadline, doubt),
    )
    return cursor.rowcount == 1


def _keep_unrouted(connection: sqlite3.Connection, signal: int | None, arrival: Arrival) -> None:
    connection.execute(
        "INSERT INTO deliveries (signal, destination, priority, state, since, reason, deadline) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (signal, UNROUTED, arrival.priority, State.DEAD.value, arrival.accepted, NO_ROUTE, arrival.deadline),
    )


def feed(connection: sqlite3.Connection, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
    """The next queued deliveries after number `after`: digests first, then in order of acceptance."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - our own text
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.number > ? ORDER BY d.number LIMIT ?",
        (destination, priority, after, most),
    )
    return [delivery_of(destination, priority, *row) for row in rows]


def delivery_of(  # noqa: PLR0917 - a row of COLUMNS, in their order
    destination: str,
    priority: Priority,
    number: int,
    deadline: float | None,
    attempts: int,
    first_try: float | None,
    doubt: int,
    unknowns: int,
    plain: int,
    accepted: float,
    body: bytes,
) -> Delivery:
    """A row as the delivery that it is."""
    return Delivery(
        number=number,
        signal=Signal.trusted(_decode(body)),
        destination=destination,
        priority=priority,
        accepted=accepted,
        deadline=deadline,
        attempts=attempts,
        first_try=first_try,
        doubt=bool(doubt),
        unknowns=unknowns,
        plain=bool(plain),
    )
