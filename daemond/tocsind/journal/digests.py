"""Jobs for digests: when too many deliveries wait, one signal of the daemon, the digest, replaces many of them.

A digest is a signal like any other. What is special about it:

    its place     first in its priority's queue; several digests in the order in which they were made. A queue is read by number, so
                  the digest's delivery has a negative one: the number of its signal, which is never used again, less `BELOW`. A copy
                  at a fallback is numbered, and waits there, like any other
    raw messages  are never digested: they go as they are (rendering.raw)
    nesting       a digest never replaces another one (`signals.stands_for` tells them apart)
    live messages a key that has a message is not digested, or the message would go on showing an old state. A key without one may be; the
                  journal keeps the states, so that an earlier state that comes later gets its place
    its originals are settled in the commit that queues it, and point to it (`deliveries.digest`). Their state follows from the digest's
                  (queries); its message is theirs too (attempts); retention deletes it after the last of them (maintenance)
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority

from . import live_messages
from .queue import COLUMNS, delivery_of
from .records import DigestResult

FIRST = -(2**62)  # where a feeder's cursor begins: below the numbers of all digests
MAX_IN_DIGEST = 500  # deliveries; takes 7 ms, measured, and a hand-off waits for so long
BELOW = 2**40

_encode = msgspec.msgpack.Encoder().encode


def make_digest(  # noqa: PLR0917 - a queue, and what to do with its head
    connection: sqlite3.Connection,
    destination: str,
    priority: Priority,
    most: int,
    now: float,
    make_signal: Callable[[Sequence[Delivery]], Signal],
    about: str | None = None,
) -> DigestResult | None:
    """Replace the oldest queued deliveries by a digest; None when fewer than two can be replaced.

    `tell` makes the digest's signal of them. `about` is the hash of the webhook that holds the live messages. At most MAX_IN_DIGEST are
    replaced at a time: call again while there are more.
    """
    originals = _oldest_queued(connection, destination, priority, min(most, MAX_IN_DIGEST))
    if len(originals) < 2:
        return None
    digest = make_signal(originals)
    cursor = connection.execute(
        "INSERT INTO signals (id, accepted, uid, pid, body, stands_for) VALUES (?, ?, ?, ?, ?, ?)",
        (digest.id, now, os.getuid(), os.getpid(), _encode(digest.as_dict()), len(originals)),
    )
    signal = cursor.lastrowid
    assert signal is not None, "an INSERT has a row"
    connection.execute(
        "INSERT INTO deliveries (number, signal, destination, priority, state, since) VALUES (?, ?, ?, ?, 'queued', ?)",
        (signal - BELOW, signal, destination, priority, now),
    )
    _settle(connection, originals, digest, signal, now)
    if about:
        live_messages.close_for_digest(connection, originals, about)
    return DigestResult(digest.id, signal - BELOW, tuple(delivery.id for delivery in originals))


def _oldest_queued(connection: sqlite3.Connection, destination: str, priority: Priority, most: int) -> list[Delivery]:
    """Deliveries without a deadline only: the time at which a digest leaves is not known, and one with a deadline is sent live or not at
    all.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.deadline IS NULL"
        " AND s.stands_for IS NULL AND NOT s.raw AND NOT EXISTS (SELECT 1 FROM living l"
        " WHERE l.destination = d.destination AND l.key = d.key AND l.message IS NOT NULL)"
        " ORDER BY d.number LIMIT ?",
        (destination, priority, most),
    )
    return [delivery_of(destination, priority, *row) for row in rows]


def _settle(
    connection: sqlite3.Connection, originals: Sequence[Delivery], digest: Signal, signal: int, now: float
) -> None:
    connection.execute(
        "UPDATE deliveries SET state = 'digested', since = ?, reason = ?, digest = ?"
        " WHERE number IN (SELECT value FROM json_each(?))",
        (now, f"replaced by digest {digest.id}", signal, json.dumps([delivery.number for delivery in originals])),
    )


def replaced_by(connection: sqlite3.Connection, id_: str) -> str | None:
    """What `retry` and `drop` answer for a digested signal: that a digest replaces it, and which one."""
    rows = connection.execute(
        "SELECT d.destination, t.id FROM deliveries d JOIN signals t ON t.number = d.digest"
        " WHERE d.signal = (SELECT number FROM signals WHERE id = ?) ORDER BY d.number",
        (id_,),
    ).fetchall()
    digests = [f"digest {digest} replaces it at {name}" for name, digest in rows]
    return (
        f"{'; '.join(digests)}: name the digest to requeue or drop it, with all that it stands for" if digests else None
    )
