from __future__ import annotations

import sqlite3

import pytest
from tests.journal.factories import NOW, begun, digest_oldest, ended, put, tried

from tocsind.journal import OpenAlarm, UnseenSignals, attempts, loss_reports, maintenance, queue, rerouting
from tocsind.policy.delivery import Priority, State


def expired(database: sqlite3.Connection, destination: str = "a", **fields: object) -> str:
    id_ = put(database, destination, expires=1, **fields)
    maintenance.expire(database, NOW + 1)
    return id_


def test_unseen_lists_expired_dead_and_dropped_by_destination(database: sqlite3.Connection) -> None:
    first = expired(database, priority=Priority.LOW, title="one")
    second = expired(database, priority=Priority.URGENT, title="two")
    dropped = put(database, "b", title="three")
    maintenance.drop(database, dropped, NOW + 2)
    assert loss_reports.unseen(database) == [
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
    assert loss_reports.count_unseen(database) == {"a": 2, "b": 1}


def test_unseen_names_a_few_and_counts_all(database: sqlite3.Connection) -> None:
    for _ in range(20):
        expired(database)
    (found,) = loss_reports.unseen(database)
    assert (found.signals, len(found.shown)) == (20, loss_reports.MAX_SHOWN)


def test_unseen_counts_originals_of_a_dead_digest(database: sqlite3.Connection) -> None:
    for _ in range(3):
        put(database, "a", source="theirs")
    assert digest_oldest(database, "a")
    (digest,) = begun(database, "a")
    ended(database, digest, State.DEAD, elsewhere=False)
    (found,) = loss_reports.unseen(database)
    assert (found.state, found.signals) == ("dead", 3)


def test_unseen_leaves_out_reported_signals_and_has_later_ones(database: sqlite3.Connection) -> None:
    expired(database)
    (found,) = loss_reports.unseen(database)
    expired(database)
    loss_reports.reported(database, "a", "expired", found.last)
    assert [each.signals for each in loss_reports.unseen(database)] == [1]


def test_dead_delivery_waits_for_its_copy_and_is_deleted_when_that_arrives(database: sqlite3.Connection) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    ended(database, delivery, State.DEAD, "b")
    assert loss_reports.unseen(database) == []
    assert loss_reports.count_unseen(database) == {"a": 1}
    tried(database, "b", State.SENT)
    assert loss_reports.unseen(database) == []
    assert loss_reports.count_unseen(database) == {}


def test_dead_delivery_whose_copy_dies_as_well_is_reported_at_both(database: sqlite3.Connection) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    ended(database, delivery, State.DEAD, "b")
    tried(database, "b", State.DEAD)
    assert [(each.destination, each.state) for each in loss_reports.unseen(database)] == [("a", "dead"), ("b", "dead")]


@pytest.mark.parametrize("all_of_them", [True, False])
def test_unseen_leaves_out_requeued_deliveries(database: sqlite3.Connection, all_of_them: bool) -> None:
    id_ = put(database, "a")
    (delivery,) = begun(database, "a")
    ended(database, delivery, State.DEAD, elsewhere=False)
    assert loss_reports.count_unseen(database) == {"a": 1}
    assert (
        maintenance.retry_all(database, None, NOW) if all_of_them else maintenance.retry_one(database, id_, NOW)
    ) == 1
    assert loss_reports.count_unseen(database) == {}


def test_unseen_leaves_out_signals_deleted_by_retention(database: sqlite3.Connection) -> None:
    expired(database)
    maintenance.delete_old(database, NOW + 100)
    assert database.execute("SELECT count(*) FROM unseen").fetchone() == (0,)


def test_unrouted_signal_is_unseen_at_once(database: sqlite3.Connection) -> None:
    put(database)
    assert [(each.destination, each.state) for each in loss_reports.unseen(database)] == [(queue.UNROUTED, "dead")]


def test_unseen_has_signals_of_disabled_destination_without_fallback(database: sqlite3.Connection) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    attempts.replay(database, NOW)
    database.execute(
        "INSERT INTO deliveries (signal, destination, priority, state, since) VALUES (1, 'b', 2, 'expired', 0)"
    )
    rerouting.divert(database, "a", ["b"], "404", NOW)
    assert [(each.destination, each.state) for each in loss_reports.unseen(database)] == [("a", "dead")]
    assert delivery.destination == "a"


def test_unseen_leaves_out_the_daemons_own_signals(database: sqlite3.Connection) -> None:
    expired(database, source="tocsin")
    expired(database, "b", source="bot", fields={"source": "tocsin"})
    assert [each.destination for each in loss_reports.unseen(database)] == ["b"]


def test_open_alarms_are_kept_until_they_are_over(database: sqlite3.Connection) -> None:
    first, second = OpenAlarm("breaker", "a", 1.0, 2.0, "b"), OpenAlarm("disk", "the disk", 1.0, 3.0, "a")
    for alarm in (second, first):
        loss_reports.alarm_raised(database, alarm)
    assert loss_reports.open_alarms(database) == [first, second]
    loss_reports.alarm_over(database, "breaker", "a")
    assert loss_reports.open_alarms(database) == [second]
