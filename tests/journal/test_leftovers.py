"""Deliveries that the engine has: of destinations that are no longer shared, and those that quiet hours hold here."""

from __future__ import annotations

import sqlite3

from tests.journal.factories import NOW, put
from tests.journal.test_shared_view import HERE, arriving, handed_over, take_in

from tocsin.signals import Signal
from tocsind.journal import leftovers, shared
from tocsind.policy.delivery import Priority


def fed(database: sqlite3.Connection) -> list[int]:
    return [each.number for each in leftovers.feed(database, "a", Priority.NORMAL, 0, 9)]


def test_a_lane_that_is_not_shared_any_more_does_not_send_what_another_host_may_send(
    database: sqlite3.Connection,
) -> None:
    put(database, "a", title="own")
    id_, number = handed_over(database)
    assert fed(database) == [number - 1]
    shared.told(database, [f"vm-1/{id_}/a"])
    assert fed(database) == [number - 1, number]


def test_give_back_returns_deliveries_of_others_and_names_own_ids(database: sqlite3.Connection) -> None:
    id_, _ = handed_over(database)
    take_in(database, arriving(Signal("of another host")))
    left = leftovers.Left("target", "a")
    assert leftovers.left(database, {"a": "another"}) == [left]
    assert leftovers.left(database, {"a": "target", "b": "target"}) == []
    assert leftovers.give_back(database, left, "vm-1", NOW) == [f"vm-1/{id_}/a"]
    states = dict(database.execute("SELECT origin, state FROM shared JOIN deliveries ON number = delivery").fetchall())
    assert states == {"vm-1": "queued", "vm-2": "rerouted"}
    shared.told(database, [f"vm-1/{id_}/a"])
    assert leftovers.left(database, {}) == []


def test_held_delivery_that_the_engine_has_is_queued_for_the_host_that_sends(database: sqlite3.Connection) -> None:
    _, number = handed_over(database)
    put(database, "a", title="kept here")
    database.execute("UPDATE deliveries SET state = 'held', quiet_until = ?", (NOW + 60,))
    assert leftovers.with_the_engine(database, [number, number + 1]) == {number}
    assert leftovers.release_held(database, HERE, NOW) == 1
    states = dict(database.execute("SELECT number, state FROM deliveries").fetchall())
    assert states == {number: "queued", number + 1: "held"}
