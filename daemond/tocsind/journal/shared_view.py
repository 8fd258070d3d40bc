"""Views of deliveries that several hosts share: how many wait; for `why`, which host accepted and which sent one, and faults in between.

The columns `sender`, `tries` and `note` of the table `shared` are for people only: nothing is decided by them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from tocsind.policy.delivery import State

from . import maintenance

MAX_TRIES: Final = 5  # the last ones, of one delivery at another host
MAX_REASON: Final = 200  # code points
ALONE: Final = "the engine was away: this host sent it alone, and another may have sent it"
FORGOTTEN: Final = "the engine lost what it held: it was handed over again"

OPEN_STATES: Final = "('queued', 'sending', 'held')"
_encode = msgspec.msgpack.Encoder().encode


class Try(msgspec.Struct, frozen=True, array_like=True):
    """An attempt of another host, on this host's steady clock."""

    number: int
    started: float
    ended: float | None
    outcome: str | None
    reason: str | None
    edits: str | None = None


_tries_of = msgspec.msgpack.Decoder(tuple[Try, ...]).decode


class Waiting(msgspec.Struct, frozen=True):
    """So many deliveries wait for a destination. Another host may have sent those `in_doubt`, and did not say."""

    destination: str
    is_own: bool  # this host accepted them
    is_known: bool  # the engine has them
    n: int
    in_doubt: int


def in_doubt(host: str) -> str:
    """The note of a delivery that a host began to send, and that ended there in an unknown way."""
    return f"{host} began an attempt and did not say how it ended: it died, or lost the engine"


def tries(connection: sqlite3.Connection, delivery: int) -> tuple[Try, ...]:
    """The last attempts of a delivery here."""
    rows = connection.execute(
        "SELECT number, started, ended, outcome, substr(reason, 1, ?), edits FROM attempts WHERE delivery = ?"
        " ORDER BY number DESC LIMIT ?",
        (MAX_REASON, delivery, MAX_TRIES),
    )
    return tuple(reversed([Try(*row) for row in rows]))


def waiting(connection: sqlite3.Connection, *, host: str, destinations: Sequence[str]) -> list[Waiting]:
    """The open deliveries of these destinations, counted."""
    rows = connection.execute(
        "SELECT d.destination, coalesce(s.origin, ?1) = ?1, coalesce(s.stage = 'waits', 0), count(*), sum(d.doubt)"  # noqa: S608 - constant text
        " FROM deliveries d LEFT JOIN shared s ON s.delivery = d.number"
        f" WHERE d.state IN {OPEN_STATES} AND d.destination IN (SELECT value FROM json_each(?2)) GROUP BY 1, 2, 3",
        (host, json.dumps(list(destinations))),
    )
    return [Waiting(name, bool(own), bool(known), n, in_doubt) for name, own, known, n, in_doubt in rows]


def origins(connection: sqlite3.Connection, host: str, deliveries: Collection[int]) -> dict[int, str]:
    """Which other host accepted each of these deliveries, by number."""
    rows = connection.execute(
        "SELECT delivery, origin FROM shared WHERE origin <> ? AND delivery IN (SELECT value FROM json_each(?))",
        (host, json.dumps(list(deliveries))),
    )
    return dict(rows.fetchall())


def expire_foreign(connection: sqlite3.Connection, host: str, now: float) -> list[tuple[str, str, str]]:
    """Expire deliveries of other hosts: signal, destination and host of each. The accepting host reports them to people."""
    rows = connection.execute(
        "SELECT d.number, s.id, d.destination, e.origin, d.doubt FROM deliveries d JOIN signals s ON s.number = d.signal"
        " JOIN shared e ON e.delivery = d.number"
        " WHERE d.state IN ('queued', 'held') AND d.deadline IS NOT NULL AND d.deadline <= ? AND e.origin <> ? LIMIT ?",
        (now, host, maintenance.CHUNK),
    ).fetchall()
    for number, *_, doubt in rows:
        maintenance.close(connection, number, State.EXPIRED, maintenance.expired_reason(doubt=doubt), now)
    connection.executemany("DELETE FROM unseen WHERE delivery = ?", [(number,) for number, *_ in rows])
    return [(id_, destination, origin) for _, id_, destination, origin, _ in rows]


def record(connection: sqlite3.Connection, id_: str, sender: str, made: Sequence[Try], note: str | None) -> None:
    """Store the attempts of another host, the sender, for a delivery of this one."""
    connection.execute(
        "UPDATE shared SET sender = ?, tries = ?, note = coalesce(?, note) WHERE id = ?",
        (sender, _encode(made) if made else None, note, id_),
    )


def note_attempts(connection: sqlite3.Connection, hosts: Mapping[str, str]) -> None:
    """Note which host began an attempt, by the id of the delivery over all hosts."""
    connection.executemany(
        "UPDATE shared SET note = ? WHERE id = ?", [(in_doubt(host), id_) for id_, host in hosts.items()]
    )


def note_alone(connection: sqlite3.Connection, deliveries: Collection[int]) -> None:
    """Note that this host sends these deliveries alone although the engine has them."""
    connection.execute(
        "UPDATE shared SET note = ? WHERE epoch IS NOT NULL AND delivery IN (SELECT value FROM json_each(?))",
        (ALONE, json.dumps(list(deliveries))),
    )


def note_loss(connection: sqlite3.Connection, host: str, target: str) -> None:
    """Note that the engine has lost what this host handed over."""
    connection.execute(
        "UPDATE shared SET note = ? WHERE target = ? AND origin = ? AND stage IN ('begun', 'waits') AND epoch IS NOT NULL",
        (FORGOTTEN, target, host),
    )


def of(connection: sqlite3.Connection, delivery: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The part `shared` of a delivery (empty: it is not), and the attempts of another host."""
    row = connection.execute(
        "SELECT origin, stage, since, sender, note, tries FROM shared WHERE delivery = ?", (delivery,)
    ).fetchone()
    if row is None:
        return {}, []
    origin, stage, since, sender, note, packed = row
    told = {"accepted_by": origin, "stage": stage, "since": since, "sent_by": sender, "note": note}
    made = [msgspec.structs.asdict(each) | {"host": sender} for each in _tries_of(packed or b"\x90")]
    return {"shared": told}, made
