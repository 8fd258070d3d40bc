"""Jobs for news: how deliveries of this host ended at other hosts (`shared`), also of those that had ended here (`policy.late_news`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from tocsind.policy.delivery import Priority, State
from tocsind.policy.late_news import Step, corrected, step

from . import acknowledgements, shared, shared_view
from .acknowledgements import REPETITION_ENDED
from .attempts import to_next_fallback
from .records import Reroute
from .shared import Ended


class Settled(msgspec.Struct, frozen=True):
    """A delivery of this host that ended at another one. `is_late`: it had ended here before, in another way."""

    number: int
    signal: str
    destination: str
    state: str
    attempts: int
    age: float
    sender: str
    reason: str
    is_late: bool = False


class After(msgspec.Struct, frozen=True):
    """Settings of a destination that apply after another host has sent: seconds until a repetition, by priority; fallbacks in order."""

    every: Mapping[Priority, float]
    fallbacks: Sequence[str]


def record(
    connection: sqlite3.Connection,
    news: Sequence[Ended],
    reasons: Mapping[str, str],
    after: Mapping[str, After],
    now: float,
) -> tuple[list[Settled], list[Reroute]]:
    """Record how deliveries of this host ended at another one (`settle`), and schedule a repetition or use this host's fallback. Returns
    the deliveries that ended, and those that go to a fallback. After an end that was corrected nothing follows.
    """
    settled, moved = settle(connection, news, reasons, now), list[Reroute]()
    covered = {each.id for each in news if each.covered}
    for each in settled:
        if each.is_late:
            continue
        number = each.number
        order, priority, key, is_over, id_ = connection.execute(
            "SELECT d.signal, d.priority, d.key, d.ends OR s.stands_for IS NOT NULL, e.id FROM deliveries d"
            " JOIN signals s ON s.number = d.signal JOIN shared e ON e.delivery = d.number WHERE d.number = ?",
            (number,),
        ).fetchone()
        follows = after.get(each.destination, After({}, ()))
        every = follows.every.get(Priority(priority))
        if each.state == "sent" and every is not None and not is_over:
            acknowledgements.schedule(connection, number, order, key, now + every)
        elif each.state in {"dead", "unknown"} and id_ not in covered:
            fallback = to_next_fallback(connection, number, follows.fallbacks, now)
            moved += [Reroute(each.signal, each.destination, fallback)] if fallback else []
    return settled, moved


def settle(
    connection: sqlite3.Connection, news: Sequence[Ended], reasons: Mapping[str, str], now: float
) -> list[Settled]:
    """Record how deliveries of this host ended at another one (`policy.late_news`). `reasons` by id. Returns those that this ended or
    corrected.
    """
    found = [settled for each in news for settled in _settle_one(connection, each, reasons[each.id], now)]
    connection.executemany(  # the host where they died reports them to people
        "DELETE FROM unseen WHERE delivery = (SELECT delivery FROM shared WHERE id = ?)",
        [(each.id,) for each in news if each.sender != each.origin and each.state == State.DEAD.value],
    )
    shared.told(connection, [each.id for each in news])
    return found


def _settle_one(connection: sqlite3.Connection, news: Ended, reason: str, now: float) -> list[Settled]:
    row = connection.execute(
        "SELECT d.number, s.id, d.destination, d.state, d.reason, d.doubt, d.attempts, s.accepted + s.skew FROM shared e"
        " JOIN deliveries d ON d.number = e.delivery JOIN signals s ON s.number = d.signal"
        " WHERE e.id = ? AND NOT (e.stage = 'told' AND ?)",
        (news.id, news.sender == news.origin),
    ).fetchone()
    if row is None:  # retention deleted it; or this host told it, and it may have been requeued since
        return []
    number, id_, destination, here, before, doubt, attempts, since = row
    state, there = State(here), State(news.state)
    next_ = step(state, there)
    if state is there is State.SENT and before in REPETITION_ENDED:
        next_ = Step.CORRECT  # it was posted again all the same
    if next_ is Step.NOTHING:
        return []
    is_late = next_ is Step.CORRECT
    has_copy = not is_late or state in {State.DEAD, State.REROUTED, State.UNKNOWN}
    reason = corrected(reason, state, before) if is_late else reason
    connection.execute(
        "UPDATE deliveries SET state = ?, since = ?, reason = ?, message = ?, doubt = ? WHERE number = ?",
        (news.state, now, reason, news.message, news.doubt or (has_copy and doubt), number),
    )
    shared_view.record(connection, news.id, news.sender, news.tries, news.note)
    return [Settled(number, id_, destination, news.state, attempts, now - since, news.sender, reason, is_late)]


def under_way(connection: sqlite3.Connection, news: Sequence[Ended], now: float) -> list[str]:
    """Of this host's deliveries that ended at another one, those for which an attempt is open here: its end decides first."""
    for each in news:
        _note_own(connection, each, now)
    rows = connection.execute(
        "SELECT e.id FROM shared e JOIN deliveries d ON d.number = e.delivery"
        " WHERE d.state = 'sending' AND e.id IN (SELECT value FROM json_each(?))",
        (json.dumps([each.id for each in news]),),
    )
    return [id_ for (id_,) in rows]


def _note_own(connection: sqlite3.Connection, news: Ended, now: float) -> None:
    """The engine had it, though it did not say so when it was handed over."""
    _, signal, destination = [*news.id.split("/", 2), "", ""][:3]
    connection.execute(
        "INSERT OR IGNORE INTO shared (delivery, id, target, origin, stage, since)"
        " SELECT d.number, ?, '', ?, 'told', ? FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE s.id = ? AND d.destination = ?",
        (news.id, news.origin, now, signal, destination),
    )
