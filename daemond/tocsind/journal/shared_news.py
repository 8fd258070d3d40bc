"""Jobs for news: how deliveries of this host ended at other hosts (`shared`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from tocsind.policy.delivery import Priority

from . import acknowledgements, shared
from .attempts import to_next_fallback
from .records import Reroute
from .shared import Ended


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
) -> tuple[list[shared.Settled], list[Reroute]]:
    """Record how deliveries of this host ended at another one (`shared.settle`), and schedule a repetition or use this host's fallback.
    Returns the deliveries that ended, and those that go to a fallback.
    """
    settled, moved = shared.settle(connection, news, reasons, now), list[Reroute]()
    covered = {each.id for each in news if each.covered}
    for each in settled:
        number, order, priority, key, is_over, id_ = connection.execute(
            "SELECT d.number, d.signal, d.priority, d.key, d.ends OR s.stands_for IS NOT NULL, e.id FROM deliveries d"
            " JOIN signals s ON s.number = d.signal JOIN shared e ON e.delivery = d.number"
            " WHERE s.id = ? AND d.destination = ?",
            (each.signal, each.destination),
        ).fetchone()
        follows = after.get(each.destination, After({}, ()))
        every = follows.every.get(Priority(priority))
        if each.state == "sent" and every is not None and not is_over:
            acknowledgements.schedule(connection, number, order, key, now + every)
        elif each.state in {"dead", "unknown"} and id_ not in covered:
            fallback = to_next_fallback(connection, number, follows.fallbacks, now)
            moved += [Reroute(each.signal, each.destination, fallback)] if fallback else []
    return settled, moved


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
