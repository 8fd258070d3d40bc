"""Signals, attempts and digests for the tests of the journal, and views of the result."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tocsin.signals import Signal
from tocsind.journal import (
    FIRST,
    Arrival,
    DigestResult,
    RequestStart,
    Reroute,
    SettledAttempt,
    attempts,
    digests,
    queries,
    queue,
)
from tocsind.policy.delivery import Delivery, Priority, Settlement, State

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
ALL = 10**6


def arrival(*to: str, priority: Priority = Priority.NORMAL, accepted: float = NOW, **fields: Any) -> Arrival:
    """A signal for these destinations."""
    known = {name: fields.pop(name) for name in ("holds", "ends") if name in fields}
    signal = Signal(fields.pop("title", "BUY BTCUSDT"), **fields)
    body = msgspec.msgpack.encode(signal.as_dict())
    deadline = None if signal.expires is None else accepted + signal.expires
    return Arrival(signal.id, accepted, 1000, 4711, body, int(priority), to, deadline, signal.key, **known)


def put(database: sqlite3.Connection, /, *to: str, **fields: Any) -> str:
    """Store one signal; returns its id."""
    one = arrival(*to, **fields)
    assert queue.append(database, [one]) == [True]
    return one.id


def fed(
    database: sqlite3.Connection,
    destination: str,
    priority: Priority = Priority.NORMAL,
    after: int = FIRST,
    most: int = ALL,
) -> list[Delivery]:
    """What a feeder of this priority would read."""
    return queue.feed(database, destination, priority, after, most)


def request_of(destination: str, channel: str = "channel", *, expedited: bool = False) -> RequestStart:
    """A request of this destination."""
    return RequestStart(destination, channel, expedited)


def begun(database: sqlite3.Connection, destination: str, now: float = NOW) -> list[Delivery]:
    """All queued deliveries there, claimed."""
    return attempts.begin(database, fed(database, destination), request_of(destination), now)


def ended(
    database: sqlite3.Connection,
    delivery: Delivery,
    state: State,
    *chain: str,
    now: float = NOW,
    elsewhere: bool | None = None,
    doubt: bool = False,
) -> Sequence[Reroute]:
    """A settled attempt; a dead or unknown delivery goes to the fallback unless the test says otherwise."""
    away = state in (State.DEAD, State.UNKNOWN) if elsewhere is None else elsewhere
    settlement = Settlement(state, f"because {state.value}", maybe_duplicate=doubt, copy_to_fallback=away)
    return attempts.settle(database, [SettledAttempt(delivery, settlement, state.value, chain)], now, None)


def digest_oldest(
    database: sqlite3.Connection,
    destination: str,
    priority: Priority = Priority.NORMAL,
    most: int = ALL,
    now: float = NOW,
) -> DigestResult | None:
    """A digest of the oldest deliveries there. Its title counts them."""
    return digests.make_digest(database, destination, priority, most, now, lambda some: Signal(f"{len(some)} in sum"))


def tried(database: sqlite3.Connection, destination: str, state: State, *, doubt: bool = False) -> Sequence[Reroute]:
    """Send and settle the one delivery that is queued there."""
    (delivery,) = begun(database, destination)
    return ended(database, delivery, state, doubt=doubt)


def states_of(database: sqlite3.Connection, id_: str) -> dict[str, str]:
    """Destination -> state of one signal."""
    story = queries.why(database, id_)
    assert story is not None
    return {each["destination"]: each["state"] for each in story["deliveries"]}


def column(database: sqlite3.Connection, name: str, id_: str) -> list[Any]:
    """One column of a signal's deliveries."""
    query = f"SELECT d.{name} FROM deliveries d JOIN signals s ON s.number = d.signal WHERE s.id = ? ORDER BY d.number"
    return [value for (value,) in database.execute(query, (id_,))]


def counted(database: sqlite3.Connection) -> Counter[tuple[str, int, str]]:
    """The deliveries, counted one by one."""
    query = "SELECT destination, priority, state, count(*) FROM deliveries GROUP BY 1, 2, 3"
    return Counter({(destination, priority, state): n for destination, priority, state, n in database.execute(query)})


def tallied(database: sqlite3.Connection) -> Counter[tuple[str, int, str]]:
    """The same, as `status` reads it."""
    return Counter({(c.destination, int(c.priority), c.state): c.n for c in queries.counts(database)})
