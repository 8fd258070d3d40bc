"""Jobs around an attempt: it is on record before the request leaves (`begin`), its outcome after (`settle`).

Between the two lies the only doubt there is. `replay` finds what an earlier run left there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from tocsind.policy.delivery import Delivery, Priority

from .intake import owe
from .records import Ending, LaneMemory, Moved

KEPT_REQUESTS = 30  # as many as the tightest window that is known (30 a minute in a Discord channel) can ask about
INTERRUPTED = "tocsind stopped before the answer came"


def begin(connection: sqlite3.Connection, batch: Sequence[Delivery], channel: str, now: float) -> list[Delivery]:
    """Claim what is still queued and in time, and open an attempt for each; the rest is not ours to send any more."""
    claimed = [mine for delivery in batch if (mine := _claim(connection, delivery, now))]
    if claimed:
        connection.execute("INSERT OR IGNORE INTO requests VALUES (?, ?)", (channel, now))
        connection.execute(
            "DELETE FROM requests WHERE channel = ?1 AND at <="
            " (SELECT at FROM requests WHERE channel = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)",
            (channel, KEPT_REQUESTS),
        )
    return claimed


def _claim(connection: sqlite3.Connection, delivery: Delivery, now: float) -> Delivery | None:
    """The delivery as the journal knows it, one attempt older: what memory held may be from before a retry by hand."""
    rows = connection.execute(
        "UPDATE deliveries SET state = 'sending', since = ?1, attempts = attempts + 1, first_try = coalesce(first_try, ?1)"
        " WHERE number = ?2 AND state = 'queued' AND (deadline IS NULL OR deadline > ?1)"
        " RETURNING attempts, first_try, doubt, unknowns",
        (now, delivery.number),
    ).fetchall()
    if not rows:
        return None
    ((attempts, first_try, doubt, unknowns),) = rows
    connection.execute(
        "INSERT INTO attempts (delivery, number, started) VALUES (?, ?, ?)", (delivery.number, attempts, now)
    )
    return msgspec.structs.replace(
        delivery, attempts=attempts, first_try=first_try, doubt=bool(doubt), unknowns=unknowns
    )


def requests(connection: sqlite3.Connection, channel: str) -> list[float]:
    """When this channel was last asked, oldest first."""
    rows = connection.execute("SELECT at FROM requests WHERE channel = ? ORDER BY at", (channel,))
    return [at for (at,) in rows]


def settle(
    connection: sqlite3.Connection, endings: Sequence[Ending], now: float, memory: LaneMemory | None
) -> list[Moved]:
    """Write the outcomes down, with what the lane learned from them. What also goes to a fallback is answered."""
    for ending in endings:
        _settle_one(connection, ending, now)
    if memory is not None:
        remember(connection, memory)
    return [moved for ending in endings if ending.settlement.elsewhere for moved in _elsewhere(connection, ending, now)]


def _settle_one(connection: sqlite3.Connection, ending: Ending, now: float) -> None:
    delivery, settlement = ending.delivery, ending.settlement
    connection.execute(
        "UPDATE deliveries SET state = ?, since = ?, reason = ?, doubt = ?, unknowns = ?, message = ? WHERE number = ?",
        (
            settlement.state.value,
            now,
            settlement.reason,
            settlement.doubt,
            settlement.unknowns,
            settlement.message,
            delivery.number,
        ),
    )
    connection.execute(
        "UPDATE attempts SET ended = ?, outcome = ?, reason = ? WHERE delivery = ? AND number = ?",
        (now, ending.outcome, settlement.reason, delivery.number, delivery.attempts),
    )


def _elsewhere(connection: sqlite3.Connection, ending: Ending, now: float) -> list[Moved]:
    delivery = ending.delivery
    fallback = hand_on(connection, delivery.number, ending.chain, now)
    return [Moved(delivery.id, delivery.destination, fallback)] if fallback else []


def hand_on(connection: sqlite3.Connection, number: int, chain: Sequence[str], now: float) -> str | None:
    """Owe the delivery's signal, and its doubt, to the first destination of the chain that has not had it; None when all have."""
    row = connection.execute(
        "SELECT signal, priority, deadline, doubt FROM deliveries WHERE number = ?", (number,)
    ).fetchone()
    if row is None:  # forgotten meanwhile
        return None
    signal, priority, deadline, doubt = row
    for name in chain:
        if owe(connection, signal, name, Priority(priority), now, deadline=deadline, doubt=bool(doubt)):
            return name
    return None


def replay(connection: sqlite3.Connection, now: float) -> int:
    """Put back what was in flight when the last run ended, in doubt, whatever its priority: a crash, unlike a timeout, may well have
    come before the request left.
    """
    connection.execute(
        "UPDATE attempts SET ended = ?, outcome = 'unknown', reason = ? WHERE ended IS NULL"
        " AND delivery IN (SELECT number FROM deliveries WHERE state = 'sending')",
        (now, INTERRUPTED),
    )
    cursor = connection.execute(
        "UPDATE deliveries SET state = 'queued', since = ?, reason = ?, doubt = 1 WHERE state = 'sending'",
        (now, INTERRUPTED),
    )
    return cursor.rowcount


def remember(connection: sqlite3.Connection, memory: LaneMemory) -> None:
    """What a lane must know after a restart."""
    names = ", ".join(memory.__struct_fields__)
    marks = ", ".join("?" * len(memory.__struct_fields__))
    connection.execute(f"INSERT OR REPLACE INTO lanes ({names}) VALUES ({marks})", msgspec.structs.astuple(memory))  # noqa: S608 - our own field names


def recall(connection: sqlite3.Connection, destination: str) -> LaneMemory:
    """What was remembered of a lane; a fresh one otherwise."""
    names = LaneMemory.__struct_fields__
    row = connection.execute(f"SELECT {', '.join(names)} FROM lanes WHERE destination = ?", (destination,)).fetchone()  # noqa: S608 - as above
    return LaneMemory(*row) if row else LaneMemory(destination)
