"""A file of the first version, with content, opened by the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.journal.factories import NOW, begun, counted, digest_oldest, ended, fed, put, states_of, tallied

from tocsin.signals import Signal
from tocsind.journal import LaneState, LimitState, RequestRecord, attempts, limiter_state, queries
from tocsind.journal.opening import FILE_NAME, open_journal
from tocsind.journal.schema import MIGRATIONS
from tocsind.policy.delivery import State

SIGNAL = Signal("BUY BTCUSDT")
SENT = Signal("SELL BTCUSDT")

INTO_THE_FIRST = f"""
INSERT INTO signals (id, accepted, uid, pid, body) VALUES ('{SIGNAL.id}', {NOW}, 1000, 7, :first), ('{SENT.id}', {NOW}, 1000, 7, :second);
INSERT INTO deliveries (signal, destination, priority, state, since, attempts, first_try, doubt)
    VALUES (1, 'a', 2, 'sending', {NOW}, 1, {NOW}, 0), (1, 'b', 2, 'queued', {NOW}, 0, NULL, 1), (2, 'a', 2, 'sent', {NOW}, 1, {NOW}, 0);
INSERT INTO attempts (delivery, number, started) VALUES (1, 1, {NOW});
INSERT INTO requests VALUES ('a', {NOW - 2}), ('a', {NOW - 1}), ('b', {NOW});
INSERT INTO lanes VALUES
    ('a', 'f1e2', NULL, 2, 1, {NOW + 5}, '503', {NOW + 30}, 'an hour', 3),
    ('b', 'f1e2', NULL, 0, 0, NULL, NULL, {NOW + 60}, 'a longer hour', 0),
    ('c', 'beef', '404', 0, 0, NULL, NULL, NULL, NULL, 1);
"""


def fill(connection: sqlite3.Connection) -> None:
    """Deliveries in flight and settled, as the first version stored them."""
    bodies = {"first": msgspec.msgpack.encode(SIGNAL.as_dict()), "second": msgspec.msgpack.encode(SENT.as_dict())}
    for statement in filter(str.strip, INTO_THE_FIRST.split(";")):
        connection.execute(statement, bodies if ":first" in statement else {})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A journal that the first version wrote."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as old:
        old.execute("PRAGMA auto_vacuum = INCREMENTAL")
        old.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1;")
        fill(old)
    with closing(open_journal(tmp_path)) as connection:
        yield connection


def test_migration_keeps_queued_deliveries_and_counts(database: sqlite3.Connection) -> None:
    assert states_of(database, SIGNAL.id) == {"a": "sending", "b": "queued"}
    assert states_of(database, SENT.id) == {"a": "sent"}
    assert tallied(database) == counted(database)
    (delivery,) = fed(database, "b")
    assert (delivery.signal, delivery.maybe_duplicate, delivery.plain_format) == (SIGNAL, True, False)


def test_migration_requeues_deliveries_in_flight_marked_as_duplicate(database: sqlite3.Connection) -> None:
    assert attempts.replay(database, NOW + 9) == 1
    (delivery,) = begun(database, "a", NOW + 10)
    assert (delivery.attempts, delivery.maybe_duplicate) == (2, True)
    ended(database, delivery, State.SENT)
    assert queries.states(database, SIGNAL.id) == "queued"


def test_migration_keeps_requests_as_those_of_their_destination(database: sqlite3.Connection) -> None:
    assert limiter_state.requests(database, "a", "a") == [
        RequestRecord(at, expedited=False, destination="a") for at in (NOW - 2, NOW - 1)
    ]
    assert limiter_state.requests(database, "channel:discord:1", "b") == [
        RequestRecord(NOW, expedited=False, destination="b")
    ]


def test_migration_moves_block_to_the_webhook_and_keeps_the_longer_one(database: sqlite3.Connection) -> None:
    assert limiter_state.load_limit(database, "endpoint:f1e2") == LimitState("endpoint:f1e2", NOW + 60, "a longer hour")
    assert limiter_state.load_limit(database, "endpoint:beef") == LimitState("endpoint:beef")


def test_migration_keeps_other_lane_state(database: sqlite3.Connection) -> None:
    assert limiter_state.load_lane(database, "a") == LaneState("a", "f1e2", None, 2, 1, NOW + 5, "503", 3)
    assert limiter_state.load_lane(database, "c") == LaneState("c", "beef", "404", trips=1)


def test_migrated_file_works_like_a_fresh_one(database: sqlite3.Connection) -> None:
    id_ = put(database, "b")
    fold = digest_oldest(database, "b")
    assert fold is not None
    assert fold.originals == (SIGNAL.id, id_)
    assert tallied(database) == counted(database)


def test_migrated_file_has_the_tables_of_a_fresh_one(database: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    query = "SELECT type, name FROM sqlite_schema ORDER BY 1, 2"
    with closing(open_journal(tmp_path / "fresh")) as fresh:
        assert database.execute(query).fetchall() == fresh.execute(query).fetchall()
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
