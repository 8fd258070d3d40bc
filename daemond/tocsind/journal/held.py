"""Jobs for held deliveries: what quiet hours and the delays of routes hold back, and how it is given back.

    quiet_until     held by quiet hours, on the wall clock: a step of that clock moves the end of the quiet as well
    delayed_until   held by the delay of a route, on the steady clock
    neither         the digest of a destination, while it collects what the quiet held

When the quiet ends, one digest for each destination stands for all that was held there, however much that was. `gather` moves a chunk of it
to the digest and creates that with the first chunk; `members` reads it again for the text; `finish` queues the digest. A crash in between
loses nothing: the digest is held, and the next start goes on (`unfinished`).

A key that has a live message is queued and not digested, or the message would go on showing an old state; the digest counts it all the
same. A raw message is queued, and so is the digest of a backlog. What expired in the quiet stays expired; the digest names it in place of
the report of lost signals (`loss_reports`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tocsin.ids import new_id
from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.quiet import Hold
from tocsind.policy.sources import DAEMON_SOURCE

from . import live_messages
from .digests import BELOW
from .queue import COLUMNS, delivery_of
from .records import HeldGroup

CHUNK = 200  # deliveries per job: takes 10 ms, measured, and a hand-off waits for so long
RELEASED = "quiet hours hold it no longer"
NOT_DELAYED = "its route delays it no longer"
GATHERING = "collects what quiet hours held"
SUPERSEDED = "the story of its key ended during the delay; only the end is sent"

_encode = msgspec.msgpack.Encoder().encode
_SELECT = f"SELECT d.destination, d.priority, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
_ENDED_MEANWHILE = (
    "ends = 0 AND key IS NOT NULL AND EXISTS (SELECT 1 FROM deliveries e WHERE e.key = deliveries.key AND e.ends = 1"
    " AND e.destination = deliveries.destination AND e.signal > deliveries.signal"
    " AND e.state NOT IN ('dropped', 'expired', 'dead', 'superseded', 'silenced'))"
)
# Of a delivery d that ends a story: an earlier state of the same story was sent.
_WAS_KNOWN = (
    "EXISTS (SELECT 1 FROM deliveries o WHERE o.key = d.key AND o.destination = d.destination AND o.signal < d.signal"
    " AND o.ends = 0 AND o.state IN ('sent', 'unknown', 'rerouted', 'digested') AND o.digest IS NOT d.digest"
    " AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.key = d.key AND e.ends = 1"
    " AND e.signal > o.signal AND e.signal < d.signal))"
)


class Instants(NamedTuple):
    """When the next held delivery is released, and the next sent one repeated; None without any."""

    quiet: float | None  # wall clock
    delay: float | None  # steady clock, as the rest
    repeat: float | None


def next_instants(connection: sqlite3.Connection) -> Instants:
    """When the next change is due. The end of the quiet counts for what expired in it as well."""
    return Instants(
        connection.execute(
            "SELECT min(at) FROM (SELECT min(quiet_until) AS at FROM deliveries WHERE state = 'held' AND quiet_until IS NOT NULL"
            " UNION ALL SELECT min(quiet_until) FROM deliveries"
            " WHERE state = 'expired' AND quiet_until IS NOT NULL AND digest IS NULL)"
        ).fetchone()[0],
        connection.execute(
            "SELECT min(delayed_until) FROM deliveries WHERE state = 'held' AND delayed_until IS NOT NULL"
        ).fetchone()[0],
        connection.execute("SELECT min(repeat_at) FROM deliveries WHERE repeat_at IS NOT NULL").fetchone()[0],
    )


def groups(connection: sqlite3.Connection) -> list[HeldGroup]:
    """What is held, for people: by destination, quiet hours by their end."""
    rows = connection.execute(
        "SELECT destination, quiet_until IS NOT NULL, count(*), min(coalesce(quiet_until, delayed_until)), reason FROM deliveries"
        " WHERE state = 'held' AND coalesce(quiet_until, delayed_until) IS NOT NULL"
        " GROUP BY destination, quiet_until ORDER BY destination, quiet_until"
    )
    return [HeldGroup(name, bool(quiet), n, until, reason) for name, quiet, n, until, reason in rows]


def hold(connection: sqlite3.Connection, holds: Mapping[int, Hold], now: float) -> int:
    """Hold queued deliveries back because of quiet hours, or held ones for another time; how many."""
    return connection.executemany(
        "UPDATE deliveries SET since = CASE state WHEN 'held' THEN since ELSE ? END, state = 'held', quiet_until = ?,"
        " delayed_until = NULL, reason = ? WHERE number = ? AND state IN ('queued', 'held')",
        [(now, each.until, each.reason, number) for number, each in holds.items()],
    ).rowcount


def hold_until(connection: sqlite3.Connection, holds: Mapping[int, Hold | None], wall: float) -> None:
    """Change until when quiet hours hold deliveries; None: they do not, so that their release is due now."""
    connection.executemany(
        "UPDATE deliveries SET quiet_until = ?, reason = ? WHERE number = ? AND state = 'held' AND quiet_until IS NOT NULL",
        [(each.until if each else wall, each.reason if each else RELEASED, number) for number, each in holds.items()],
    )


def delay_until(connection: sqlite3.Connection, holds: Mapping[int, Hold | None], now: float) -> None:
    """Change until when routes delay deliveries; None: they do not, so that their release is due now. The same delay changes nothing."""
    connection.executemany(
        "UPDATE deliveries SET delayed_until = ?1, reason = ?2 WHERE number = ?3 AND state = 'held' AND delayed_until IS NOT NULL"
        " AND reason IS NOT ?2",
        [(each.until if each else now, each.reason if each else NOT_DELAYED, number) for number, each in holds.items()],
    )


def feed(connection: sqlite3.Connection, after: int) -> list[Delivery]:
    """The next deliveries after number `after` that quiet hours hold."""
    return _deliveries(
        connection, "d.state = 'held' AND d.quiet_until IS NOT NULL AND d.number > ? ORDER BY d.number", after
    )


def feed_delayed(connection: sqlite3.Connection, after: int) -> list[Delivery]:
    """The next deliveries after number `after` that routes delay."""
    where = "d.state = 'held' AND d.delayed_until IS NOT NULL AND d.number > ? ORDER BY d.number"
    return _deliveries(connection, where, after)


def feed_queue(
    connection: sqlite3.Connection, destination: str, priority: Priority, after: int, most: int
) -> list[Delivery]:
    """As `queue.feed`, of what is held there, for any reason."""
    rows = connection.execute(
        f"{_SELECT} WHERE d.destination = ? AND d.priority = ? AND d.state = 'held' AND d.number > ?"
        " AND coalesce(d.quiet_until, d.delayed_until) IS NOT NULL ORDER BY d.number LIMIT ?",
        (destination, priority, after, most),
    )
    return [delivery_of(name, Priority(label), *row) for name, label, *row in rows]


def due(connection: sqlite3.Connection, wall: float) -> list[Delivery]:
    """A chunk of the deliveries whose quiet hours have ended."""
    return _deliveries(connection, "d.state = 'held' AND d.quiet_until <= ? ORDER BY d.quiet_until", wall)


def due_delays(connection: sqlite3.Connection, now: float) -> list[Delivery]:
    """A chunk of the deliveries whose delay is over."""
    return _deliveries(connection, "d.state = 'held' AND d.delayed_until <= ? ORDER BY d.delayed_until", now)


def _deliveries(connection: sqlite3.Connection, where: str, value: float) -> list[Delivery]:
    rows = connection.execute(f"{_SELECT} WHERE {where} LIMIT {CHUNK}", (value,))
    return [delivery_of(destination, Priority(priority), *row) for destination, priority, *row in rows]


# --- the end of a delay -------------------------------------------------------------------------------------------------


def release_delayed(
    connection: sqlite3.Connection, numbers: Collection[int], holds: Mapping[int, Hold], now: float
) -> list[str]:
    """Queue these deliveries, or hold those in `holds` because of quiet hours. Returns the ids of those that are superseded: their
    story has ended.
    """
    ended = connection.execute(
        f"UPDATE deliveries SET state = 'superseded', reason = ?, since = ? WHERE {_listed('number')}"  # noqa: S608 - constant text
        f" AND state = 'held' AND {_ENDED_MEANWHILE} RETURNING (SELECT id FROM signals s WHERE s.number = deliveries.signal)",
        (SUPERSEDED, now, json.dumps(list(numbers))),
    ).fetchall()
    hold(connection, holds, now)
    _queue(connection, [number for number in numbers if number not in holds], now)
    return [id_ for (id_,) in ended]


def _queue(connection: sqlite3.Connection, numbers: Sequence[int], now: float, digest: int | None = None) -> None:
    connection.execute(
        "UPDATE deliveries SET state = 'queued', reason = NULL, since = ?1, released = ?1, quiet_until = NULL, delayed_until = NULL,"  # noqa: S608 - constant text
        f" digest = coalesce(?2, digest) WHERE {_listed('number', '?3')} AND state = 'held'",
        (now, digest, json.dumps(numbers)),
    )


def _listed(column: str, mark: str = "?") -> str:
    return f"{column} IN (SELECT value FROM json_each({mark}))"  # noqa: S608 - constant text


# --- the digest at the end of quiet hours -------------------------------------------------------------------------------


def gather(
    connection: sqlite3.Connection, destination: str, numbers: Sequence[int], about: str | None, now: float
) -> None:
    """Move held deliveries of a destination to its digest. `about` is the hash of the webhook that holds its live messages."""
    live = _with_live_message(connection, destination, numbers, about)
    whole = _not_digestible(connection, numbers)
    live -= whole
    rest = [number for number in numbers if number not in live | whole]
    if live or rest:
        signal, id_ = _open_digest(connection, destination, now)
        _queue(connection, list(live), now, signal)
        _replace(connection, rest, signal, id_, now)
        if about:
            originals = _members(connection, f"d.digest = ? AND {_listed('d.number')}", signal, json.dumps(rest))
            live_messages.close_for_digest(connection, [each for each, _, _ in originals], about)
    _queue(connection, list(whole), now)


def gather_expired(connection: sqlite3.Connection, wall: float, now: float) -> None:
    """Give what expired in quiet hours that have ended to the digests of its destinations."""
    ended = "state = 'expired' AND quiet_until <= ? AND digest IS NULL"
    rows = connection.execute(f"SELECT DISTINCT destination FROM deliveries WHERE {ended}", (wall,)).fetchall()  # noqa: S608 - constant text
    for (destination,) in rows:
        signal, _ = _open_digest(connection, destination, now)
        connection.execute(
            f"UPDATE deliveries SET digest = ? WHERE {ended} AND destination = ?",  # noqa: S608 - constant text
            (signal, wall, destination),
        )


def unfinished(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """The digests that collect: destination, and number of the signal."""
    return connection.execute(
        "SELECT destination, signal FROM deliveries"
        " WHERE state = 'held' AND quiet_until IS NULL AND delayed_until IS NULL AND number < 0"
    ).fetchall()


def members(connection: sqlite3.Connection, digest: int, after: int) -> list[tuple[Delivery, bool, bool]]:
    """A chunk of what a digest stands for, after number `after`: a delivery, whether it expired, and whether it ends a story of
    which an earlier state was sent.
    """
    where = f"d.digest = ? AND d.number > ? ORDER BY d.number LIMIT {CHUNK}"
    return _members(connection, where, digest, after)


def _members(connection: sqlite3.Connection, where: str, *values: int | str) -> list[tuple[Delivery, bool, bool]]:
    rows = connection.execute(
        f"SELECT d.state = 'expired', d.ends = 1 AND {_WAS_KNOWN}, {_SELECT.removeprefix('SELECT ')} WHERE {where}",
        values,
    )
    return [
        (delivery_of(destination, Priority(priority), *row), bool(expired), bool(known))
        for expired, known, destination, priority, *row in rows
    ]


def id_of(connection: sqlite3.Connection, signal: int) -> str:
    """The id of a signal by its number."""
    (found,) = connection.execute("SELECT id FROM signals WHERE number = ?", (signal,)).fetchone()
    return str(found)


def finish(connection: sqlite3.Connection, digest: Signal, priority: Priority, stands_for: int, now: float) -> None:
    """Queue a digest that has collected everything."""
    connection.execute(
        "UPDATE signals SET body = ?, stands_for = ? WHERE id = ?",
        (_encode(digest.as_dict()), stands_for, digest.id),
    )
    connection.execute(
        "UPDATE deliveries SET state = 'queued', reason = NULL, priority = ?1, since = ?2, released = ?2"
        " WHERE state = 'held' AND signal = (SELECT number FROM signals WHERE id = ?3)",
        (priority, now, digest.id),
    )


def _open_digest(connection: sqlite3.Connection, destination: str, now: float) -> tuple[int, str]:
    """The digest of a destination that collects: number and id of its signal. A new one if there is none."""
    found = [signal for name, signal in unfinished(connection) if name == destination]
    if found:
        return found[0], id_of(connection, found[0])
    body = {"title": GATHERING, "source": DAEMON_SOURCE, "id": new_id()}
    signal = connection.execute(
        "INSERT INTO signals (id, accepted, uid, pid, body, stands_for) VALUES (?, ?, ?, ?, ?, 0)",
        (body["id"], now, os.getuid(), os.getpid(), _encode(body)),
    ).lastrowid
    assert signal is not None, "an INSERT has a row"
    connection.execute(
        "INSERT INTO deliveries (number, signal, destination, priority, state, since, reason) VALUES (?, ?, ?, ?, 'held', ?, ?)",
        (signal - BELOW, signal, destination, Priority.LOW, now, GATHERING),
    )
    return signal, body["id"]


def _replace(connection: sqlite3.Connection, numbers: Sequence[int], signal: int, id_: str, now: float) -> None:
    connection.execute(
        f"UPDATE deliveries SET state = 'digested', since = ?, reason = ?, digest = ? WHERE {_listed('number')}"  # noqa: S608 - constant text
        " AND state = 'held'",
        (now, f"replaced by digest {id_}", signal, json.dumps(numbers)),
    )


def _not_digestible(connection: sqlite3.Connection, numbers: Sequence[int]) -> set[int]:
    """Digests, and raw messages: they are sent as they are."""
    rows = connection.execute(
        "SELECT d.number FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        f" WHERE (s.stands_for IS NOT NULL OR s.raw) AND {_listed('d.number')}",
        (json.dumps(numbers),),
    )
    return {number for (number,) in rows}


def _with_live_message(
    connection: sqlite3.Connection, destination: str, numbers: Sequence[int], about: str | None
) -> set[int]:
    rows = connection.execute(
        "SELECT d.number FROM deliveries d JOIN living l ON l.destination = d.destination AND l.key = d.key"  # noqa: S608 - constant text
        f" WHERE l.destination = ? AND l.about = ? AND l.message IS NOT NULL AND {_listed('d.number')}",
        (destination, about, json.dumps(numbers)),
    )
    return {number for (number,) in rows}
