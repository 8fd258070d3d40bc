"""Row by row from a damaged journal into a fresh one: sound rows are copied, the others are counted.

A table is read in the order of its numbers. Where that fails, every number behind the failure is read alone, so a broken page costs only
the rows on it. A row must be what its readers expect: a job that meets a row it cannot read would end the daemon at each start.

Deliveries that were open in the damaged journal may have arrived all the same, so they are marked as possible duplicates. A signal whose
deliveries are all lost is delivered again, marked too, when it is younger than a day; older ones were delivered long ago, and are only
kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from tocsin.signals import PRIORITIES
from tocsind.policy.delivery import Priority, State
from tocsind.policy.expectation import Stage
from tocsind.policy.live_message import Line
from tocsind.policy.silence import Pair

from .digests import BELOW

RECOVERED = "recovered"  # the destination of signals that lost their deliveries: none of that name exists, so their routes decide
REASON = "recovered from a damaged journal"
MAX_AGE = 86_400.0  # seconds
_MAX_GAPS = 1_000_000  # numbers that are read one by one in one table

_body = msgspec.msgpack.Decoder(dict[str, Any]).decode
_lines = msgspec.msgpack.Decoder(tuple[Line, ...]).decode
_names = msgspec.json.Decoder(list[str]).decode
_pairs = msgspec.json.Decoder(list[Pair]).decode
_STATES = frozenset(state.value for state in State)

Row = tuple[Any, ...]


class Tally(NamedTuple):
    """What became of a journal: signals and deliveries kept, rows that could not be read, and signals that are delivered again."""

    signals: int
    deliveries: int
    unreadable: int
    owed_again: int


class _Table(NamedTuple):
    """`number`: the column by which single rows are read; None: by none. `is_sound` judges a row as a mapping of its columns."""

    name: str
    number: str | None
    is_sound: Callable[[dict[str, Any]], bool]


def _is_signal(row: dict[str, Any]) -> bool:
    body = _body(row["body"])
    return isinstance(body.get("title", ""), str) and isinstance(row["id"], str) and bool(row["id"])


def _is_delivery(row: dict[str, Any]) -> bool:
    return row["state"] in _STATES and row["priority"] in range(len(PRIORITIES)) and isinstance(row["destination"], str)


def _is_live_message(row: dict[str, Any]) -> bool:
    return isinstance(_lines(row["lines"]), tuple)


def _is_silence(row: dict[str, Any]) -> bool:
    return bool(_pairs(row["keys"]))


def _is_expectation(row: dict[str, Any]) -> bool:
    return bool(Stage(row["stage"])) and _names(row["destinations"]) is not None and _names(row["alarmed"]) is not None


def _is_anything(_: dict[str, Any]) -> bool:
    return True


_TABLES = (
    _Table("signals", "number", _is_signal),
    _Table("deliveries", "number", _is_delivery),
    _Table("attempts", None, _is_anything),
    _Table("requests", "number", _is_anything),
    _Table("lanes", None, _is_anything),
    _Table("scopes", None, _is_anything),
    _Table("living", None, _is_live_message),
    _Table("boots", None, _is_anything),
    _Table("outboxes", None, _is_anything),
    _Table("silences", None, _is_silence),
    _Table("expectations", None, _is_expectation),
    _Table("shared", "delivery", _is_anything),
    _Table("acknowledged", None, _is_anything),
    _Table("acknowledged_stories", None, _is_anything),
)
_REPORTS = (_Table("unseen", "delivery", _is_anything), _Table("alarms", None, _is_anything))


def salvage(source: sqlite3.Connection, fresh: sqlite3.Connection, now: float, *, in_doubt: bool) -> Tally:
    """Fill a fresh journal with all sound rows of `source`. `in_doubt`: deliveries that are open there may have arrived."""
    fresh.execute("BEGIN IMMEDIATE")
    unreadable = sum(_copy(source, fresh, table) for table in _TABLES)
    fresh.execute(
        "DELETE FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM signals s WHERE s.number = deliveries.signal)"
    )
    fresh.execute("DELETE FROM shared WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.number = shared.delivery)")
    _copy_redo(source, fresh)
    _copy_reports(source, fresh)
    if in_doubt:
        fresh.execute("UPDATE deliveries SET doubt = 1 WHERE state IN ('held', 'queued', 'sending')")
    owed = _requeue_lost(fresh, now)
    signals, deliveries = _counted(fresh)
    fresh.execute("COMMIT")
    return Tally(signals, deliveries, unreadable, owed)


def supplement(
    older: sqlite3.Connection, fresh: sqlite3.Connection, now: float, kept: Tally, *, in_doubt: bool
) -> Tally:
    """Add the signals that only an older state of the journal has: a page that leads to them is broken."""
    fresh.execute("BEGIN IMMEDIATE")
    for table in ("signals", "deliveries"):
        fresh.execute(f"CREATE TEMP TABLE known_{table} AS SELECT number FROM {table}")  # noqa: S608 - constant names
    for each in _TABLES[:2]:
        _copy(older, fresh, each)
    fresh.execute(
        "DELETE FROM deliveries WHERE number NOT IN (SELECT number FROM known_deliveries) AND"
        " (signal IN (SELECT number FROM known_signals) OR signal NOT IN (SELECT number FROM signals))"
    )
    if in_doubt:
        fresh.execute("UPDATE deliveries SET doubt = 1 WHERE state IN ('held', 'queued', 'sending')")
    owed = _requeue_lost(fresh, now)
    signals, deliveries = _counted(fresh)
    fresh.execute("COMMIT")
    return kept._replace(signals=signals, deliveries=deliveries, owed_again=kept.owed_again + owed)


def _counted(fresh: sqlite3.Connection) -> list[int]:
    return [fresh.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("signals", "deliveries")]  # noqa: S608 - constant names


def _copy_redo(source: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
    """Copy the position of the redo log, so that the log is imported."""
    with suppress(sqlite3.DatabaseError, UnicodeError):
        for row in source.execute("SELECT salt, applied FROM redo").fetchall():
            fresh.execute("UPDATE redo SET salt = ?, applied = ?", row)


def _copy_reports(source: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
    """Copy the pending reports. The triggers have listed every dead delivery again, also those that were reported long ago."""
    fresh.execute("DELETE FROM unseen")
    for table in _REPORTS:
        _copy(source, fresh, table)
    fresh.execute("DELETE FROM unseen WHERE delivery NOT IN (SELECT number FROM deliveries)")


def count_unreadable(source: sqlite3.Connection) -> int:
    """How many rows of a journal its readers could not read. Raises sqlite3.DatabaseError when a table cannot be read to its end."""
    found = 0
    for table in _TABLES:
        cursor = source.execute(f"SELECT * FROM {table.name}")  # noqa: S608 - constant names
        names = [column[0] for column in cursor.description]
        found += sum(not _sound(table, names, row) for row in cursor)
    return found


def _copy(source: sqlite3.Connection, fresh: sqlite3.Connection, table: _Table) -> int:
    """Copy one table; returns how many rows were lost, as far as is known."""
    wanted = {row[1] for row in fresh.execute(f"PRAGMA table_info({table.name})")}
    try:
        names = [row[1] for row in source.execute(f"PRAGMA table_info({table.name})") if row[1] in wanted]
    except (sqlite3.DatabaseError, UnicodeError):
        names = []
    if not names:
        return 1
    columns, marks = ", ".join(names), ", ".join("?" * len(names))
    insert = f"INSERT OR IGNORE INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - columns of a constant table
    lost = 0
    for row in _rows(source, table, columns):
        lost += row is None or not (_sound(table, names, row) and _insert(fresh, insert, row))
    return lost


def _sound(table: _Table, names: Sequence[str], row: Row) -> bool:
    try:
        return table.is_sound(dict(zip(names, row, strict=True)))
    except (msgspec.MsgspecError, UnicodeError, TypeError, ValueError, KeyError, AttributeError):
        return False


def _insert(fresh: sqlite3.Connection, insert: str, row: Row) -> bool:
    try:
        return fresh.execute(insert, row).rowcount == 1
    except sqlite3.IntegrityError:  # a type that the column does not accept
        return False


def _rows(source: sqlite3.Connection, table: _Table, columns: str) -> Iterator[Row | None]:
    """All rows, and None for each that is known to be lost."""
    select = f"SELECT {table.number or 1}, {columns} FROM {table.name}"  # noqa: S608 - as above
    order = f" ORDER BY {table.number}" if table.number else ""
    last: int | None = None
    try:
        for number, *row in source.execute(select + order):
            last = number
            yield tuple(row)
    except (sqlite3.DatabaseError, UnicodeError):
        yield None
    else:
        return
    if table.number:
        yield from _one_by_one(source, f"{select} WHERE {table.number} = ?", _numbers(source, table.name, last))


def _one_by_one(source: sqlite3.Connection, select: str, numbers: Iterable[int]) -> Iterator[Row | None]:
    for number in numbers:
        try:
            found = source.execute(select, (number,)).fetchone()
        except (sqlite3.DatabaseError, UnicodeError):
            yield None
        else:
            if found is not None:
                yield tuple(found[1:])


def _numbers(source: sqlite3.Connection, table: str, last: int | None) -> Iterator[int]:
    """The numbers after the last one read: first the digests' deliveries, whose numbers are far below zero, then all others."""
    top = min(_highest(source, table), _MAX_GAPS + max(0, last or 0))
    digests = range(1 - BELOW, _highest(source, "signals") + 1 - BELOW) if table == "deliveries" else range(0)
    for number in (*digests, *range(1, top + 1)):
        if last is None or number > last:
            yield number


def _highest(source: sqlite3.Connection, table: str) -> int:
    """The highest number that a table ever gave, or has."""
    for query in (
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",  # noqa: S608 - constant names
        f"SELECT max(number) FROM {table}",  # noqa: S608 - as above
    ):
        try:
            row = source.execute(query).fetchone()
        except (sqlite3.DatabaseError, UnicodeError):
            continue
        if row and isinstance(row[0], int):
            return max(0, row[0])
    return 0


def _requeue_lost(fresh: sqlite3.Connection, now: float) -> int:
    """Queue signals that lost all their deliveries, marked as possible duplicates; returns how many."""
    rows = fresh.execute(
        "SELECT number, body, accepted + skew FROM signals s WHERE accepted + skew > ? AND stands_for IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.signal = s.number)",
        (now - MAX_AGE,),
    ).fetchall()
    for number, raw, accepted in rows:
        body = _body(raw)
        expires, label = body.get("expires"), body.get("priority")
        deadline = accepted + expires if isinstance(expires, (int, float)) else None
        priority = PRIORITIES.index(label) if label in PRIORITIES else Priority.NORMAL.value
        key = body["key"] if isinstance(body.get("key"), str) and body["key"] else None
        fresh.execute(
            "INSERT INTO deliveries (signal, destination, priority, state, since, reason, deadline, doubt, key)"
            " VALUES (?, ?, ?, 'queued', ?, ?, ?, 1, ?)",
            (number, RECOVERED, priority, now, REASON, deadline, key),
        )
    return len(rows)
