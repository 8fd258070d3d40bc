"""Jobs for deliveries that several hosts share: which the engine has, which another host accepted, and how they ended here.

The table `shared` has a row for each delivery that the engine may know. Its `stage`:

    begun      this host began an attempt before it handed the delivery over
    waits      the engine has it
    withdrawn  this host has taken it back, and the engine does not know
    told       it ended, and the engine knows; or the engine does not have it any more
    returned   it came from another host, and this one no longer sends for that destination

`origin` is the host that accepted it. Rows stay until retention has deleted their delivery: what ended here is never sent again, even when
an engine that lost its memory gets it once more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

import msgspec

from tocsind.policy.delivery import Delivery, Priority

from . import limiter_state, shared_view
from .queue import COLUMNS, delivery_of
from .shared_view import OPEN_STATES

HANDED_OVER = "handed over to the hosts that share this destination"
PERHAPS_HANDED_OVER = "perhaps handed over: the engine did not answer"
RETURNED = "returned to the engine: another host sends for this destination"
WITHDRAWN = "its host has withdrawn it"
MAX_ROWS = 200


class Here(msgspec.Struct, frozen=True):
    """This host, one of its destinations, and the target that it leads to."""

    host: str
    target: str
    destination: str


class Leaving(msgspec.Struct, frozen=True):
    """A delivery of this host that the engine does not have yet, with the data that another host needs to send it."""

    delivery: Delivery
    key: str | None
    ends: bool
    raw: bool
    epoch: str | None = None  # in which it was handed over before


class Known(msgspec.Struct, frozen=True):
    """A delivery in an attempt of this host: its id over all hosts, whether another host accepted it, and whether it may have arrived in
    this attempt or an earlier one.
    """

    id: str
    is_foreign: bool
    is_doubtful: bool


class Ended(msgspec.Struct, frozen=True):
    """A shared delivery that has ended here."""

    id: str
    origin: str
    state: str
    reason: str | None
    message: str | None
    sender: str = ""
    tries: Sequence[shared_view.Try] = ()
    doubt: bool = False
    note: str | None = None
    covered: bool = False  # a fallback of the host where it ended has told it


def leaving(
    connection: sqlite3.Connection, here: Here, after: Mapping[Priority, int], most: int, *, digests: bool
) -> list[Leaving]:
    """The next queued deliveries that the engine does not know, URGENT first: of each priority those after number `after`. A host that
    sends keeps its digests: it may have handed over the signals in them.
    """
    found: list[Leaving] = []
    for priority, number in after.items():
        if len(found) < most:
            found += _leaving(connection, here, priority, number, most - len(found), digests=digests)
    return found


def _leaving(
    connection: sqlite3.Connection, here: Here, priority: Priority, after: int, most: int, *, digests: bool
) -> list[Leaving]:
    rows = connection.execute(
        f"SELECT d.key, d.ends, s.raw, e.epoch, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " LEFT JOIN shared e ON e.delivery = d.number"
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.number > ? AND (s.stands_for IS NULL OR ?)"
        " AND (e.delivery IS NULL OR (e.stage IN ('begun', 'told') AND e.origin = ?)) ORDER BY d.number LIMIT ?",
        (here.destination, priority, after, digests, here.host, most),
    ).fetchall()
    return [
        Leaving(delivery_of(here.destination, priority, *row), key, bool(ends), bool(raw), epoch)
        for key, ends, raw, epoch, *row in rows
    ]


def handed_over(
    connection: sqlite3.Connection, here: Here, handed: Mapping[int, str], now: float, *, epoch: str, surely: bool
) -> None:
    """The engine has these deliveries of this host, by number, since this epoch or an earlier one; or may have them: it did not answer."""
    stage = "waits" if surely else "begun"
    connection.executemany(
        "INSERT INTO shared (delivery, id, target, origin, stage, since, epoch) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (delivery) DO UPDATE SET id = excluded.id, stage = excluded.stage, epoch = coalesce(epoch, excluded.epoch)",
        [(number, id_, here.target, here.host, stage, now, epoch) for number, id_ in handed.items()],
    )
    connection.executemany(
        "UPDATE deliveries SET reason = ? WHERE number = ? AND state = 'queued' AND (reason IS NULL OR reason = ?)",
        [(HANDED_OVER if surely else PERHAPS_HANDED_OVER, number, PERHAPS_HANDED_OVER) for number in handed],
    )


def begun(connection: sqlite3.Connection, here: Here, mine: Mapping[int, str], now: float) -> list[Known]:
    """Deliveries of this host or others, by number, in one attempt, and those for which a digest among them stands."""
    connection.executemany(
        "INSERT INTO shared (delivery, id, target, origin, stage, since) VALUES (?, ?, ?, ?, 'begun', ?) ON CONFLICT (delivery)"
        " DO UPDATE SET id = excluded.id, stage = 'begun' WHERE origin = excluded.origin AND id <> excluded.id",  # a repetition
        [(number, id_, here.target, here.host, now) for number, id_ in mine.items()],
    )
    rows = connection.execute(
        "SELECT e.id, e.origin <> ?1, d.doubt FROM shared e JOIN deliveries d ON d.number = e.delivery"
        " WHERE e.delivery IN (SELECT value FROM json_each(?2)) UNION ALL"
        " SELECT e.id, e.origin <> ?1, d.doubt OR g.doubt FROM deliveries g JOIN deliveries d ON d.digest = g.signal"
        " AND d.state = 'digested' JOIN shared e ON e.delivery = d.number AND e.stage IN ('begun', 'waits')"
        " WHERE g.number IN (SELECT value FROM json_each(?2)) AND g.number < 0",
        (here.host, json.dumps(list(mine))),
    )
    return [Known(id_, bool(foreign), bool(doubt)) for id_, foreign, doubt in rows]


def ended(connection: sqlite3.Connection, target: str, among: Sequence[int] | None = None) -> list[Ended]:
    """Deliveries that ended here and that the engine still has; `among`: only of those with these numbers. A rerouted delivery ends with
    its fallback, a digested one with its digest. At most MAX_ROWS.
    """
    only = "" if among is None else " AND e.delivery IN (SELECT value FROM json_each(?))"
    rows = connection.execute(
        "SELECT e.id, e.origin, coalesce(d.state, 'dropped'), d.reason, d.message, e.delivery, coalesce(d.doubt, 0), e.note,"  # noqa: S608, RUF100 - constant text
        " EXISTS (SELECT 1 FROM deliveries o WHERE o.signal = d.signal AND o.number > d.number AND o.state = 'sent')"
        " FROM shared e LEFT JOIN deliveries d ON d.number = e.delivery"
        " WHERE e.target = ? AND e.stage IN ('begun', 'waits', 'withdrawn') "
        f" AND (d.state IS NULL OR d.state NOT IN {OPEN_STATES})"
        " AND NOT (coalesce(d.state, '') = 'digested' AND EXISTS"
        f" (SELECT 1 FROM deliveries g WHERE g.signal = d.digest AND g.state IN {OPEN_STATES}))"
        " AND NOT (e.stage <> 'withdrawn' AND coalesce(d.state, '') IN ('rerouted', 'dead', 'unknown') AND EXISTS"
        f" (SELECT 1 FROM deliveries o WHERE o.signal = d.signal AND o.number > d.number AND o.state IN {OPEN_STATES}))"
        f"{only} LIMIT {MAX_ROWS}",
        (target,) if among is None else (target, json.dumps(list(among))),
    )
    return [
        Ended(
            id_,
            origin,
            state,
            reason,
            message,
            tries=shared_view.tries(connection, number),
            doubt=bool(doubt),
            note=note,
            covered=bool(covered),
        )
        for id_, origin, state, reason, message, number, doubt, note, covered in rows.fetchall()
    ]


def told(connection: sqlite3.Connection, ids: Collection[str]) -> None:
    """The engine no longer has these: they have ended, or this host has taken them back."""
    connection.execute(
        "UPDATE shared SET stage = 'told' WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
    )


def unclaim(
    connection: sqlite3.Connection, claimed: Sequence[Delivery], destination: str, gone: Collection[str], now: float
) -> None:
    """Undo `begin`: the attempt was not made. Those in `gone` (ids) the engine does not have any more; a digest that stands for one of them
    is dissolved.
    """
    numbers = json.dumps([delivery.number for delivery in claimed])
    connection.execute(
        "DELETE FROM attempts WHERE ended IS NULL AND delivery IN (SELECT value FROM json_each(?))", (numbers,)
    )
    connection.execute(
        "UPDATE deliveries SET state = 'queued', attempts = attempts - 1"
        " WHERE state = 'sending' AND number IN (SELECT value FROM json_each(?))",
        (numbers,),
    )
    limiter_state.cancel_request(connection, destination)
    for delivery in claimed:
        if gone and delivery.is_digest:
            _dissolve(connection, destination, delivery.order, now)
    connection.execute(
        "UPDATE deliveries SET state = 'rerouted', reason = ? WHERE state = 'queued'"
        " AND number IN (SELECT delivery FROM shared WHERE id IN (SELECT value FROM json_each(?)))",
        (WITHDRAWN, json.dumps(list(gone))),
    )
    connection.execute(
        "UPDATE shared SET stage = 'returned' WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(gone)),)
    )


def return_foreign(connection: sqlite3.Connection, here: Here, now: float) -> int:
    """Another host sends for this destination now: return the deliveries of other hosts and those in queued digests. Returns how many."""
    for digest in _digests_of_shared(connection, here.destination):
        _dissolve(connection, here.destination, digest, now)
    return return_of_others(connection, here, now)


def return_digested(connection: sqlite3.Connection, here: Here, now: float) -> bool:
    """As `return_foreign`, for a digest that was queued when this host had just lost the lease. Whether there was one."""
    found = bool(_digests_of_shared(connection, here.destination))
    if found:
        return_foreign(connection, here, now)
    return found


def _digests_of_shared(connection: sqlite3.Connection, destination: str) -> list[int]:
    """The signals of queued digests that stand for deliveries which the engine has."""
    rows = connection.execute(
        "SELECT signal FROM deliveries g WHERE destination = ? AND state = 'queued' AND number < 0 AND EXISTS"
        " (SELECT 1 FROM deliveries d JOIN shared e ON e.delivery = d.number"
        " WHERE d.digest = g.signal AND d.state = 'digested' AND e.stage IN ('begun', 'waits'))",
        (destination,),
    )
    return [signal for (signal,) in rows]


def return_of_others(connection: sqlite3.Connection, here: Here, now: float) -> int:
    """Return the deliveries that other hosts accepted. Returns how many."""
    numbers = connection.execute(
        "UPDATE deliveries SET state = 'rerouted', reason = ?, since = ? WHERE state IN ('queued', 'held')"
        " AND destination = ? AND number IN (SELECT delivery FROM shared WHERE target = ? AND origin <> ?) RETURNING number",
        (RETURNED, now, here.destination, here.target, here.host),
    ).fetchall()
    connection.executemany("UPDATE shared SET stage = 'returned' WHERE delivery = ?", numbers)
    return len(numbers)


def _dissolve(connection: sqlite3.Connection, destination: str, digest: int, now: float) -> None:
    """Queue the signals of a digest again in its place, with its mark."""
    connection.execute(
        "UPDATE deliveries SET state = 'queued', reason = NULL, digest = NULL, since = ?1,"
        " doubt = doubt OR (SELECT g.doubt FROM deliveries g WHERE g.signal = ?2 AND g.destination = ?3)"
        " WHERE digest = ?2 AND destination = ?3 AND state = 'digested'",
        (now, digest, destination),
    )
    connection.execute(
        "UPDATE deliveries SET state = 'rerouted', reason = ?, since = ? WHERE signal = ? AND destination = ?",
        (RETURNED, now, digest, destination),
    )


def requests(
    connection: sqlite3.Connection, channel: str, destinations: Collection[str], since: float
) -> list[tuple[int, float | None, bool]]:
    """Requests into a channel and of these destinations, answered after `since` or in flight: number, answer, whether it was expedited."""
    rows = connection.execute(
        "SELECT number, answered, pressing FROM requests"
        " WHERE (channel = ? OR destination IN (SELECT value FROM json_each(?))) AND (answered IS NULL OR answered > ?)",
        (channel, json.dumps(list(destinations)), since),
    )
    return [(number, answered, bool(expedited)) for number, answered, expedited in rows]


def forget(connection: sqlite3.Connection) -> None:
    """Delete rows whose delivery retention has deleted, and stories of other hosts that have not gone on here: the engine has them."""
    connection.execute("DELETE FROM living WHERE newest < 0")
    connection.execute(
        "DELETE FROM shared WHERE stage <> 'waits' AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.number = shared.delivery)"
    )


def has_met(connection: sqlite3.Connection) -> bool:
    """Whether this host has ever met another one."""
    return connection.execute("SELECT 1 FROM met").fetchone() is not None


def meet(connection: sqlite3.Connection, host: str) -> None:
    """Record that this host has met another one: from now on a new engine may not know every request that hosts made."""
    connection.execute("INSERT OR IGNORE INTO met VALUES (?)", (host,))
