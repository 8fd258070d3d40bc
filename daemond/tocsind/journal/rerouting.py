"""Jobs that move what waits for one destination to its fallbacks: it is disabled (`divert`), or patience is over (`give_way`). When
a fallback fails as well, `give_back` returns what came there by patience to a destination that works again.

The delivery is settled as `rerouted` and a new one is queued at the fallback, in one commit. UNIQUE (signal, destination) keeps a signal
from a second delivery to a destination that has had it, so every chain ends, also where destinations stand in for one another. Only
`give_back` queues an old delivery again, and each delivery once: it marks it with `RETURNED`.
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
RETURNED = 2  # in `hurried`: 0, came by its route; 1, came because patience was over elsewhere
MAX_MOVED = 100  # deliveries a `give_way`: 6 ms, measured, and a hand-off waits behind it

# Of a list of destinations as JSON: one that has not had the signal of the delivery d.
_TAKES = (
    "EXISTS (SELECT 1 FROM json_each(?) c WHERE NOT EXISTS"
    " (SELECT 1 FROM deliveries o WHERE o.signal = d.signal AND o.destination = c.value))"
)
# One that has handed the signal of the delivery d on, and has not taken it back yet.
_HAD = (
    "EXISTS (SELECT 1 FROM json_each(?) c JOIN deliveries o ON o.signal = d.signal AND o.destination = c.value"  # noqa: S608 - our own text
    f" WHERE o.state = 'rerouted' AND o.hurried < {RETURNED})"
)
_QUEUED = (
    "SELECT d.number, s.id FROM deliveries d JOIN signals s ON s.number = d.signal"
    " WHERE d.destination = ? AND d.state = 'queued'"
)

# Each in the order of an index: a backlog is read once, not sorted for each chunk.
_OF_PRIORITY = f"{_QUEUED} AND d.priority = ? AND {_TAKES} ORDER BY d.number LIMIT ?"
_SECOND_FALLBACK = f"{_QUEUED} AND d.hurried = 1 AND {_TAKES} ORDER BY d.priority, d.number LIMIT ?"
_RETURNING = f"{_QUEUED} AND d.hurried = 1 AND {_HAD} ORDER BY d.priority, d.number LIMIT ?"
_TAKE_BACK = (
    f"UPDATE deliveries SET state = 'queued', reason = ?, since = ?, first_try = NULL, unknowns = 0, hurried = {RETURNED},"  # noqa: S608 - our own text
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
) -> list[Reroute]:
    """Send a chunk of a disabled destination's queue to its fallbacks, most pressing first.

    `disabled` are those of the chain that are disabled as well: what only these have not had yet stays queued. What all of the chain
    have had is dead.
    """
    enabled = [name for name in chain if name not in disabled]
    rows = connection.execute(
        f"{_QUEUED} AND ({_TAKES} OR NOT {_TAKES}) ORDER BY d.priority, d.number LIMIT ?",
        (destination, json.dumps(enabled), json.dumps(chain), CHUNK),
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
) -> list[tuple[int, Reroute]]:
    """Move a chunk of a failing destination's queue to fallbacks that work: all with a priority in `over`, and with `hurried` also what
    came here because its patience was over elsewhere. What no working fallback can take stays.
    """
    fallbacks, rows = json.dumps(working), list[tuple[int, str]]()
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


def give_back(
    connection: sqlite3.Connection, destination: str, origins: Sequence[str], reason: str, now: float
) -> list[tuple[int, Reroute]]:
    """Return a chunk of what came to a failing destination by patience to the first of `origins` that it had left, and that works."""
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
