"""Jobs around reports of lost signals and alarms, and what they must know after a restart.

unseen    deliveries that ended without arriving: expired, dead, dropped. Triggers maintain the table, so no job can forget to. A row is
          deleted after its report, when the delivery is requeued, or when the signal arrived at another destination
alarms    raised alarms whose all-clear has not been sent
"""

from __future__ import annotations

import sqlite3

import msgspec

from tocsind.policy.delivery import Priority
from tocsind.policy.sources import DAEMON_SOURCE

from .records import OpenAlarm, UnseenSignals

MAX_SHOWN = 5  # signals that a report names; the others are counted
CHUNK = 1000  # rows per job

_decode = msgspec.msgpack.Decoder().decode
_OTHERS = "SELECT 1 FROM deliveries o WHERE o.signal = d.signal AND o.number <> d.number AND o.state IN"
_PENDING = f"(d.state = 'dead' AND EXISTS ({_OTHERS} ('held', 'queued', 'sending')))"  # the fallback has not ended yet
_ARRIVED = f"(d.state = 'dead' AND EXISTS ({_OTHERS} ('sent', 'unknown', 'digested')))"  # the signal arrived elsewhere
# `source = "tocsin"` in MessagePack; a signal with a field of that name has the same bytes, so the decoded signal decides.
_FROM_DAEMON = "instr(s.body, X'A6736F75726365A6746F6373696E') > 0"
_ROWS = "FROM unseen u JOIN deliveries d ON d.number = u.delivery JOIN signals s ON s.number = d.signal"


def tidy_unseen(connection: sqlite3.Connection) -> None:
    """Delete what needs no report: signals that arrived elsewhere, and the daemon's own, except for digests of clients' signals."""
    done = f"SELECT u.delivery {_ROWS} WHERE {_ARRIVED}"
    connection.execute(f"DELETE FROM unseen WHERE delivery IN ({done})")  # noqa: S608
    rows = connection.execute(f"SELECT u.delivery, s.body {_ROWS} WHERE s.stands_for IS NULL AND {_FROM_DAEMON}")
    own = [(number,) for number, body in rows.fetchall() if _decode(body).get("source") == DAEMON_SOURCE]
    connection.executemany("DELETE FROM unseen WHERE delivery = ?", own)


def unseen(connection: sqlite3.Connection) -> list[UnseenSignals]:
    """Signals that need a report, by destination and state."""
    tidy_unseen(connection)
    rows = connection.execute(
        "SELECT d.destination, d.state, sum(coalesce(s.stands_for, 1)), max(u.delivery), min(d.since), min(d.priority)"
        f" {_ROWS} WHERE NOT {_PENDING} GROUP BY d.destination, d.state"
    ).fetchall()
    return [
        UnseenSignals(
            destination, state, signals, last, since, Priority(priority), _shown(connection, destination, state)
        )
        for destination, state, signals, last, since, priority in rows
    ]


def _shown(
    connection: sqlite3.Connection, destination: str, state: str
) -> tuple[tuple[str, str, Priority, float], ...]:
    """The first of them by priority: id, title, priority, when they ended."""
    rows = connection.execute(
        f"SELECT s.id, s.body, d.priority, d.since {_ROWS} WHERE d.destination = ? AND d.state = ? AND NOT {_PENDING}"
        " ORDER BY d.priority, d.number LIMIT ?",
        (destination, state, MAX_SHOWN),
    )
    return tuple((id_, _decode(body)["title"], Priority(priority), since) for id_, body, priority, since in rows)


def reported(connection: sqlite3.Connection, destination: str, state: str, last: int) -> None:
    """The report of these signals was stored, up to the delivery with number `last`."""
    numbers = (
        f"SELECT u.delivery {_ROWS} WHERE d.destination = ? AND d.state = ? AND u.delivery <= ? AND NOT {_PENDING}"
    )
    connection.execute(f"DELETE FROM unseen WHERE delivery IN ({numbers})", (destination, state, last))  # noqa: S608


def count_unseen(connection: sqlite3.Connection) -> dict[str, int]:
    """How many deliveries wait for a report, by destination. Some of them may need none."""
    rows = connection.execute(f"SELECT d.destination, count(*) {_ROWS} GROUP BY d.destination")
    return dict(rows.fetchall())


def open_alarms(connection: sqlite3.Connection) -> list[OpenAlarm]:
    """Alarms whose all-clear has not been sent."""
    rows = connection.execute("SELECT kind, about, since, told, road FROM alarms ORDER BY told")
    return [OpenAlarm(*row) for row in rows]


def alarm_raised(connection: sqlite3.Connection, alarm: OpenAlarm) -> None:
    """An alarm was raised for a condition that will end."""
    connection.execute(
        "INSERT OR REPLACE INTO alarms (kind, about, since, told, road) VALUES (?, ?, ?, ?, ?)",
        msgspec.structs.astuple(alarm),
    )


def alarm_over(connection: sqlite3.Connection, kind: str, about: str) -> None:
    """Its all-clear was sent, or none is needed."""
    connection.execute("DELETE FROM alarms WHERE kind = ? AND about = ?", (kind, about))
