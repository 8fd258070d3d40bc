"""Jobs that store signals and read queued deliveries, in order."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from tocsin.ids import new_id
from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority, State

from . import acknowledgements, silences
from .records import Arrival, OutboxPosition

UNROUTED = "unrouted"  # the destination of signals that no route matches
NO_ROUTE = "no route of the configuration takes this signal"
COLUMNS = (  # of a delivery
    "d.number, d.signal, d.deadline, d.attempts, d.first_try, d.doubt, d.unknowns, d.plain, d.released, d.repeats, d.retries,"
    " s.accepted, s.skew, s.body"
)

_decode = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.Encoder().encode


def append(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> list[bool]:
    """Store each signal with its deliveries; False for an id that was stored before."""
    first = _next_number(connection)
    numbered = list(enumerate(arrivals, first))
    stored = connection.executemany(
        "INSERT OR IGNORE INTO signals (number, id, accepted, uid, pid, body, skew, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (number, each.id, each.accepted, each.uid, each.pid, each.body, each.skew, each.raw)
            for number, each in numbered
        ],
    ).rowcount
    if stored < len(numbered):
        new = {number for (number,) in connection.execute("SELECT number FROM signals WHERE number >= ?", (first,))}
        fresh = [number in new for number, _ in numbered]
    else:
        fresh = [True] * len(numbered)
    connection.executemany(
        "INSERT INTO deliveries (signal, destination, priority, state, since, reason, deadline, key, ends, quiet_until, delayed_until)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            row
            for (number, each), new in zip(numbered, fresh, strict=True)
            if new
            for row in _new_delivery(number, each)
        ],
    )
    for each, is_new in zip(arrivals, fresh, strict=True):
        if is_new and each.ends and each.key:
            acknowledgements.end_story(connection, each.key)
    return fresh


def insert(
    connection: sqlite3.Connection, arrivals: Sequence[Arrival], marks: Sequence[OutboxPosition]
) -> list[Arrival | None]:
    """Store new signals, and the positions of their outboxes. Returns each as it is stored; None for one that was stored before.

    Ids are unique per user: a signal with the id of another user's signal gets a fresh one.
    """
    fresh = append(connection, arrivals)
    stored = [each if new else _under_fresh_id(connection, each) for each, new in zip(arrivals, fresh, strict=True)]
    silences.count(connection, [each for each in stored if each is not None])
    connection.executemany(
        "INSERT INTO outboxes (id, uid, sequence, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id, uid) DO UPDATE SET sequence = max(sequence, excluded.sequence), at = excluded.at",
        [(mark.outbox, mark.uid, mark.sequence, mark.at) for mark in marks],
    )
    return stored


def _under_fresh_id(connection: sqlite3.Connection, arrival: Arrival) -> Arrival | None:
    (uid,) = connection.execute("SELECT uid FROM signals WHERE id = ?", (arrival.id,)).fetchone()
    if uid == arrival.uid or {uid, arrival.uid} <= {0, os.geteuid()}:
        return None
    id_ = new_id()
    body = _encode({**_decode(arrival.body), "id": id_})
    renamed = msgspec.structs.replace(arrival, id=id_, body=body)
    append(connection, [renamed])
    return renamed


def sequences(connection: sqlite3.Connection) -> dict[tuple[bytes, int], int]:
    """The positions up to which outboxes are imported, by id and owner."""
    rows = connection.execute("SELECT id, uid, sequence FROM outboxes")
    return {(id_, uid): sequence for id_, uid, sequence in rows}


def _next_number(connection: sqlite3.Connection) -> int:
    """The number that SQLite would give the next signal. It is known beforehand, so one statement stores a signal or a thousand."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'signals'").fetchone()
    return row[0] + 1 if row else 1


_Row = tuple[int, str, int, str, float, str | None, float | None, str | None, bool, float | None, float | None]


def _new_delivery(number: int, arrival: Arrival) -> Iterator[_Row]:
    """The rows of a signal's deliveries. Without a route there is one, and it is dead. Those of a silenced signal are settled."""
    accepted, deadline, priority, key = arrival.accepted + arrival.skew, arrival.deadline, arrival.priority, arrival.key
    ends = arrival.ends
    if arrival.silence is not None:
        state, reason = State.SILENCED.value, arrival.silence[1]
        for name in arrival.destinations or (UNROUTED,):
            yield number, name, priority, state, accepted, reason, deadline, key, ends, None, None
        return
    for name in arrival.destinations:
        if arrival.holds and (hold := arrival.holds.get(name)):
            until = (hold.until, None) if hold.is_quiet else (None, hold.until)
            yield number, name, priority, State.HELD.value, accepted, hold.reason, deadline, key, ends, *until
        else:
            yield number, name, priority, State.QUEUED.value, accepted, None, deadline, key, ends, None, None
    if not arrival.destinations:
        yield number, UNROUTED, priority, State.DEAD.value, accepted, NO_ROUTE, deadline, key, ends, None, None


def add_delivery(
    connection: sqlite3.Connection,
    signal: int | None,
    destination: str,
    priority: Priority,
    now: float,
    *,
    deadline: float | None = None,
    doubt: bool = False,
    key: str | None = None,
    hurried: bool = False,
    ends: bool = False,
    released: float | None = None,
    repeats: int = 0,
) -> bool:
    """A new delivery, queued; False when the destination had the signal before."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO deliveries"
        " (signal, destination, priority, state, since, deadline, doubt, key, hurried, ends, released, repeats)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (signal, destination, priority, now, deadline, doubt, key, hurried, ends, released, repeats),
    )
    return cursor.rowcount == 1


def feed(connection: sqlite3.Connection, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
    """The next queued deliveries after number `after`: digests first, then in order of acceptance."""
    return feed_where(connection, destination, priority, after, most, "")


def feed_where(  # noqa: PLR0917 - as `feed`
    connection: sqlite3.Connection,
    destination: str,
    priority: Priority,
    after: int,
    most: int,
    condition: str,
    *values: float | str,
) -> list[Delivery]:
    """As `feed`, of the deliveries `d` that meet a further condition; `values` are its parameters."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        f" WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.number > ? {condition} ORDER BY d.number LIMIT ?",
        (destination, priority, after, *values, most),
    )
    return [delivery_of(destination, priority, *row) for row in rows]


def delivery_of(  # noqa: PLR0917 - a row of COLUMNS, in their order
    destination: str,
    priority: Priority,
    number: int,
    order: int,
    deadline: float | None,
    attempts: int,
    first_try: float | None,
    doubt: int,
    unknowns: int,
    plain: int,
    released: float | None,
    repeats: int,
    retries: int,
    accepted: float,
    skew: float,
    body: bytes,
) -> Delivery:
    """The delivery of a row."""
    return Delivery(
        number=number,
        signal=Signal.trusted(_decode(body)),
        destination=destination,
        priority=priority,
        accepted=accepted,
        deadline=deadline,
        attempts=attempts,
        first_try=first_try,
        maybe_duplicate=bool(doubt),
        unknown_count=unknowns,
        plain_format=bool(plain),
        order=order,
        skew=skew,
        released=released,
        repeats=repeats,
        retries=retries,
    )
