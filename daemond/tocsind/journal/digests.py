"""Jobs that tell many deliveries in sum: too many to be told one by one in time, so one signal, the digest, goes in their place.

A digest is a signal like any other, ours, and fares like any other. What is special about it stands here:

    its place     first in its priority's queue, digests among themselves in the order in which they were made. A queue is read by number,
                  so the digest's delivery has one below zero: that of its signal, which never comes again, less `BELOW`. A copy of
                  it at a fallback is numbered, and waits there, as any other copy
    its like      a digest is never told by another (`signals.stands_for` tells them apart)
    a key         that has a message is not told in sum, or the message would go on showing what is no longer so. One that has none may
                  be, and it is remembered what was told, so that an earlier state that comes later finds its place
    its originals are settled in the commit that queues it, and point to it (`deliveries.digest`). How they fare is asked of the digest
                  (reading); the message it went out in is theirs too (attempts); it is forgotten after the last of them (upkeep)
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
MAX_IN_DIGEST = 500  # 7 ms, measured, and a hand-off waits behind it
BELOW = 2**40

_encode = msgspec.msgpack.Encoder().encode


def make_digest(  # noqa: PLR0917 - a queue, and what to do with its head
    connection: sqlite3.Connection,
    destination: str,
    priority: Priority,
    most: int,
    now: float,
    tell: Callable[[Sequence[Delivery]], Signal],
    about: str | None = None,
) -> DigestResult | None:
    """Tell the oldest queued deliveries in sum; None when fewer than two can be. `tell` makes the digest's signal of them; `about` is
    which far end has living messages.

    At most `MOST_FOLDED` at a time: ask again while there are more.
    """
    folded = _oldest_queued(connection, destination, priority, min(most, MAX_IN_DIGEST))
    if len(folded) < 2:
        return None
    digest = tell(folded)
    cursor = connection.execute(
        "INSERT INTO signals (id, accepted, uid, pid, body, stands_for) VALUES (?, ?, ?, ?, ?, ?)",
        (digest.id, now, os.getuid(), os.getpid(), _encode(digest.as_dict()), len(folded)),
    )
    signal = cursor.lastrowid
    assert signal is not None, "an INSERT has a row"
    connection.execute(
        "INSERT INTO deliveries (number, signal, destination, priority, state, since) VALUES (?, ?, ?, ?, 'queued', ?)",
        (signal - BELOW, signal, destination, priority, now),
    )
    _settle(connection, folded, digest, signal, now)
    if about:
        live_messages.close_for_digest(connection, folded, about)
    return DigestResult(digest.id, signal - BELOW, tuple(delivery.id for delivery in folded))


def _oldest_queued(connection: sqlite3.Connection, destination: str, priority: Priority, most: int) -> list[Delivery]:
    """What has a deadline is told live or not at all: nobody knows when a digest goes out."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - our own text
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.deadline IS NULL"
        " AND s.stands_for IS NULL AND NOT EXISTS (SELECT 1 FROM living l"
        " WHERE l.destination = d.destination AND l.key = d.key AND l.message IS NOT NULL)"
        " ORDER BY d.number LIMIT ?",
        (destination, priority, most),
    )
    return [delivery_of(destination, priority, *row) for row in rows]


def _settle(
    connection: sqlite3.Connection, folded: Sequence[Delivery], digest: Signal, signal: int, now: float
) -> None:
    connection.execute(
        "UPDATE deliveries SET state = 'digested', since = ?, reason = ?, digest = ?"
        " WHERE number IN (SELECT value FROM json_each(?))",
        (now, f"told in sum by digest {digest.id}", signal, json.dumps([delivery.number for delivery in folded])),
    )


def replaced_by(connection: sqlite3.Connection, id_: str) -> str | None:
    """What a person should know who wants to put this signal back, or drop it: that it is told in sum, and which signal to name."""
    rows = connection.execute(
        "SELECT d.destination, t.id FROM deliveries d JOIN signals t ON t.number = d.digest"
        " WHERE d.signal = (SELECT number FROM signals WHERE id = ?) ORDER BY d.number",
        (id_,),
    ).fetchall()
    told = [f"{name} is told of it by digest {digest}" for name, digest in rows]
    return f"{'; '.join(told)}: name the digest to put it back or to drop it, with all it stands for" if told else None
