"""Live messages in the journal: the waiting deliveries of a key, its message, and the states that it shows (`policy.live_message` decides).

All of this happens within other jobs. The commit that claims the deliveries fixes what the message will show; the commit that settles them
records what it shows. So a crash leaves either the old or the new state. Between the two there is an attempt that says whether it edits,
and an edit is never ambiguous.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

import msgspec

from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.live_message import Editing, Line, LiveMessage, plan_update
from tocsind.policy.live_update import after, build, is_message_gone, line

from .queue import COLUMNS, delivery_of
from .records import SettledAttempt

MAX_TOGETHER = 500  # deliveries, as many as in a digest; the next update shows the rest
UNSTORED_NUMBER = 2**62  # the order of a signal that is not stored (preview): after all others

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


def waiting(connection: sqlite3.Connection, destination: str, key: str) -> list[Delivery]:
    """The waiting deliveries of a key, whatever their priority; the newest when there are too many."""
    rows = connection.execute(
        f"SELECT d.priority, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " WHERE d.destination = ? AND d.key = ? AND d.state = 'queued' ORDER BY d.signal DESC LIMIT ?",
        (destination, key, MAX_TOGETHER),
    )
    return [delivery_of(destination, Priority(priority), *row) for priority, *row in rows]


def updates(
    connection: sqlite3.Connection, claimed: Sequence[Delivery], key: str, about: str, editing: Editing = Editing.SILENT
) -> list[Delivery]:
    """The claimed deliveries of a key, in order of acceptance, each with the update of the message."""
    known, before = _known(connection, claimed[0].destination, key, about)
    return build(key, about, known, before, claimed, editing=editing)


def preview(
    connection: sqlite3.Connection, delivery: Delivery, about: str, editing: Editing = Editing.SILENT
) -> Delivery:
    """A delivery that is not stored, with the update that it would get, together with the waiting ones of its key."""
    key = delivery.signal.key
    if not key:
        return delivery
    last = msgspec.structs.replace(delivery, order=UNSTORED_NUMBER)
    return updates(connection, [*waiting(connection, delivery.destination, key), last], key, about, editing)[-1]


def save(connection: sqlite3.Connection, settled: Sequence[SettledAttempt]) -> None:
    """Record the result of an update. `settled` are of one attempt."""
    update = settled[0].delivery.update if settled else None
    if update is None:
        return
    destination, settlements = settled[0].delivery.destination, [attempt.settlement for attempt in settled]
    if is_message_gone(settlements):
        connection.execute(
            "UPDATE living SET message = NULL WHERE destination = ? AND key = ?", (destination, update.key)
        )
    known = after([attempt.delivery for attempt in settled], settlements)
    if known is not None and known.lines:
        _write(connection, destination, update.key, update.about, known)


def close_for_digest(connection: sqlite3.Connection, originals: Sequence[Delivery], about: str) -> None:
    """A digest replaces these deliveries. None of their keys has a message."""
    keyed = sorted((each for each in originals if each.signal.key), key=lambda each: (each.signal.key, each.order))
    for key, states in groupby(keyed, key=lambda delivery: delivery.signal.key):
        known, _ = _known(connection, originals[0].destination, key, about)
        _, then = plan_update(known, [line(delivery) for delivery in states], wakes=False, doubt=False)
        _write(connection, originals[0].destination, key, about, then)


def _known(
    connection: sqlite3.Connection, destination: str, key: str, about: str
) -> tuple[LiveMessage, Delivery | None]:
    """What is known of a key, and the delivery whose state its message shows."""
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
        f"SELECT d.priority, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " WHERE d.signal = ? AND d.destination = ?",
        (signal, destination),
    ).fetchone()
    return delivery_of(destination, Priority(row[0]), *row[1:]) if row else None


def _write(connection: sqlite3.Connection, destination: str, key: str, about: str, live_message: LiveMessage) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO living (destination, key, about, message, newest, lines, earlier, doubt)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            destination,
            key,
            about,
            live_message.message,
            live_message.lines[-1].order,
            _encode(live_message.lines),
            live_message.earlier,
            live_message.maybe_duplicate,
        ),
    )
