"""Jobs around an attempt: it is on record before the request leaves (`begin`), its outcome after (`settle`).

Between the two lies the only doubt there is. `replay` finds what an earlier run left there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from tocsind.policy.delivery import Delivery, Priority, State

from . import limiter_state, live_messages
from .queue import add_delivery
from .records import LaneState, LimitState, RequestStart, Reroute, SettledAttempt

INTERRUPTED = "tocsind stopped before the answer came"


def begin(
    connection: sqlite3.Connection, batch: Sequence[Delivery], asking: RequestStart, now: float
) -> list[Delivery]:
    """Claim what is still queued and in time, and open an attempt for each; the rest is not ours to send any more.

    One that belongs to a living message is told together with all that waits of its key.
    """
    claimed = [mine for delivery in batch if (mine := _claim(connection, delivery, now))]
    if claimed and asking.edits_at and (key := claimed[0].signal.key):
        assert len(batch) == 1, "a living message carries nobody else's alert"
        waiting = live_messages.waiting(connection, asking.destination, key)
        claimed += [mine for delivery in waiting if (mine := _claim(connection, delivery, now))]
        claimed = live_messages.updates(connection, claimed, key, asking.edits_at)
    if claimed:
        _open(connection, claimed, now)
        limiter_state.start_request(connection, asking, now)
    return claimed


def _claim(connection: sqlite3.Connection, delivery: Delivery, now: float) -> Delivery | None:
    """The delivery as the journal knows it, one attempt older: what memory held may be from before a retry by hand."""
    rows = connection.execute(
        "UPDATE deliveries SET state = 'sending', since = ?1, attempts = attempts + 1, first_try = coalesce(first_try, ?1)"
        " WHERE number = ?2 AND state = 'queued' AND (deadline IS NULL OR deadline > ?1)"
        " RETURNING attempts, first_try, doubt, unknowns, plain",
        (now, delivery.number),
    ).fetchall()
    if not rows:
        return None
    ((attempts, first_try, doubt, unknowns, plain),) = rows
    known = {"attempts": attempts, "first_try": first_try, "maybe_duplicate": bool(doubt), "unknown_count": unknowns}
    return msgspec.structs.replace(delivery, **known, plain_format=bool(plain), tried=now - delivery.skew)


def _open(connection: sqlite3.Connection, claimed: Sequence[Delivery], now: float) -> None:
    edits = claimed[0].update.edits if claimed[0].update else None
    connection.executemany(
        "INSERT INTO attempts (delivery, number, started, edits) VALUES (?, ?, ?, ?)",
        [(delivery.number, delivery.attempts, now, edits) for delivery in claimed],
    )


def settle(
    connection: sqlite3.Connection,
    endings: Sequence[SettledAttempt],
    now: float,
    lane: LaneState | None,
    scopes: Sequence[LimitState] = (),
) -> list[Reroute]:
    """Write the outcomes down, with what was learned from them. What also goes to a fallback is answered."""
    _close(connection, endings, now)
    live_messages.save(connection, endings)
    for destination in {ending.delivery.destination for ending in endings}:
        if all(ending.unsent for ending in endings):
            limiter_state.cancel_request(connection, destination)
        else:
            limiter_state.finish_request(connection, destination, now)
    limiter_state.save(connection, lane, scopes)
    return [
        moved
        for ending in endings
        if ending.settlement.copy_to_fallback
        for moved in _copy_to_fallback(connection, ending, now)
    ]


def settle_and_begin(
    connection: sqlite3.Connection,
    endings: Sequence[SettledAttempt],
    lane: LaneState | None,
    scopes: Sequence[LimitState],
    *,
    following: Sequence[Delivery],
    asking: RequestStart,
    now: float,
) -> tuple[list[Reroute], list[Delivery]]:
    """`settle`, then `begin` what follows: one commit serves both."""
    return settle(connection, endings, now, lane, scopes), begin(connection, following, asking, now)


def _close(connection: sqlite3.Connection, endings: Sequence[SettledAttempt], now: float) -> None:
    connection.executemany(
        "UPDATE deliveries SET state = ?, since = ?, reason = ?, doubt = ?, unknowns = ?, plain = ?, message = ?"
        " WHERE number = ?",
        [_state_of(ending, now) for ending in endings],
    )
    connection.executemany(
        "UPDATE attempts SET ended = ?, outcome = ?, reason = ? WHERE delivery = ? AND number = ?",
        [(now, each.outcome, each.settlement.reason, each.delivery.number, each.delivery.attempts) for each in endings],
    )
    connection.executemany(
        "UPDATE deliveries SET message = ? WHERE digest = (SELECT signal FROM deliveries WHERE number = ?)",
        [
            (each.settlement.message, each.delivery.number)
            for each in endings
            if each.delivery.is_digest and each.settlement.state is State.SENT
        ],
    )


def _state_of(ending: SettledAttempt, now: float) -> tuple[str, float, str | None, bool, int, bool, str | None, int]:
    """A delivery's row from now on."""
    to, number = ending.settlement, ending.delivery.number
    return to.state.value, now, to.reason, to.maybe_duplicate, to.unknown_count, to.plain_format, to.message, number


def _copy_to_fallback(connection: sqlite3.Connection, ending: SettledAttempt, now: float) -> list[Reroute]:
    delivery = ending.delivery
    fallback = to_next_fallback(connection, delivery.number, ending.chain, now)
    return [Reroute(delivery.id, delivery.destination, fallback)] if fallback else []


def to_next_fallback(
    connection: sqlite3.Connection, number: int, chain: Sequence[str], now: float, *, hurried: bool = False
) -> str | None:
    """Owe the delivery's signal, and its doubt, to the first destination of the chain that has not had it; None when all have.

    `hurried`: its patience was over where it comes from.
    """
    row = connection.execute(
        "SELECT signal, priority, deadline, doubt, key FROM deliveries WHERE number = ?", (number,)
    ).fetchone()
    if row is None:  # forgotten meanwhile
        return None
    signal, priority, deadline, doubt, key = row
    for name in chain:
        inherited = {"deadline": deadline, "doubt": bool(doubt), "key": key, "hurried": hurried}
        if add_delivery(connection, signal, name, Priority(priority), now, **inherited):
            return name
    return None


def replay(connection: sqlite3.Connection, now: float) -> int:
    """Put back what was in flight when the last run ended, in doubt, whatever its priority: a crash, unlike a timeout, may well have
    come before the request left. What was to edit a message has left no copy, whatever became of it.
    """
    connection.execute(
        "UPDATE deliveries SET doubt = 1 WHERE state = 'sending' AND NOT EXISTS"
        " (SELECT 1 FROM attempts a WHERE a.delivery = deliveries.number AND a.ended IS NULL AND a.edits IS NOT NULL)"
    )
    connection.execute(
        "UPDATE attempts SET ended = ?, outcome = 'unknown', reason = ? WHERE ended IS NULL"
        " AND delivery IN (SELECT number FROM deliveries WHERE state = 'sending')",
        (now, INTERRUPTED),
    )
    cursor = connection.execute(
        "UPDATE deliveries SET state = 'queued', since = ?, reason = ? WHERE state = 'sending'",
        (now, INTERRUPTED),
    )
    limiter_state.close_requests(connection, now)
    return cursor.rowcount
