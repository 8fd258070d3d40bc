"""Deliveries that a host takes back from the others for its own fallback."""

from __future__ import annotations

import sqlite3

from tests.journal.factories import NOW, put
from tests.journal.test_shared_view import HERE, arriving, handed_over, take_in

from tocsin.signals import Signal
from tocsind.journal import epochs, shared, withdrawals
from tocsind.policy.delivery import Priority

ALL = tuple(Priority)


def waiting(database: sqlite3.Connection, *living: str) -> list[withdrawals.Waiting]:
    return withdrawals.waiting(database, HERE, ALL, ["fallback"], living, hurried=False)


def stage(database: sqlite3.Connection, number: int) -> str:
    (found,) = database.execute("SELECT stage FROM shared WHERE delivery = ?", (number,)).fetchone()
    return str(found)


def test_this_host_answers_for_its_own_and_for_what_hosts_accepted_that_are_gone(database: sqlite3.Connection) -> None:
    put(database, "a", title="not handed over")
    id_, number = handed_over(database)
    take_in(database, arriving(Signal("of another host")))
    assert [(each.number, each.is_free) for each in waiting(database, "vm-2")] == [(number - 1, True), (number, False)]
    assert len(waiting(database)) == 3
    assert withdrawals.waiting(database, HERE, [Priority.URGENT], ["fallback"], (), hurried=False) == []
    put(database, "fallback", title="other")
    database.execute(
        "UPDATE deliveries SET signal = (SELECT number FROM signals WHERE id = ?) WHERE destination = 'fallback'",
        (id_,),
    )
    assert [each.number for each in waiting(database, "vm-2")] == [number - 1], "its fallback has had the other one"


def test_withdrawn_delivery_that_stays_queued_is_handed_over_again(database: sqlite3.Connection) -> None:
    id_, number = handed_over(database)
    shared.told(database, [f"vm-1/{id_}/a"])
    assert [each.is_free for each in waiting(database)] == [True]
    assert [each.delivery.number for each in shared.leaving(database, HERE, {Priority.NORMAL: 0}, 9, digests=True)] == [
        number
    ]


def test_delivery_withdrawn_without_the_engine_is_marked_and_reported_at_once(
    database: sqlite3.Connection,
) -> None:
    id_, number = handed_over(database)
    withdrawals.take_back_later(database, [number])
    assert database.execute("SELECT doubt FROM deliveries WHERE number = ?", (number,)).fetchone() == (1,)
    assert shared.ended(database, "target") == [], "it is queued yet"
    database.execute("UPDATE deliveries SET state = 'rerouted' WHERE number = ?", (number,))
    database.execute(
        "INSERT INTO deliveries (signal, destination, priority, state, since) SELECT signal, 'fallback', 2, 'queued', ? FROM deliveries",
        (NOW,),
    )
    assert [each.id for each in shared.ended(database, "target")] == [f"vm-1/{id_}/a"], (
        "before its fallback has told it"
    )


def test_delivery_withdrawn_without_the_engine_is_offered_again_when_it_stays_queued(
    database: sqlite3.Connection,
) -> None:
    _, number = handed_over(database)
    withdrawals.take_back_later(database, [number])
    epochs.offer_again(database, "vm-1", "target")
    assert stage(database, number) == "begun"
