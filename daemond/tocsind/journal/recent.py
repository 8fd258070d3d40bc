"""Jobs: recent signals, newest first, for people who look; and how many came in one span of time.

The journal thread serves all callers, so one job reads a bounded number of signals. The caller asks again for the next ones.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tocsind.policy.delivery import Priority, State

from .queries import MAX_TITLE, states_of, summary

MAX_READ = 250  # signals that one job reads: a few milliseconds; ten for a search by state
MINUTE = 60.0  # seconds
_SHOWN = ("key", "symbol", "strategy", "source", "host")
_SEARCHED = ("title", "body", "action", "tags", *_SHOWN)
_PART_OF_ID = 8  # characters from which on a word may be the beginning of an id: a shorter one occurs in many ids
_END = 2**62  # above every number

_decode = msgspec.msgpack.Decoder().decode


class Search(msgspec.Struct, frozen=True):
    """Which signals are wanted. `words` are in lower case, and all of them occur in the signal; `state` is a word of `queries.summary`."""

    words: tuple[str, ...] = ()
    state: str | None = None
    destination: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Signals that were found, newest first. `before` is where the search goes on; None when no older signals exist."""

    rows: list[dict[str, Any]]
    before: int | None
    read: int


def search(connection: sqlite3.Connection, wanted: Search, before: int | None, most: int) -> Page:
    """At most `most` signals among the newest MAX_READ below the number `before`."""
    rows = connection.execute(
        "SELECT number, id, accepted, body, stands_for FROM signals WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before or _END, MAX_READ),
    ).fetchall()
    found: list[dict[str, Any]] = []
    read = 0
    for read, (number, id_, accepted, body, stands_for) in enumerate(rows, 1):  # noqa: B007 - used below
        signal = _decode(body)
        if row := _row(connection, number, id_, signal, wanted):
            about = {"number": number, "id": id_, "accepted": accepted, "stands_for": stands_for}
            found.append({**about, **row, **_texts(signal)})
        if len(found) == most:
            break
    at_end = read == len(rows) < MAX_READ
    return Page(found, None if at_end else rows[read - 1][0], read)


def _row(
    connection: sqlite3.Connection, number: int, id_: str, signal: dict[str, Any], wanted: Search
) -> dict[str, Any] | None:
    """The state of a signal that is wanted; None for another one. The words come first: they need no further query."""
    if not _has(signal, id_, wanted.words):
        return None
    deliveries = connection.execute(
        "SELECT destination, priority FROM deliveries WHERE signal = ? ORDER BY number", (number,)
    ).fetchall()
    names = [name for name, _ in deliveries]
    if wanted.destination is not None and wanted.destination not in names:
        return None
    state = summary(states_of(connection, number))
    if wanted.state not in {None, state}:
        return None
    return {
        "state": state,
        "destinations": names,
        "priority": Priority(min(priority for _, priority in deliveries)).label if deliveries else None,
    }


def _has(signal: dict[str, Any], id_: str, words: Sequence[str]) -> bool:
    if not words:
        return True
    text = "\n".join(str(signal[name]) for name in _SEARCHED if signal.get(name)).lower()
    return all(word in text or (len(word) >= _PART_OF_ID and id_.lower().startswith(word)) for word in words)


def _texts(signal: dict[str, Any]) -> dict[str, str]:
    title = {"title": str(signal.get("title") or signal.get("body") or "")[:MAX_TITLE]}
    return title | {name: str(signal[name])[:MAX_TITLE] for name in _SHOWN if signal.get(name)}


def minutes(
    connection: sqlite3.Connection, begin: float, end: float, *, origin: float, until: float
) -> tuple[int, Counter[tuple[int, str]]]:
    """How many signals were accepted from `begin` until before `end`, and how their deliveries ended: by minute since `origin`, and state.

    Only outcomes from `origin` until before `until` count. All instants are on the steady clock.
    """
    (accepted,) = connection.execute(
        "SELECT count(*) FROM signals WHERE accepted + skew >= ? AND accepted + skew < ?", (begin, end)
    ).fetchone()
    ended = connection.execute(
        "SELECT CAST((d.since - ?) / ? AS INTEGER), d.state, count(*)"
        " FROM signals s JOIN deliveries d ON d.signal = s.number"
        " WHERE s.accepted + s.skew >= ? AND s.accepted + s.skew < ? AND d.since >= ? AND d.since < ?"
        " AND d.state IN (?, ?, ?) GROUP BY 1, 2",
        (origin, MINUTE, begin, end, origin, until, State.SENT.value, State.DEAD.value, State.EXPIRED.value),
    )
    return accepted, Counter({(minute, state): n for minute, state, n in ended})
