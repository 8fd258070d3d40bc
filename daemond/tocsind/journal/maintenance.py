"""Jobs that change many deliveries at once: deadlines, commands of the operator, retention."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from math import inf

from tocsind.policy.delivery import State

from . import silences
from .attempts import to_next_fallback
from .elsewhere import IS_FOREIGN
from .queue import UNROUTED
from .records import Reroute

CHUNK = 500  # deliveries per job: a transaction stays short, and other jobs run between two
SHRINK_PAGES = 512  # pages per job: 2 MiB
EXPIRED_REASON = "its time passed before it could be sent"
EXPIRED_IN_DOUBT = "its time passed; an earlier attempt may have posted it"
DROPPED_REASON = "dropped by hand"


def next_deadline(connection: sqlite3.Connection, after: float = -inf) -> float | None:
    """The earliest deadline of all waiting deliveries that comes after this instant."""
    row = connection.execute(
        "SELECT min(deadline) FROM deliveries WHERE state IN ('queued', 'held') AND deadline IS NOT NULL AND deadline > ?",
        (after,),
    ).fetchone()
    earliest: float | None = row[0]
    return earliest


def expire(connection: sqlite3.Connection, now: float, among: Collection[int] | None = None) -> list[Reroute]:
    """Settle deliveries whose deadline passed; `among`: only these numbers."""
    only = "" if among is None else " AND d.number IN (SELECT value FROM json_each(?))"
    rows = connection.execute(
        "SELECT d.number, s.id, d.destination, d.doubt FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        f" WHERE d.state IN ('queued', 'held') AND d.deadline IS NOT NULL AND d.deadline <= ?{only} LIMIT ?",
        (now, *(() if among is None else (json.dumps(list(among)),)), CHUNK),
    ).fetchall()
    for number, _, _, doubt in rows:
        close(connection, number, State.EXPIRED, expired_reason(doubt=doubt), now)
    # the digest of quiet hours names what expired in them
    connection.executemany(
        "DELETE FROM unseen WHERE delivery = ?1 AND (SELECT quiet_until FROM deliveries WHERE number = ?1) IS NOT NULL",
        [(number,) for number, *_ in rows],
    )
    return [Reroute(id_, destination) for _, id_, destination, _ in rows]


def expired_reason(*, doubt: bool) -> str:
    """Why a delivery expired; with `doubt` it may have arrived all the same."""
    return EXPIRED_IN_DOUBT if doubt else EXPIRED_REASON


def close(connection: sqlite3.Connection, number: int, state: State, reason: str, now: float) -> None:
    """Settle a waiting or dead delivery without an attempt."""
    connection.execute(
        "UPDATE deliveries SET state = ?, reason = ?, since = ? WHERE number = ? AND state IN ('queued', 'held', 'dead')",
        (state.value, reason, now, number),
    )


_DROPPABLE = (
    f"signal = (SELECT number FROM signals WHERE id = ?) AND state IN ('queued', 'held', 'dead') AND NOT {IS_FOREIGN}"  # noqa: S608 - constant text
)


def droppable(connection: sqlite3.Connection, id_: str, host: str | None = None) -> dict[int, str]:
    """The deliveries that `drop` settles, unless a request for one is in flight: destination by number."""
    rows = connection.execute(f"SELECT number, destination FROM deliveries WHERE {_DROPPABLE}", (id_, host))  # noqa: S608 - constant text
    return dict(rows.fetchall())


def drop(
    connection: sqlite3.Connection, id_: str, now: float, host: str | None = None, among: Collection[int] | None = None
) -> int:
    """Settle the waiting and dead deliveries of one signal as dropped, but for those that another host than `host` accepted. `among`: only
    these numbers.
    """
    only = "" if among is None else " AND number IN (SELECT value FROM json_each(?))"
    return connection.execute(
        f"UPDATE deliveries SET state = 'dropped', reason = ?, since = ? WHERE {_DROPPABLE}{only}",  # noqa: S608 - constant text
        (DROPPED_REASON, now, id_, host, *(() if among is None else (json.dumps(list(among)),))),
    ).rowcount


_REQUEUED = (
    "state = 'queued', reason = 'put back by hand', since = ?, first_try = NULL, unknowns = 0, retries = retries"
    " + EXISTS (SELECT 1 FROM shared e WHERE e.delivery = deliveries.number AND e.stage = 'told')"
)


def retry_one(connection: sqlite3.Connection, id_: str, now: float, host: str | None = None) -> int:
    """Requeue the dead and unknown deliveries of one signal: the operator who names it accepts a duplicate. Not those that another host
    than `host` accepted.
    """
    return connection.execute(
        f"UPDATE deliveries SET {_REQUEUED} WHERE signal = (SELECT number FROM signals WHERE id = ?)"  # noqa: S608 - constant text
        f" AND state IN ('dead', 'unknown') AND destination <> ? AND NOT {IS_FOREIGN}",
        (now, id_, UNROUTED, host),
    ).rowcount


def retry_all(connection: sqlite3.Connection, destination: str | None, now: float, host: str | None = None) -> int:
    """Requeue a chunk of the dead deliveries, of one destination or of all, but for those that another host than `host` accepted."""
    return connection.execute(
        f"UPDATE deliveries SET {_REQUEUED} WHERE number IN"  # noqa: S608 - constant text
        " (SELECT number FROM deliveries WHERE state = 'dead' AND destination <> ?"
        f" AND destination = coalesce(?, destination) AND NOT {IS_FOREIGN} LIMIT ?)",
        (now, UNROUTED, destination, host, CHUNK),
    ).rowcount


def orphaned(connection: sqlite3.Connection, id_: str | None) -> list[tuple[int, bytes]]:
    """Deliveries without a route (of one signal, or a chunk of all): number and the signal's body."""
    return connection.execute(
        "SELECT d.number, s.body FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE d.state = 'dead' AND d.destination = ? AND s.id = coalesce(?, s.id) LIMIT ?",
        (UNROUTED, id_, CHUNK),
    ).fetchall()


def orphans(connection: sqlite3.Connection, destination: str, *, shares: bool) -> list[tuple[int, bytes]]:
    """A chunk of the waiting deliveries of a destination that no longer exists: number and the signal's body. Where hosts share an engine
    without those that it has: another host may send them.
    """
    return connection.execute(
        "SELECT d.number, s.body FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE d.destination = ? AND d.state = 'queued' AND NOT (? AND EXISTS"
        " (SELECT 1 FROM shared e WHERE e.delivery = d.number AND e.stage IN ('begun', 'waits'))) LIMIT ?",
        (destination, shares, CHUNK),
    ).fetchall()


def requeue_orphans(connection: sqlite3.Connection, homes: Mapping[int, Sequence[str]], now: float) -> int:
    """Queue them for the destinations that the present routes name."""
    for number, destinations in homes.items():
        for name in destinations:
            to_next_fallback(connection, number, [name], now)
        close(connection, number, State.REROUTED, f"to {', '.join(destinations)}: routed again", now)
    return len(homes)


# Its own, or those of its digest: until then its state is open. A digest is kept as long as its originals.
_ALL_SETTLED = (
    "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.signal = s.number AND (d.state IN ('held', 'queued', 'sending') OR EXISTS"
    " (SELECT 1 FROM deliveries t WHERE t.signal = d.digest AND t.state IN ('held', 'queued', 'sending'))))"
    " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.digest = s.number)"
)


def delete_old(connection: sqlite3.Connection, before: float) -> int:
    """Delete a chunk of signals that were accepted before then (steady clock) and have no open delivery, and give the space back."""
    numbers = connection.execute(
        f"SELECT number FROM signals s WHERE accepted + skew < ? AND {_ALL_SETTLED} LIMIT ?",  # noqa: S608 - constant text
        (before, CHUNK),
    ).fetchall()
    connection.executemany(
        "DELETE FROM attempts WHERE delivery IN (SELECT number FROM deliveries WHERE signal = ?)", numbers
    )
    connection.executemany("DELETE FROM deliveries WHERE signal = ?", numbers)
    connection.executemany("DELETE FROM acknowledged WHERE signal = ?", numbers)
    connection.executemany("DELETE FROM living WHERE newest = ?", numbers)
    connection.executemany("DELETE FROM signals WHERE number = ?", numbers)
    connection.execute("DELETE FROM outboxes WHERE at < ?", (before,))
    silences.delete_old(connection, before)
    connection.execute(
        "DELETE FROM acknowledged_stories WHERE newest <= (SELECT coalesce(min(number), 0) - 1 FROM signals)"
    )
    _shrink(connection)
    return len(numbers)


def _shrink(connection: sqlite3.Connection) -> None:
    """Cut free pages off the file, one at a time: the sqlite3 module steps a statement without columns only once."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free, SHRINK_PAGES)):
        connection.execute("PRAGMA incremental_vacuum(1)")
