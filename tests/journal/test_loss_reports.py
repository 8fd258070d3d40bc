from __future__ import annotations

import sqlite3

import pytest
from tests.journal.factories import NOW, begun, ended, folded, put, tried

from tocsind.journal import OpenAlarm, UnseenSignals, attempts, loss_reports, maintenance, queue, rerouting
from tocsind.policy.delivery import Priority, State


def expired(books: sqlite3.Connection, destination: str = "a", **fields: object) -> str:
    id_ = put(books, destination, expires=1, **fields)
    maintenance.expire(books, NOW + 1)
    return id_


def test_unseen_lists_what_expired_died_or_was_dropped_by_destination(books: sqlite3.Connection) -> None:
    first = expired(books, priority=Priority.LOW, title="one")
    second = expired(books, priority=Priority.URGENT, title="two")
    dropped = put(books, "b", title="three")
    maintenance.drop(books, dropped, NOW + 2)
    assert loss_reports.unseen(books) == [
        UnseenSignals(
            "a",
            "expired",
            2,
            2,
            NOW + 1,
            Priority.URGENT,
            ((second, "two", Priority.URGENT, NOW + 1), (first, "one", Priority.LOW, NOW + 1)),
        ),
        UnseenSignals("b", "dropped", 1, 3, NOW + 2, Priority.NORMAL, ((dropped, "three", Priority.NORMAL, NOW + 2),)),
    ]
    assert loss_reports.count_unseen(books) == {"a": 2, "b": 1}


def test_unseen_names_a_few_and_counts_all(books: sqlite3.Connection) -> None:
    for _ in range(20):
        expired(books)
    (found,) = loss_reports.unseen(books)
    assert (found.signals, len(found.shown)) == (20, loss_reports.MAX_SHOWN)


def test_unseen_counts_what_a_dead_digest_told(books: sqlite3.Connection) -> None:
    for _ in range(3):
        put(books, "a", source="theirs")
    assert folded(books, "a")
    (digest,) = begun(books, "a")
    ended(books, digest, State.DEAD, elsewhere=False)
    (found,) = loss_reports.unseen(books)
    assert (found.state, found.signals) == ("dead", 3)


def test_what_was_reported_is_not_listed_again_and_what_came_later_is(books: sqlite3.Connection) -> None:
    expired(books)
    (found,) = loss_reports.unseen(books)
    expired(books)
    loss_reports.reported(books, "a", "expired", found.last)
    assert [each.signals for each in loss_reports.unseen(books)] == [1]


def test_dead_delivery_waits_for_its_copy_and_is_forgotten_when_that_arrives(books: sqlite3.Connection) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    ended(books, delivery, State.DEAD, "b")
    assert loss_reports.unseen(books) == []
    assert loss_reports.count_unseen(books) == {"a": 1}
    tried(books, "b", State.SENT)
    assert loss_reports.unseen(books) == []
    assert loss_reports.count_unseen(books) == {}


def test_dead_delivery_whose_copy_dies_as_well_is_reported_at_both(books: sqlite3.Connection) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    ended(books, delivery, State.DEAD, "b")
    tried(books, "b", State.DEAD)
    assert [(each.destination, each.state) for each in loss_reports.unseen(books)] == [("a", "dead"), ("b", "dead")]


@pytest.mark.parametrize("all_of_them", [True, False])
def test_what_is_put_back_is_no_longer_unseen(books: sqlite3.Connection, all_of_them: bool) -> None:
    id_ = put(books, "a")
    (delivery,) = begun(books, "a")
    ended(books, delivery, State.DEAD, elsewhere=False)
    assert loss_reports.count_unseen(books) == {"a": 1}
    assert (maintenance.retry_all(books, None, NOW) if all_of_them else maintenance.retry_one(books, id_, NOW)) == 1
    assert loss_reports.count_unseen(books) == {}


def test_what_the_ledger_forgets_is_no_longer_unseen(books: sqlite3.Connection) -> None:
    expired(books)
    maintenance.delete_old(books, NOW + 100)
    assert books.execute("SELECT count(*) FROM unseen").fetchone() == (0,)


def test_what_no_route_takes_is_unseen_at_once(books: sqlite3.Connection) -> None:
    put(books)
    assert [(each.destination, each.state) for each in loss_reports.unseen(books)] == [(queue.UNROUTED, "dead")]


def test_what_a_disabled_destination_could_give_to_nobody_is_unseen(books: sqlite3.Connection) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    attempts.replay(books, NOW)
    books.execute(
        "INSERT INTO deliveries (signal, destination, priority, state, since) VALUES (1, 'b', 2, 'expired', 0)"
    )
    rerouting.divert(books, "a", ["b"], "404", NOW)
    assert [(each.destination, each.state) for each in loss_reports.unseen(books)] == [("a", "dead")]
    assert delivery.destination == "a"


def test_signals_of_our_own_are_not_listed_whatever_fields_others_have(books: sqlite3.Connection) -> None:
    expired(books, source="tocsin")
    expired(books, "b", source="bot", fields={"source": "tocsin"})
    assert [each.destination for each in loss_reports.unseen(books)] == ["b"]


def test_open_alarms_are_kept_until_they_are_over(books: sqlite3.Connection) -> None:
    first, second = OpenAlarm("breaker", "a", 1.0, 2.0, "b"), OpenAlarm("disk", "the disk", 1.0, 3.0, "a")
    for alarm in (second, first):
        loss_reports.alarm_raised(books, alarm)
    assert loss_reports.open_alarms(books) == [first, second]
    loss_reports.alarm_over(books, "breaker", "a")
    assert loss_reports.open_alarms(books) == [second]
