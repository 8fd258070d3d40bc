"""Jobs around an attempt: `begin` records it before the request leaves, `settle` records its outcome.

A crash between the two leaves the attempt open. `replay` finds the open attempts of an earlier run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from tocsind.policy.delivery import Delivery, Priority, State

from . import acknowledgements, limiter_state, live_messages
from .queue import add_delivery
from .records import LaneState, LimitState, RequestStart, Reroute, SettledAttempt

INTERRUPTED = "tocsind stopped before the answer came"


def begin(
    connection: sqlite3.Connection, batch: Sequence[Delivery], request: RequestStart, now: float
) -> list[Delivery]:
    """Claim the deliveries that are still queued and in time, and open an attempt for each. The others are not claimed.

    The update of a live message also claims the other waiting deliveries of its key.
    """
    claimed = [mine for delivery in batch if (mine := _claim(connection, delivery, now))]
    if claimed and request.edits_at and (key := claimed[0].signal.key):
        assert len(batch) == 1, "a live message is alone in its batch"
        waiting = live_messages.waiting(connection, request.destination, key)
        claimed += [mine for delivery in waiting if (mine := _claim(connection, delivery, now))]
        claimed = live_messages.updates(connection, claimed, key, request.edits_at, request.editing)
    if claimed:
        _open(connection, claimed, request, now)
        limiter_state.start_request(connection, request, now)
    return claimed


def _claim(connection: sqlite3.Connection, delivery: Delivery, now: float) -> Delivery | None:
    """The delivery as the journal has it, one attempt older. The copy in memory may be from before a retry by the operator."""
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


def _open(connection: sqlite3.Connection, claimed: Sequence[Delivery], request: RequestStart, now: float) -> None:
    """`edits` is the message that is edited; empty: none, but the request may be repeated as an edit may; NULL: a copy may stay."""
    update = claimed[0].update
    edits = update.edits if update and not request.editing.leaves_copy else None
    if request.repeatable:
        edits = edits or ""
    connection.executemany(
        "INSERT INTO attempts (delivery, number, started, edits) VALUES (?, ?, ?, ?)",
        [(delivery.number, delivery.attempts, now, edits) for delivery in claimed],
    )


def settle(
    connection: sqlite3.Connection,
    settled: Sequence[SettledAttempt],
    now: float,
    lane: LaneState | None,
    scopes: Sequence[LimitState] = (),
) -> list[Reroute]:
    """Record outcomes, and what the responses showed. Returns the deliveries that also go to a fallback."""
    _close(connection, settled, now)
    live_messages.save(connection, settled)
    _schedule_repeats(connection, settled)
    for destination in {attempt.delivery.destination for attempt in settled}:
        if all(attempt.unsent for attempt in settled):
            limiter_state.cancel_request(connection, destination)
        else:
            limiter_state.finish_request(connection, destination, now)
    limiter_state.save(connection, lane, scopes)
    return [
        moved
        for attempt in settled
        if attempt.settlement.copy_to_fallback
        for moved in _copy_to_fallback(connection, attempt, now)
    ]


def settle_and_begin(
    connection: sqlite3.Connection,
    settled: Sequence[SettledAttempt],
    lane: LaneState | None,
    scopes: Sequence[LimitState],
    *,
    following: Sequence[Delivery],
    request: RequestStart,
    now: float,
) -> tuple[list[Reroute], list[Delivery]]:
    """`settle`, then `begin` for the next batch, in one commit."""
    return settle(connection, settled, now, lane, scopes), begin(connection, following, request, now)


def _close(connection: sqlite3.Connection, settled: Sequence[SettledAttempt], now: float) -> None:
    connection.executemany(
        "UPDATE deliveries SET state = ?, since = ?, reason = ?, doubt = ?, unknowns = ?, plain = ?, message = ?"
        " WHERE number = ?",
        [_state_of(attempt, now) for attempt in settled],
    )
    connection.executemany(
        "UPDATE attempts SET ended = ?, outcome = ?, reason = ? WHERE delivery = ? AND number = ?",
        [(now, each.outcome, each.settlement.reason, each.delivery.number, each.delivery.attempts) for each in settled],
    )
    connection.executemany(
        "UPDATE deliveries SET message = ? WHERE state = 'digested' AND digest = (SELECT signal FROM deliveries WHERE number = ?)",
        [
            (each.settlement.message, each.delivery.number)
            for each in settled
            if each.delivery.is_digest and each.settlement.state is State.SENT
        ],
    )


def _schedule_repeats(connection: sqlite3.Connection, settled: Sequence[SettledAttempt]) -> None:
    for attempt in settled:
        if attempt.repeat_at is not None:
            delivery = attempt.delivery
            key = delivery.signal.key or None
            acknowledgements.schedule(connection, delivery.number, delivery.order, key, attempt.repeat_at)


def _state_of(attempt: SettledAttempt, now: float) -> tuple[str, float, str | None, bool, int, bool, str | None, int]:
    """The delivery's row after the attempt."""
    to, number = attempt.settlement, attempt.delivery.number
    return to.state.value, now, to.reason, to.maybe_duplicate, to.unknown_count, to.plain_format, to.message, number


def _copy_to_fallback(connection: sqlite3.Connection, attempt: SettledAttempt, now: float) -> list[Reroute]:
    delivery = attempt.delivery
    fallback = to_next_fallback(connection, delivery.number, attempt.chain, now)
    return [Reroute(delivery.id, delivery.destination, fallback)] if fallback else []


def to_next_fallback(
    connection: sqlite3.Connection,
    number: int,
    chain: Sequence[str],
    now: float,
    *,
    hurried: bool = False,
    repeats: int = 0,
) -> str | None:
    """Queue the signal, with its mark, for the first destination of the chain that has not had it; None when all have.

    `hurried`: the patience was over at the destination that it comes from.
    """
    row = connection.execute(
        "SELECT signal, priority, deadline, doubt, key, ends, released FROM deliveries WHERE number = ?", (number,)
    ).fetchone()
    if row is None:  # retention deleted it
        return None
    signal, priority, deadline, doubt, key, ends, released = row
    inherited = {"deadline": deadline, "doubt": bool(doubt), "key": key, "ends": bool(ends), "released": released}
    for name in chain:
        if add_delivery(
            connection, signal, name, Priority(priority), now, **inherited, hurried=hurried, repeats=repeats
        ):
            return name
    return None


def replay(connection: sqlite3.Connection, now: float) -> int:
    """Requeue what was in flight when the last run ended, marked as a possible duplicate, whatever its priority.

    A crash, unlike a timeout, may well have come before the request left. What leaves no copy needs no mark.
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
