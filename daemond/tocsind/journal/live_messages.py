"""Living messages, as far as the journal knows them: what waits of a key, what shows it, what it was told (policy.living decides).

Everything happens within jobs that others are: what a message will say is settled in the commit that claims its deliveries, and what it
says in the commit that settles them. So a crash leaves either the old truth or the new one, and between the two an attempt that says
whether it edits, and then nothing is in doubt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

import msgspec

from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.live_message import Line, LiveMessage, plan_update
from tocsind.policy.live_update import after, build, is_message_gone, line

from .queue import COLUMNS, delivery_of
from .records import SettledAttempt

MAX_TOGETHER = 500  # as many as a digest takes; what waits beyond is told by the next edit
UNSTORED_NUMBER = 2**62  # the order of a signal that is only looked at: after all that there are

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


def waiting(connection: sqlite3.Connection, destination: str, key: str) -> list[Delivery]:
    """What waits of a key, whatever its priority; the newest when there are too many."""
    rows = connection.execute(
        f"SELECT d.priority, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - our own text
        " WHERE d.destination = ? AND d.key = ? AND d.state = 'queued' ORDER BY d.signal DESC LIMIT ?",
        (destination, key, MAX_TOGETHER),
    )
    return [delivery_of(destination, Priority(priority), *row) for priority, *row in rows]


def updates(connection: sqlite3.Connection, claimed: Sequence[Delivery], key: str, about: str) -> list[Delivery]:
    """What was claimed of a key, in order of acceptance, each knowing what becomes of the message."""
    known, before = _known(connection, claimed[0].destination, key, about)
    return build(key, about, known, before, claimed)


def preview(connection: sqlite3.Connection, delivery: Delivery, about: str) -> Delivery:
    """A delivery that is not stored, told as it would be if it were: together with what waits of its key."""
    key = delivery.signal.key
    if not key:
        return delivery
    last = msgspec.structs.replace(delivery, order=UNSTORED_NUMBER)
    return updates(connection, [*waiting(connection, delivery.destination, key), last], key, about)[-1]


def save(connection: sqlite3.Connection, endings: Sequence[SettledAttempt]) -> None:
    """What became of a living message: `endings` are of one attempt."""
    telling = endings[0].delivery.update if endings else None
    if telling is None:
        return
    destination, settlements = endings[0].delivery.destination, [ending.settlement for ending in endings]
    if is_message_gone(settlements):
        connection.execute(
            "UPDATE living SET message = NULL WHERE destination = ? AND key = ?", (destination, telling.key)
        )
    known = after([ending.delivery for ending in endings], settlements)
    if known is not None and known.lines:
        _write(connection, destination, telling.key, telling.about, known)


def close_for_digest(connection: sqlite3.Connection, folded: Sequence[Delivery], about: str) -> None:
    """A digest told these; none of their keys has a message."""
    keyed = sorted((each for each in folded if each.signal.key), key=lambda each: (each.signal.key, each.order))
    for key, states in groupby(keyed, key=lambda delivery: delivery.signal.key):
        known, _ = _known(connection, folded[0].destination, key, about)
        _, then = plan_update(known, [line(delivery) for delivery in states], wakes=False, doubt=False)
        _write(connection, folded[0].destination, key, about, then)


def _known(
    connection: sqlite3.Connection, destination: str, key: str, about: str
) -> tuple[LiveMessage, Delivery | None]:
    """What is known of a key, and whose state it shows."""
    row = connection.execute(
        "SELECT message, lines, earlier, doubt, newest FROM living WHERE destination = ? AND key = ? AND about = ?",
        (destination, key, about),
    ).fetchone()
    if row is None:
        return LiveMessage(), None
    message, lines, earlier, doubt, newest = row
    return LiveMessage(message, _decode(lines), earlier, bool(doubt)), _delivery(connection, destination, newest)


def _delivery(connection: sqlite3.Connection, destination: str, signal: int) -> Delivery | None:
    row = connection.execute(
        f"SELECT d.priority, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - our own text
        " WHERE d.signal = ? AND d.destination = ?",
        (signal, destination),
    ).fetchone()
    return delivery_of(destination, Priority(row[0]), *row[1:]) if row else None


def _write(connection: sqlite3.Connection, destination: str, key: str, about: str, living: LiveMessage) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO living (destination, key, about, message, newest, lines, earlier, doubt)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            destination,
            key,
            about,
            living.message,
            living.lines[-1].order,
            _encode(living.lines),
            living.earlier,
            living.maybe_duplicate,
        ),
    )
