from __future__ import annotations

import sqlite3

import pytest
from tests.journal.factories import NOW, arrival, begun, column, counted, ended, fed, put, states_of, tallied

from tocsind.journal import queries, queue
from tocsind.journal.queue import NO_ROUTE, UNROUTED
from tocsind.policy.delivery import Priority, State


def test_append_queues_signal_for_each_destination(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", "b", priority=Priority.HIGH, body="text", fields={"rsi": 33.5, "live": True, "note": None})
    for name in ("a", "b"):
        (delivery,) = fed(database, name, Priority.HIGH)
        assert (delivery.id, delivery.destination, delivery.priority) == (id_, name, Priority.HIGH)
        assert (delivery.attempts, delivery.first_try, delivery.maybe_duplicate, delivery.unknown_count) == (
            0,
            None,
            False,
            0,
        )
        assert delivery.signal.fields == {"rsi": 33.5, "live": True, "note": None}
        assert delivery.signal.body == "text"
    assert fed(database, "a", Priority.NORMAL) == []


def test_append_stores_same_id_once_within_one_job(database: sqlite3.Connection) -> None:
    one = arrival("a")
    assert queue.append(database, [one, one]) == [True, False]
    assert queue.append(database, [one, arrival("a")]) == [False, True]
    assert len(fed(database, "a")) == 2


def test_append_of_duplicate_adds_no_destination(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    assert queue.append(database, [arrival("b", id=id_)]) == [False]
    assert states_of(database, id_) == {"a": "queued"}


def test_append_without_route_is_dead_with_reason(database: sqlite3.Connection) -> None:
    id_ = put(database)
    story = queries.why(database, id_)
    assert story is not None
    assert [(each["destination"], each["state"], each["reason"]) for each in story["deliveries"]] == [
        (UNROUTED, "dead", NO_ROUTE)
    ]


def test_append_queues_signal_for_a_destination_only_once(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    (number,) = column(database, "signal", id_)
    assert queue.add_delivery(database, number, "a", Priority.URGENT, NOW) is False
    assert queue.add_delivery(database, number, "b", Priority.URGENT, NOW) is True
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        database.execute(
            "INSERT INTO deliveries (signal, destination, priority, state, since) VALUES (?, 'a', 0, 'x', 0)", (number,)
        )


def test_feed_reads_in_order_of_acceptance_from_its_cursor(database: sqlite3.Connection) -> None:
    ids = [put(database, "a") for _ in range(10)]
    first = fed(database, "a", most=4)
    rest = fed(database, "a", after=first[-1].number)
    assert [delivery.id for delivery in first + rest] == ids
    assert fed(database, "a", after=rest[-1].number) == []


def test_feed_reads_only_queued_deliveries(database: sqlite3.Connection) -> None:
    sent = put(database, "a")
    (delivery,) = begun(database, "a")
    assert fed(database, "a") == []
    ended(database, delivery, State.SENT)
    waiting = put(database, "a")
    assert [delivery.id for delivery in fed(database, "a")] == [waiting]
    assert states_of(database, sent) == {"a": "sent"}


def test_feed_query_uses_the_index_in_its_order(database: sqlite3.Connection) -> None:
    plan = database.execute(
        "EXPLAIN QUERY PLAN SELECT number FROM deliveries"
        " WHERE destination = 'a' AND priority = 1 AND state = 'queued' AND number > 7 ORDER BY number LIMIT 64"
    ).fetchall()
    (step,) = (row[3] for row in plan)  # a second step would sort
    assert "INDEX waiting (destination=? AND priority=? AND number>?)" in step


def test_append_turns_expires_into_deadline(database: sqlite3.Connection) -> None:
    put(database, "a", expires=90)
    put(database, "a")
    assert [delivery.deadline for delivery in fed(database, "a")] == [NOW + 90, None]


def test_append_records_the_sender(database: sqlite3.Connection) -> None:
    story = queries.why(database, put(database, "a"))
    assert story is not None
    assert (story["uid"], story["pid"], story["accepted"]) == (1000, 4711, NOW)


def test_tally_counts_new_signals(database: sqlite3.Connection) -> None:
    put(database, "a", "b")
    put(database, "a", priority=Priority.LOW)
    put(database)
    assert tallied(database) == counted(database)
    assert tallied(database)["a", 2, "queued"] == 1
