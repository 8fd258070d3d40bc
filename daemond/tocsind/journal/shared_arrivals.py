"""Jobs that queue the deliveries which other hosts handed over: each once, marked where it may have been sent."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence

import msgspec

from tocsin.ids import new_id
from tocsind.policy.delivery import Priority

from . import shared_view
from .epochs import UNKNOWN
from .shared import Here
from .shared_view import OPEN_STATES


class Arriving(msgspec.Struct, frozen=True):
    """A delivery that the engine has. Instants are on this host's steady clock. `attempted`: a host may have sent it, and did not say;
    `lapsed`: and what the engine knew of that is lost.
    """

    id: str
    origin: str
    signal: str
    body: bytes
    priority: int
    accepted: float
    skew: float
    deadline: float | None
    key: str | None
    ends: bool
    raw: bool
    attempted: bool
    lapsed: bool = False
    repeats: int = 0
    is_again: bool = False  # a repetition, or requeued by the operator of its host
    attempted_by: str = ""  # the host that noted the attempt, where it is known


def take_in(
    connection: sqlite3.Connection,
    here: Here,
    arriving: Sequence[Arriving],
    now: float,
    *,
    epoch: str,
    sent_alone: bool,
) -> tuple[set[Priority], bool]:
    """Queue deliveries that other hosts accepted, once, and mark those that a host may have sent. Returns the priorities of the new ones,
    and whether a returned one was queued again.

    `sent_alone`: no other host has sent since this one began, so no delivery that waits here since then has lapsed.
    """
    known = [_again(connection, here, each, now, is_known=sent_alone) for each in arriving]
    for each, is_queued_again in zip(arriving, known, strict=True):
        if is_queued_again is None:
            _insert(connection, here, each, now)
    connection.execute(
        "UPDATE shared SET epoch = ? WHERE origin <> ? AND id IN (SELECT value FROM json_each(?))",
        (epoch, here.host, json.dumps([each.id for each in arriving])),
    )
    shared_view.note_attempts(connection, {each.id: each.attempted_by for each in arriving if each.attempted_by})
    new = {Priority(each.priority) for each, known_before in zip(arriving, known, strict=True) if known_before is None}
    return new, any(known)


def _again(connection: sqlite3.Connection, here: Here, each: Arriving, now: float, *, is_known: bool) -> bool | None:
    """Update a delivery that was here before. Whether it was queued again; None: it was not here."""
    row = connection.execute("SELECT delivery, stage FROM shared WHERE id = ?", (each.id,)).fetchone()
    if row is None and each.origin == here.host:
        row = _own(connection, here, each, now)
    if row is None:
        return _queue_again(connection, each, now) if each.is_again else None
    number, stage = row
    if each.attempted or (each.lapsed and not (is_known and stage == "waits")):
        connection.execute(
            "UPDATE deliveries SET doubt = 1 WHERE number = ? AND state IN ('queued', 'rerouted')", (number,)
        )
    if stage == "returned":
        connection.execute(
            "UPDATE deliveries SET state = 'queued', reason = ?, since = ? WHERE number = ? AND state = 'rerouted'",
            (_accepted_by(each), now, number),
        )
    connection.execute("UPDATE shared SET stage = 'waits' WHERE id = ?", (each.id,))
    return bool(stage == "returned")


def _queue_again(connection: sqlite3.Connection, each: Arriving, now: float) -> bool | None:
    """Continue with the delivery of which this is a repetition or retry. True: it ended here; None: it was not here."""
    base = each.id.rpartition("/")[0]
    row = connection.execute(
        f"SELECT e.delivery FROM shared e JOIN deliveries d ON d.number = e.delivery WHERE d.state NOT IN {OPEN_STATES}"  # noqa: S608 - constant text
        " AND (e.id = ?1 OR (e.id > ?1 || '/' AND e.id < ?1 || '0'))",
        (base,),
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "UPDATE deliveries SET state = 'queued', reason = ?1, since = ?2, released = ?2, first_try = NULL, unknowns = 0, repeats = ?3,"
        " doubt = ?4 WHERE number = ?5",
        (_accepted_by(each), now, each.repeats, each.attempted or each.lapsed, row[0]),
    )
    connection.execute(
        "UPDATE shared SET id = ?, stage = 'waits', since = ? WHERE delivery = ?", (each.id, now, row[0])
    )
    return True


def _accepted_by(each: Arriving) -> str:
    return f"accepted by {each.origin}"


def _own(connection: sqlite3.Connection, here: Here, each: Arriving, now: float) -> tuple[int, str] | None:
    """This host's delivery of an item that it handed over, when its row is missing."""
    row = connection.execute(
        "SELECT d.number FROM deliveries d JOIN signals s ON s.number = d.signal WHERE s.id = ? AND d.destination = ?",
        (each.signal, here.destination),
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "INSERT OR IGNORE INTO shared (delivery, id, target, origin, stage, since, epoch) VALUES (?, ?, ?, ?, 'waits', ?, ?)",
        (row[0], each.id, here.target, each.origin, now, UNKNOWN),
    )
    return row[0], "waits"


def _insert(connection: sqlite3.Connection, here: Here, each: Arriving, now: float) -> None:
    signal = _signal(connection, each, each.signal) or _known(connection, each)
    number = signal and _queue(connection, here, each, signal, now)
    if not number:  # another signal has this id, or a second destination of its host leads to this one
        signal = _signal(connection, each, new_id())
        assert signal, "an id that was just made is free"
        number = _queue(connection, here, each, signal, now)
    connection.execute(
        "INSERT INTO shared (delivery, id, target, origin, stage, since) VALUES (?, ?, ?, ?, 'waits', ?)",
        (number, each.id, here.target, each.origin, now),
    )


def _queue(connection: sqlite3.Connection, here: Here, each: Arriving, signal: int, now: float) -> int | None:
    cursor = connection.execute(
        "INSERT OR IGNORE INTO deliveries (signal, destination, priority, state, since, reason, deadline, key, ends, doubt, repeats)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
        (
            signal,
            here.destination,
            each.priority,
            now,
            _accepted_by(each),
            each.deadline,
            each.key,
            each.ends,
            each.attempted or each.lapsed,
            each.repeats,
        ),
    )
    return cursor.lastrowid if cursor.rowcount == 1 else None


def _signal(connection: sqlite3.Connection, each: Arriving, id_: str) -> int | None:
    """The number of the stored signal; None when its id is taken."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO signals (id, accepted, uid, pid, body, skew, raw) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id_, each.accepted, os.geteuid(), os.getpid(), each.body, each.skew, each.raw),
    )
    return cursor.lastrowid if cursor.rowcount == 1 else None


def _known(connection: sqlite3.Connection, each: Arriving) -> int | None:
    """The number of the signal when it came from the same host before, for another destination."""
    row = connection.execute(
        "SELECT d.signal FROM deliveries d JOIN shared e ON e.delivery = d.number JOIN signals s ON s.number = d.signal"
        " WHERE s.id = ? AND e.origin = ?",
        (each.signal, each.origin),
    ).fetchone()
    return row[0] if row else None
