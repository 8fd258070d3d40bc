from __future__ import annotations

import sqlite3

import pytest
from tests.journal.made import NOW, put, tried

from tocsind.journal import reading
from tocsind.policy.delivery import OPEN, Priority, State


def test_an_unknown_id_has_no_story(books: sqlite3.Connection) -> None:
    assert reading.why(books, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None
    assert reading.states(books, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None


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
    assert reading.summary(states) == word


@pytest.mark.parametrize("state", State)
def test_a_signal_is_open_as_long_as_one_delivery_is(state: State) -> None:
    assert (reading.summary([state]) == "queued") is (state in OPEN)


def test_the_queue_lists_what_is_open_or_dead_in_sending_order(books: sqlite3.Connection) -> None:
    low = put(books, "a", priority=Priority.LOW, title="low")
    first = put(books, "a", title="first")
    second = put(books, "a", title="second")
    sent = put(books, "b")
    tried(books, "b", State.SENT)
    dead = put(books, "c")
    tried(books, "c", State.DEAD)
    rows = reading.queue(books, None, None, 100)
    assert [row["id"] for row in rows] == [first, second, dead, low]
    assert (rows[0]["title"], rows[0]["priority"], rows[0]["accepted"]) == ("first", "normal", NOW)
    assert [row["id"] for row in reading.queue(books, "sent", None, 100)] == [sent]
    assert [row["id"] for row in reading.queue(books, None, "c", 100)] == [dead]
    assert [row["id"] for row in reading.queue(books, "queued", "a", 2)] == [first, second]


def test_the_oldest_is_the_longest_waiting_of_the_lanes_asked_about(books: sqlite3.Connection) -> None:
    put(books, "a", accepted=NOW + 5)
    put(books, "b", accepted=NOW + 3)
    put(books, "b", accepted=NOW + 9, priority=Priority.LOW)
    lanes = [("a", Priority.NORMAL), ("b", Priority.LOW)]
    assert reading.oldest(books, lanes) == NOW + 5
    assert reading.oldest(books, [*lanes, ("b", Priority.NORMAL)]) == NOW + 3
    assert reading.oldest(books, [("nobody", Priority.URGENT)]) is None
    assert reading.oldest(books, []) is None


def test_the_size_is_what_is_in_use(books: sqlite3.Connection) -> None:
    empty = reading.size(books)
    put(books, "a", body="x" * 100_000)
    full = reading.size(books)
    assert full > empty + 90_000
    books.execute("DELETE FROM signals")
    assert reading.size(books) < full
