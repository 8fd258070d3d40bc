from __future__ import annotations

import sqlite3

import pytest
from tests.journal.factories import NOW, arrival, begun, column, counted, ended, fed, put, standing, tallied

from tocsind.journal import queries, queue
from tocsind.journal.queue import NO_ROUTE, UNROUTED
from tocsind.policy.delivery import Priority, State


def test_a_signal_is_owed_to_each_of_its_destinations(books: sqlite3.Connection) -> None:
    id_ = put(books, "a", "b", priority=Priority.HIGH, body="text", fields={"rsi": 33.5, "live": True, "note": None})
    for name in ("a", "b"):
        (delivery,) = fed(books, name, Priority.HIGH)
        assert (delivery.id, delivery.destination, delivery.priority) == (id_, name, Priority.HIGH)
        assert (delivery.attempts, delivery.first_try, delivery.maybe_duplicate, delivery.unknown_count) == (
            0,
            None,
            False,
            0,
        )
        assert delivery.signal.fields == {"rsi": 33.5, "live": True, "note": None}
        assert delivery.signal.body == "text"
    assert fed(books, "a", Priority.NORMAL) == []


def test_the_same_id_is_stored_once_also_within_one_job(books: sqlite3.Connection) -> None:
    one = arrival("a")
    assert queue.append(books, [one, one]) == [True, False]
    assert queue.append(books, [one, arrival("a")]) == [False, True]
    assert len(fed(books, "a")) == 2


def test_a_duplicate_adds_no_destination(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    assert queue.append(books, [arrival("b", id=id_)]) == [False]
    assert standing(books, id_) == {"a": "queued"}


def test_what_no_route_takes_is_kept_as_dead_with_the_reason(books: sqlite3.Connection) -> None:
    id_ = put(books)
    told = queries.why(books, id_)
    assert told is not None
    assert [(each["destination"], each["state"], each["reason"]) for each in told["deliveries"]] == [
        (UNROUTED, "dead", NO_ROUTE)
    ]


def test_one_signal_is_owed_to_one_destination_once_for_ever(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    (number,) = column(books, "signal", id_)
    assert queue.add_delivery(books, number, "a", Priority.URGENT, NOW) is False
    assert queue.add_delivery(books, number, "b", Priority.URGENT, NOW) is True
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        books.execute(
            "INSERT INTO deliveries (signal, destination, priority, state, since) VALUES (?, 'a', 0, 'x', 0)", (number,)
        )


def test_a_feeder_reads_in_order_of_acceptance_from_its_cursor_on(books: sqlite3.Connection) -> None:
    ids = [put(books, "a") for _ in range(10)]
    first = fed(books, "a", most=4)
    rest = fed(books, "a", after=first[-1].number)
    assert [delivery.id for delivery in first + rest] == ids
    assert fed(books, "a", after=rest[-1].number) == []


def test_a_feeder_sees_only_what_is_queued(books: sqlite3.Connection) -> None:
    sent = put(books, "a")
    (delivery,) = begun(books, "a")
    assert fed(books, "a") == []
    ended(books, delivery, State.SENT)
    waiting = put(books, "a")
    assert [delivery.id for delivery in fed(books, "a")] == [waiting]
    assert standing(books, sent) == {"a": "sent"}


def test_the_feeders_query_is_answered_by_the_index_in_its_order(books: sqlite3.Connection) -> None:
    plan = books.execute(
        "EXPLAIN QUERY PLAN SELECT number FROM deliveries"
        " WHERE destination = 'a' AND priority = 1 AND state = 'queued' AND number > 7 ORDER BY number LIMIT 64"
    ).fetchall()
    (step,) = (row[3] for row in plan)  # a second one would sort
    assert "INDEX waiting (destination=? AND priority=? AND number>?)" in step


def test_expires_becomes_a_deadline_at_acceptance(books: sqlite3.Connection) -> None:
    put(books, "a", expires=90)
    put(books, "a")
    assert [delivery.deadline for delivery in fed(books, "a")] == [NOW + 90, None]


def test_who_sent_it_is_on_record(books: sqlite3.Connection) -> None:
    told = queries.why(books, put(books, "a"))
    assert told is not None
    assert (told["uid"], told["pid"], told["accepted"]) == (1000, 4711, NOW)


def test_the_tally_counts_what_came(books: sqlite3.Connection) -> None:
    put(books, "a", "b")
    put(books, "a", priority=Priority.LOW)
    put(books)
    assert tallied(books) == counted(books)
    assert tallied(books)["a", 2, "queued"] == 1
