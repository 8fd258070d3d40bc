"""Jobs that post alerts again until they are acknowledged (`policy.repeat` decides, `acknowledgements` ends it)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.repeat import NEVER_AGAIN

from .attempts import to_next_fallback
from .queue import COLUMNS, delivery_of


def due(connection: sqlite3.Connection, now: float, most: int) -> list[Delivery]:
    """Sent deliveries whose time to be repeated has come."""
    rows = connection.execute(
        f"SELECT d.destination, d.priority, {COLUMNS} FROM deliveries d JOIN signals s ON s.number = d.signal"  # noqa: S608 - constant text
        " WHERE d.repeat_at <= ? AND d.state = 'sent' ORDER BY d.repeat_at LIMIT ?",
        (now, most),
    )
    return [delivery_of(destination, Priority(priority), *row) for destination, priority, *row in rows]


def again(connection: sqlite3.Connection, numbers: Sequence[int], now: float) -> None:
    """Queue these deliveries once more. It is a new message: its attempts may last as long as those of a new delivery."""
    connection.executemany(
        "UPDATE deliveries SET state = 'queued', reason = 'posted again until it is acknowledged', since = ?1, released = ?1,"
        " first_try = NULL, unknowns = 0, repeats = repeats + 1, repeat_at = NULL"
        " WHERE number = ?2 AND state = 'sent' AND repeat_at IS NOT NULL",
        [(now, number) for number in numbers],
    )


def stop(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Do not repeat these deliveries any more."""
    connection.executemany("UPDATE deliveries SET repeat_at = NULL WHERE number = ?", [(each,) for each in numbers])


def postpone(connection: sqlite3.Connection, until: Mapping[int, float]) -> None:
    """Repeat these deliveries later (steady clock), because of quiet hours. A repetition that is queued already does not count."""
    connection.executemany(
        "UPDATE deliveries SET repeat_at = ?1, repeats = repeats - (state = 'queued'), state = 'sent'"
        " WHERE number = ?2 AND (state = 'sent' AND repeat_at IS NOT NULL OR state = 'queued' AND repeats > 0)",
        [(at, number) for number, at in until.items()],
    )


def tell_fallback(connection: sqlite3.Connection, number: int, chain: Sequence[str], now: float) -> str | None:
    """The repetitions are used up: queue the signal for the first fallback that has not had it. It is not repeated there."""
    stop(connection, [number])
    fallback = to_next_fallback(connection, number, chain, now, repeats=NEVER_AGAIN)
    told = f"told {fallback}" if fallback else "no fallback is left to tell"
    connection.execute(
        "UPDATE deliveries SET reason = 'not acknowledged after ' || repeats || ' repetitions: ' || ? WHERE number = ?",
        (told, number),
    )
    return fallback
