from __future__ import annotations

import sqlite3
from typing import cast

import pytest
from tests.journal.factories import NOW, begun, digest_oldest, ended, put, tried

from tocsind.journal import queries
from tocsind.policy.delivery import OPEN, Priority, State


def test_why_of_unknown_id_is_none(database: sqlite3.Connection) -> None:
    assert queries.why(database, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None
    assert queries.states(database, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([State.SENT, State.QUEUED], "queued"),
        ([State.DEAD, State.SENDING], "queued"),
        ([State.SENT], "delivered"),
        ([State.UNKNOWN, State.DEAD], "delivered"),
        ([State.REROUTED, State.SENT], "delivered"),
        ([State.DEAD, State.EXPIRED], "dead"),
        ([State.EXPIRED], "dropped"),
        ([State.DROPPED, State.REROUTED], "dropped"),
    ],
)
def test_summary_is_one_word_for_a_signal(states: list[State], word: str) -> None:
    assert queries.summary(states) == word


@pytest.mark.parametrize("state", State)
def test_summary_is_open_while_a_delivery_is_open(state: State) -> None:
    assert (queries.summary([state]) == "queued") is (state in OPEN)


def test_queue_lists_open_or_dead_in_sending_order(database: sqlite3.Connection) -> None:
    low = put(database, "a", priority=Priority.LOW, title="low")
    first = put(database, "a", title="first")
    second = put(database, "a", title="second")
    sent = put(database, "b")
    tried(database, "b", State.SENT)
    dead = put(database, "c")
    tried(database, "c", State.DEAD)
    rows = queries.queue(database, None, None, 100)
    assert [row["id"] for row in rows] == [first, second, dead, low]
    assert (rows[0]["title"], rows[0]["priority"], rows[0]["accepted"]) == ("first", "normal", NOW)
    assert [row["id"] for row in queries.queue(database, "sent", None, 100)] == [sent]
    assert [row["id"] for row in queries.queue(database, None, "c", 100)] == [dead]
    assert [row["id"] for row in queries.queue(database, "queued", "a", 2)] == [first, second]


def test_ages_are_those_of_the_oldest_in_each_queue(database: sqlite3.Connection) -> None:
    assert queries.ages(database) == {}
    put(database, "a", accepted=NOW + 5)
    put(database, "b", accepted=NOW + 3)
    put(database, "b", accepted=NOW + 4)
    put(database, "b", accepted=NOW + 9, priority=Priority.LOW)
    normal = Priority.NORMAL
    assert queries.ages(database) == {("a", normal): NOW + 5, ("b", normal): NOW + 3, ("b", Priority.LOW): NOW + 9}


def test_ages_include_deliveries_in_flight(database: sqlite3.Connection) -> None:
    put(database, "a", accepted=NOW + 3)
    (delivery,) = begun(database, "a")
    assert queries.ages(database) == {("a", Priority.NORMAL): NOW + 3}
    put(database, "a", accepted=NOW + 7)
    assert queries.ages(database) == {("a", Priority.NORMAL): NOW + 3}
    ended(database, delivery, State.SENT)
    assert queries.ages(database) == {("a", Priority.NORMAL): NOW + 7}


def undelivered(database: sqlite3.Connection) -> int:
    found, place = 0, cast("queries.Position | None", queries.BEGINNING)
    while place is not None:
        lost, place = queries.undelivered(database, place)
        found += lost
    return found


def test_undelivered_counts_dead_signals_that_arrived_nowhere(database: sqlite3.Connection) -> None:
    put(database, "a")
    tried(database, "a", State.DEAD)
    assert undelivered(database) == 1
    put(database, "a", "b")
    tried(database, "a", State.DEAD)
    assert undelivered(database) == 1, "it may still reach b"
    (delivery,) = begun(database, "b")
    ended(database, delivery, State.SENT)
    assert undelivered(database) == 1, "it has reached b"
    put(database, "a", "b")
    tried(database, "a", State.DEAD)
    tried(database, "b", State.DEAD)
    assert undelivered(database) == 3


def test_undelivered_leaves_out_digested_signals(database: sqlite3.Connection) -> None:
    put(database, "a", "b")
    digest_oldest(database, "a")
    tried(database, "b", State.DEAD)
    assert undelivered(database) == 0


def test_undelivered_goes_in_chunks(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_ROWS", 2)
    for _ in range(3):
        put(database, "a", "b")
        tried(database, "a", State.DEAD)
        tried(database, "b", State.SENT)
    put(database, "c")
    tried(database, "c", State.DEAD)
    found, place = queries.undelivered(database, queries.BEGINNING)
    assert (found, place is None) == (0, False)
    assert place is not None
    assert queries.undelivered(database, place)[0] == 1
    assert undelivered(database) == 1


def test_undelivered_query_uses_the_index(database: sqlite3.Connection) -> None:
    plan = database.execute(
        "EXPLAIN QUERY PLAN SELECT d.destination, d.number FROM deliveries d WHERE d.state = 'dead'"
        " AND (d.destination, d.number) > ('', 7) ORDER BY d.destination, d.number LIMIT 1000"
    ).fetchall()
    assert ["INDEX dead" in plan[0][3], len(plan)] == [True, 1]


def test_size_is_bytes_in_use(database: sqlite3.Connection) -> None:
    empty = queries.size(database)
    for _ in range(25):
        put(database, "a", body="x" * 4000)
    full = queries.size(database)
    assert full > empty + 90_000
    database.execute("DELETE FROM signals")
    assert queries.size(database) < full


def test_delivery_states_has_all_deliveries_of_a_signal(database: sqlite3.Connection) -> None:
    waits, sent, dead = put(database, "a"), put(database, "b"), put(database, "c")
    tried(database, "b", State.SENT)
    tried(database, "c", State.DEAD)
    assert queries.delivery_states(database, [waits, sent, dead, "01ARZ3NDEKTSV4RRFFQ69G5FAV"]) == {
        waits: {State.QUEUED},
        sent: {State.SENT},
        dead: {State.DEAD},
    }
    assert queries.delivery_states(database, []) == {}
