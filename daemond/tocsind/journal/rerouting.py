"""Jobs that move the waiting deliveries of a destination to its fallbacks: it is disabled (`divert`), or patience is over (`reroute`).

When a fallback fails as well, `return_to_origin` returns what came there by patience to a destination that works again.

The delivery is settled as `rerouted` and a new one is queued at the fallback, in one commit. UNIQUE (signal, destination) prevents a second
delivery to the same destination, so every chain ends, even where destinations are each other's fallbacks. Only `return_to_origin` queues an
old delivery again, and each one once: it marks it with `RETURNED`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from tocsind.policy.delivery import Priority, State

from .attempts import to_next_fallback
from .maintenance import CHUNK, close
from .records import Reroute

NO_FALLBACK = "no fallback is left"
RETURNED = 2  # in `hurried`: 0, came by its route; 1, came because patience was over elsewhere; 2, returned
MAX_MOVED = 100  # deliveries per `reroute`: takes 6 ms, measured, and a hand-off waits for so long

# Of a list of destinations as JSON: one that has not had the signal of the delivery d.
CAN_TAKE = (
    "EXISTS (SELECT 1 FROM json_each(?) c WHERE NOT EXISTS"
    " (SELECT 1 FROM deliveries o WHERE o.signal = d.signal AND o.destination = c.value))"
)
# One that passed the signal of the delivery d on, and has not taken it back yet.
_CAN_RETURN = (
    "EXISTS (SELECT 1 FROM json_each(?) c JOIN deliveries o ON o.signal = d.signal AND o.destination = c.value"  # noqa: S608 - constant text
    f" WHERE o.state = 'rerouted' AND o.hurried < {RETURNED})"
)
_QUEUED = (
    "SELECT d.number, s.id FROM deliveries d JOIN signals s ON s.number = d.signal"
    " WHERE d.destination = ? AND d.state = 'queued'"
)

_CHOSEN = f"{_QUEUED} AND d.number IN (SELECT value FROM json_each(?))"  # noqa: S608 - constant text

# Each in the order of an index: a backlog is read once, not sorted for each chunk.
_OF_PRIORITY = f"{_QUEUED} AND d.priority = ? AND {CAN_TAKE} ORDER BY d.number LIMIT ?"
_SECOND_FALLBACK = f"{_QUEUED} AND d.hurried = 1 AND {CAN_TAKE} ORDER BY d.priority, d.number LIMIT ?"
_RETURNING = f"{_QUEUED} AND d.hurried = 1 AND {_CAN_RETURN} ORDER BY d.priority, d.number LIMIT ?"
_TAKE_BACK = (
    f"UPDATE deliveries SET state = 'queued', reason = ?, since = ?, first_try = NULL, unknowns = 0, hurried = {RETURNED},"  # noqa: S608 - constant text
    " doubt = max(deliveries.doubt, d.doubt) FROM deliveries d WHERE d.number = ? AND deliveries.signal = d.signal"
    f" AND deliveries.destination = ? AND deliveries.state = 'rerouted' AND deliveries.hurried < {RETURNED}"
)


def divert(  # noqa: PLR0917 - a queue, and what to do with it
    connection: sqlite3.Connection,
    destination: str,
    chain: Sequence[str],
    reason: str,
    now: float,
    disabled: Collection[str] = (),
    among: Collection[int] | None = None,
) -> list[Reroute]:
    """Move a chunk of a disabled destination's queue to its fallbacks, in order of priority.

    `disabled` are the fallbacks that are disabled as well: a delivery stays queued if only these have not had it. If all of the chain have
    had it, it is dead. `among`: only these numbers.
    """
    enabled = [name for name in chain if name not in disabled]
    chosen = () if among is None else (json.dumps(list(among)),)
    rows = connection.execute(
        f"{_QUEUED if among is None else _CHOSEN} AND ({CAN_TAKE} OR NOT {CAN_TAKE}) ORDER BY d.priority, d.number LIMIT ?",
        (destination, *chosen, json.dumps(enabled), json.dumps(chain), CHUNK),
    ).fetchall()
    return [_divert_one(connection, number, id_, destination, enabled, reason, now) for number, id_ in rows]


def _divert_one(  # noqa: PLR0917 - a row and its circumstances
    connection: sqlite3.Connection,
    number: int,
    id_: str,
    destination: str,
    chain: Sequence[str],
    reason: str,
    now: float,
) -> Reroute:
    fallback = to_next_fallback(connection, number, chain, now)
    if fallback:
        close(connection, number, State.REROUTED, f"to {fallback}: {reason}", now)
    else:
        close(connection, number, State.DEAD, f"{reason}; {NO_FALLBACK}", now)
    return Reroute(id_, destination, fallback)


def reroute(  # noqa: PLR0917 - as above
    connection: sqlite3.Connection,
    destination: str,
    over: Collection[Priority],
    working: Sequence[str],
    reason: str,
    now: float,
    *,
    hurried: bool,
    among: Collection[int] | None = None,
) -> list[tuple[int, Reroute]]:
    """Move a chunk of a failing destination's queue to working fallbacks: all with a priority in `over`, and with `hurried` also what came
    here because its patience was over elsewhere. A delivery that no working fallback can take stays. With `among` just these numbers.
    """
    fallbacks, rows = json.dumps(working), list[tuple[int, str]]()
    if among is not None:
        chosen = f"{_CHOSEN} AND {CAN_TAKE} ORDER BY d.priority, d.number"
        rows += connection.execute(chosen, (destination, json.dumps(list(among)), fallbacks))
        return [(number, _move(connection, number, id_, destination, working, reason, now)) for number, id_ in rows]
    for priority in sorted(over):
        rows += connection.execute(_OF_PRIORITY, (destination, priority, fallbacks, MAX_MOVED - len(rows)))
    if hurried:
        seen = {number for number, _ in rows}
        found = connection.execute(_SECOND_FALLBACK, (destination, fallbacks, MAX_MOVED)).fetchall()
        rows += [row for row in found if row[0] not in seen]
    return [(number, _move(connection, number, id_, destination, working, reason, now)) for number, id_ in rows]


def _move(  # noqa: PLR0917 - as above
    connection: sqlite3.Connection,
    number: int,
    id_: str,
    destination: str,
    working: Sequence[str],
    reason: str,
    now: float,
) -> Reroute:
    fallback = to_next_fallback(connection, number, working, now, hurried=True)
    assert fallback is not None, "the query found one that has not had it"
    close(connection, number, State.REROUTED, f"to {fallback}: {reason}", now)
    return Reroute(id_, destination, fallback)


def return_to_origin(
    connection: sqlite3.Connection, destination: str, origins: Sequence[str], reason: str, now: float
) -> list[tuple[int, Reroute]]:
    """Return a chunk of what came to a failing destination by patience, to the first of `origins` that it had left and that works."""
    rows = connection.execute(_RETURNING, (destination, json.dumps(origins), MAX_MOVED)).fetchall()
    return [(number, _return(connection, number, id_, destination, origins, reason, now)) for number, id_ in rows]


def _return(  # noqa: PLR0917 - as above
    connection: sqlite3.Connection,
    number: int,
    id_: str,
    destination: str,
    origins: Sequence[str],
    reason: str,
    now: float,
) -> Reroute:
    origin = next(
        name
        for name in origins
        if connection.execute(_TAKE_BACK, (f"back from {destination}", now, number, name)).rowcount
    )
    close(connection, number, State.REROUTED, f"back to {origin}: {reason}", now)
    return Reroute(id_, destination, origin)
