"""Read-only jobs: for `why`, `queue`, `status`, alarms and the heartbeat. They return plain data, ready for the wire."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from tocsind.policy.delivery import OPEN, Priority, State

from . import shared_view
from .acknowledgements import by_whom
from .digests import FIRST
from .records import Count

_decode = msgspec.msgpack.Decoder().decode
MAX_ROWS = 1000
MAX_TITLE = 256  # code points; a listing must fit into one reply

Ages = dict[tuple[str, Priority], float]


def why(connection: sqlite3.Connection, id_: str) -> dict[str, Any] | None:
    """All that is known of a signal: its content, and every attempt at every destination. None when the id is unknown.

    An attempt to edit a live message has the message's id in `edits`. A digest `stands_for` so many; a digested delivery names its `digest`
    (`id`, and the `state` of the whole digest).
    """
    row = connection.execute(
        "SELECT number, accepted, uid, pid, body, stands_for FROM signals WHERE id = ?", (id_,)
    ).fetchone()
    if row is None:
        return None
    number, accepted, uid, pid, body, stands_for = row
    return {
        "schema": 1,
        "id": id_,
        "signal": _decode(body),
        "accepted": accepted,
        "uid": uid,
        "pid": pid,
        "state": summary(states_of(connection, number)),
        **({"stands_for": stands_for} if stands_for else {}),
        **_acknowledged(connection, number, _decode(body).get("key")),
        "deliveries": _deliveries(connection, number),
    }


def _acknowledged(connection: sqlite3.Connection, signal: int, key: str | None) -> dict[str, Any]:
    found = by_whom(connection, signal, key)
    return {"acknowledged": {"uid": found[0], "at": found[1]}} if found else {}


def summary(states: list[State]) -> str:
    """One word for the whole signal: it arrived somewhere, it still may, or how it failed."""
    found = set(states)
    if found & OPEN:
        return "queued"
    if found & {State.SENT, State.UNKNOWN}:
        return "delivered"
    if State.DEAD in found:
        return "dead"
    return "silenced" if State.SILENCED in found else "dropped"


def sender(connection: sqlite3.Connection, id_: str) -> int | None:
    """The uid that sent a signal; None for an unknown id."""
    row = connection.execute("SELECT uid FROM signals WHERE id = ?", (id_,)).fetchone()
    return int(row[0]) if row else None


def ids_ending_in(connection: sqlite3.Connection, end: str, most: int) -> list[str]:
    """Ids of signals that end in these letters and digits, at most so many, the newest first."""
    rows = connection.execute("SELECT id FROM signals WHERE id LIKE ? ORDER BY id DESC LIMIT ?", (f"%{end}", most))
    return [id_ for (id_,) in rows]


def titles(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, str]:
    """The titles of those signals that are known."""
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(f"SELECT id, body FROM signals WHERE id IN ({marks})", tuple(ids))  # noqa: S608 - only marks
    return {id_: _decode(body)["title"][:MAX_TITLE] for id_, body in rows}


def states(connection: sqlite3.Connection, id_: str) -> str | None:
    """The summary alone."""
    row = connection.execute("SELECT number FROM signals WHERE id = ?", (id_,)).fetchone()
    return summary(states_of(connection, row[0])) if row else None


def why_held(connection: sqlite3.Connection, id_: str) -> str | None:
    """Why a signal is held, and until when; None when no delivery of it is, or another waits for something else."""
    rows = connection.execute(
        "SELECT state, reason FROM deliveries WHERE signal = (SELECT number FROM signals WHERE id = ?) ORDER BY number",
        (id_,),
    )
    waiting = [(State(state), reason) for state, reason in rows if State(state) in OPEN]
    return next((reason for _, reason in waiting if all(state is State.HELD for state, _ in waiting)), None)


def states_of(connection: sqlite3.Connection, signal: int) -> list[State]:
    """The states of its deliveries, and those of their digests: `digested` alone does not say whether it arrived."""
    rows = connection.execute(
        "SELECT state FROM deliveries WHERE signal = ?1 UNION ALL"
        " SELECT t.state FROM deliveries d JOIN deliveries t ON t.signal = d.digest WHERE d.signal = ?1 AND d.state = 'digested'",
        (signal,),
    )
    return [State(state) for (state,) in rows]


def _deliveries(connection: sqlite3.Connection, signal: int) -> list[dict[str, Any]]:
    cursor = connection.execute(
        "SELECT number, destination, priority, state, reason, since, message, doubt, digest, quiet_until, delayed_until, repeats,"
        " repeat_at FROM deliveries WHERE signal = ? ORDER BY number",
        (signal,),
    )
    return [_live_message(connection, *row) for row in cursor.fetchall()]


def _live_message(  # noqa: PLR0917 - a row of the query above, in its order
    connection: sqlite3.Connection,
    number: int,
    destination: str,
    priority: int,
    state: str,
    reason: str | None,
    since: float,
    message: str | None,
    doubt: int,
    digest: int | None,
    quiet_until: float | None,
    delayed_until: float | None,
    repeats: int,
    repeat_at: float | None,
) -> dict[str, Any]:
    hosts, elsewhere = shared_view.of(connection, number)
    held = {"quiet_until": quiet_until, "delayed_until": delayed_until} if state == State.HELD.value else {}
    repeated = {"repeats": max(0, repeats), "repeat_at": repeat_at} if repeats > 0 or repeat_at is not None else {}
    return {
        **held,
        **repeated,
        "destination": destination,
        "priority": Priority(priority).label,
        "state": state,
        "reason": reason,
        "since": since,
        "message": message,
        "possible_duplicate": bool(doubt),
        **({"digest": _digest(connection, digest)} if digest else {}),
        **hosts,
        "attempts": [*_attempts(connection, number), *elsewhere],
    }


def _digest(connection: sqlite3.Connection, signal: int) -> dict[str, Any]:
    (id_,) = connection.execute("SELECT id FROM signals WHERE number = ?", (signal,)).fetchone()
    return {"id": id_, "state": summary(states_of(connection, signal))}


def _attempts(connection: sqlite3.Connection, delivery: int) -> list[dict[str, Any]]:
    cursor = connection.execute(
        "SELECT number, started, ended, outcome, reason, edits FROM attempts WHERE delivery = ? ORDER BY number",
        (delivery,),
    )
    return [_attempt(*row) for row in cursor]


def _attempt(  # noqa: PLR0917 - a row of the query above, in its order
    number: int, started: float, ended: float | None, outcome: str | None, reason: str | None, edits: str | None
) -> dict[str, Any]:
    row = {"number": number, "started": started, "ended": ended, "outcome": outcome, "reason": reason}
    return row | ({"edits": edits} if edits else {})


def queue(
    connection: sqlite3.Connection, state: str | None, destination: str | None, most: int
) -> list[dict[str, Any]]:
    """Deliveries in one state (else all open or dead ones), in sending order."""
    rows = connection.execute(
        "SELECT s.id, s.body, d.destination, d.priority, d.state, d.reason, d.since, s.accepted, d.attempts"
        " FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE (d.state = ?1 OR ?1 IS NULL AND d.state IN ('held', 'queued', 'sending', 'dead'))"
        " AND d.destination = coalesce(?2, d.destination) ORDER BY d.priority, d.number LIMIT ?3",
        (state, destination, most),
    )
    return [_queue_row(row) for row in rows]


def _queue_row(row: tuple[Any, ...]) -> dict[str, Any]:
    id_, body, destination, priority, state, reason, since, accepted, attempts = row
    return {
        "id": id_,
        "title": _decode(body)["title"][:MAX_TITLE],
        "destination": destination,
        "priority": Priority(priority).label,
        "state": state,
        "reason": reason,
        "since": since,
        "accepted": accepted,
        "attempts": attempts,
    }


def delivery_states(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, set[State]]:
    """The states of the deliveries of these signals; unknown ids are left out."""
    found: dict[str, set[State]] = {}
    for id_, state in connection.execute(
        "SELECT s.id, d.state FROM signals s JOIN deliveries d ON d.signal = s.number"
        " WHERE s.id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    ):
        found.setdefault(id_, set()).add(State(state))
    return found


def counts(connection: sqlite3.Connection) -> list[Count]:
    """The number of deliveries by destination, priority and state."""
    rows = connection.execute("SELECT destination, priority, state, n FROM tally WHERE n > 0")
    return [Count(destination, Priority(priority), state, n) for destination, priority, state, n in rows]


def ages(connection: sqlite3.Connection) -> Ages:
    """By destination and priority: since when the oldest queued delivery waits, on the steady clock. What was held waits from its release
    on.
    """
    found = {
        (each.destination, each.priority): _oldest(connection, each) for each in counts(connection) if _queued(each)
    }
    sending = connection.execute(
        "SELECT d.destination, d.priority, coalesce(d.released, s.accepted + s.skew) FROM deliveries d"
        " JOIN signals s ON s.number = d.signal"
        " WHERE d.state = 'sending'"
    )
    for destination, priority, accepted in sending:
        lane = destination, Priority(priority)
        found[lane] = min(found.get(lane, accepted), accepted)
    return found


def oldest_of(destination: str, ages: Ages) -> float | None:
    """When the oldest open delivery was accepted, whatever its priority; None without any."""
    return min((ages[destination, each] for each in Priority if (destination, each) in ages), default=None)


def _queued(count: Count) -> bool:
    return count.state == State.QUEUED.value


def _oldest(connection: sqlite3.Connection, queue: Count) -> float:
    """The first of a queue. Digests go first and are young, so it is also the first after them."""
    firsts = (_first_of(connection, queue.destination, queue.priority, after) for after in (FIRST, 0))
    return min(at for at in firsts if at is not None)


Position = tuple[str, int]  # in the index of dead deliveries
BEGINNING: Position = ("", FIRST)


def undelivered(connection: sqlite3.Connection, after: Position) -> tuple[int, Position | None]:
    """For a chunk of the dead deliveries: how many belong to signals that neither arrived nor wait elsewhere, so that only the operator can
    help. Also returns where to go on; None at the end.
    """
    rows = connection.execute(
        "SELECT d.destination, d.number, EXISTS (SELECT 1 FROM deliveries o WHERE o.signal = d.signal"
        " AND o.state IN ('held', 'queued', 'sending', 'sent', 'unknown', 'digested')) FROM deliveries d"
        " WHERE d.state = 'dead' AND (d.destination, d.number) > (?, ?) ORDER BY d.destination, d.number LIMIT ?",
        (*after, MAX_ROWS),
    ).fetchall()
    lost = sum(not elsewhere for _, _, elsewhere in rows)
    return lost, (rows[-1][0], rows[-1][1]) if len(rows) == MAX_ROWS else None


def _first_of(connection: sqlite3.Connection, destination: str, priority: Priority, after: int) -> float | None:
    row = connection.execute(
        "SELECT coalesce(d.released, s.accepted + s.skew) FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE d.destination = ? AND d.priority = ? AND d.state = 'queued' AND d.number > ? ORDER BY d.number LIMIT 1",
        (destination, priority, after),
    ).fetchone()
    return row[0] if row else None


def size(connection: sqlite3.Connection) -> int:
    """Bytes of the journal that are in use."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * page_size)
