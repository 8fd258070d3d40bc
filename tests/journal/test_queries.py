from __future__ import annotations

import sqlite3
from typing import cast

import pytest
from tests.journal.factories import NOW, begun, ended, folded, put, tried

from tocsind.journal import queries
from tocsind.policy.delivery import OPEN, Priority, State


def test_an_unknown_id_has_no_story(books: sqlite3.Connection) -> None:
    assert queries.why(books, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None
    assert queries.states(books, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None


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
def test_one_word_for_a_signal(states: list[State], word: str) -> None:
    assert queries.summary(states) == word


@pytest.mark.parametrize("state", State)
def test_a_signal_is_open_as_long_as_one_delivery_is(state: State) -> None:
    assert (queries.summary([state]) == "queued") is (state in OPEN)


def test_the_queue_lists_what_is_open_or_dead_in_sending_order(books: sqlite3.Connection) -> None:
    low = put(books, "a", priority=Priority.LOW, title="low")
    first = put(books, "a", title="first")
    second = put(books, "a", title="second")
    sent = put(books, "b")
    tried(books, "b", State.SENT)
    dead = put(books, "c")
    tried(books, "c", State.DEAD)
    rows = queries.queue(books, None, None, 100)
    assert [row["id"] for row in rows] == [first, second, dead, low]
    assert (rows[0]["title"], rows[0]["priority"], rows[0]["accepted"]) == ("first", "normal", NOW)
    assert [row["id"] for row in queries.queue(books, "sent", None, 100)] == [sent]
    assert [row["id"] for row in queries.queue(books, None, "c", 100)] == [dead]
    assert [row["id"] for row in queries.queue(books, "queued", "a", 2)] == [first, second]


def test_the_age_of_each_queue_is_that_of_its_oldest(books: sqlite3.Connection) -> None:
    assert queries.ages(books) == {}
    put(books, "a", accepted=NOW + 5)
    put(books, "b", accepted=NOW + 3)
    put(books, "b", accepted=NOW + 4)
    put(books, "b", accepted=NOW + 9, priority=Priority.LOW)
    normal = Priority.NORMAL
    assert queries.ages(books) == {("a", normal): NOW + 5, ("b", normal): NOW + 3, ("b", Priority.LOW): NOW + 9}


def test_what_is_being_sent_grows_old_as_well(books: sqlite3.Connection) -> None:
    put(books, "a", accepted=NOW + 3)
    (delivery,) = begun(books, "a")
    assert queries.ages(books) == {("a", Priority.NORMAL): NOW + 3}
    put(books, "a", accepted=NOW + 7)
    assert queries.ages(books) == {("a", Priority.NORMAL): NOW + 3}
    ended(books, delivery, State.SENT)
    assert queries.ages(books) == {("a", Priority.NORMAL): NOW + 7}


def undelivered(books: sqlite3.Connection) -> int:
    found, place = 0, cast("queries.Position | None", queries.BEGINNING)
    while place is not None:
        lost, place = queries.undelivered(books, place)
        found += lost
    return found


def test_undelivered_is_what_is_dead_and_reached_nobody_else(books: sqlite3.Connection) -> None:
    put(books, "a")
    tried(books, "a", State.DEAD)
    assert undelivered(books) == 1
    put(books, "a", "b")
    tried(books, "a", State.DEAD)
    assert undelivered(books) == 1, "it may still reach b"
    (delivery,) = begun(books, "b")
    ended(books, delivery, State.SENT)
    assert undelivered(books) == 1, "it has reached b"
    put(books, "a", "b")
    tried(books, "a", State.DEAD)
    tried(books, "b", State.DEAD)
    assert undelivered(books) == 3


def test_what_a_digest_tells_has_not_reached_nobody(books: sqlite3.Connection) -> None:
    put(books, "a", "b")
    folded(books, "a")
    tried(books, "b", State.DEAD)
    assert undelivered(books) == 0


def test_what_is_dead_is_looked_at_in_chunks(books: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_ROWS", 2)
    for _ in range(3):
        put(books, "a", "b")
        tried(books, "a", State.DEAD)
        tried(books, "b", State.SENT)
    put(books, "c")
    tried(books, "c", State.DEAD)
    found, place = queries.undelivered(books, queries.BEGINNING)
    assert (found, place is None) == (0, False)
    assert place is not None
    assert queries.undelivered(books, place)[0] == 1
    assert undelivered(books) == 1


def test_what_is_dead_is_found_by_its_index(books: sqlite3.Connection) -> None:
    plan = books.execute(
        "EXPLAIN QUERY PLAN SELECT d.destination, d.number FROM deliveries d WHERE d.state = 'dead'"
        " AND (d.destination, d.number) > ('', 7) ORDER BY d.destination, d.number LIMIT 1000"
    ).fetchall()
    assert ["INDEX dead" in plan[0][3], len(plan)] == [True, 1]


def test_the_size_is_what_is_in_use(books: sqlite3.Connection) -> None:
    empty = queries.size(books)
    for _ in range(25):
        put(books, "a", body="x" * 4000)
    full = queries.size(books)
    assert full > empty + 90_000
    books.execute("DELETE FROM signals")
    assert queries.size(books) < full


def test_a_signal_stands_in_the_states_of_all_its_deliveries(books: sqlite3.Connection) -> None:
    waits, sent, dead = put(books, "a"), put(books, "b"), put(books, "c")
    tried(books, "b", State.SENT)
    tried(books, "c", State.DEAD)
    assert queries.delivery_states(books, [waits, sent, dead, "01ARZ3NDEKTSV4RRFFQ69G5FAV"]) == {
        waits: {State.QUEUED},
        sent: {State.SENT},
        dead: {State.DEAD},
    }
    assert queries.delivery_states(books, []) == {}
