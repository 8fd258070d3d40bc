"""Attempts of the host that sends for all: what stands in one, and what becomes of it when the engine does not permit it."""

from __future__ import annotations

import sqlite3

import msgspec
from tests.journal.factories import NOW, begun, digest_oldest, ended, fed, put
from tests.journal.test_shared_view import HERE, arriving, handed_over, take_in

from tocsin.signals import Signal
from tocsind.journal import epochs, maintenance, shared
from tocsind.journal.shared import Known
from tocsind.policy.delivery import Delivery, State

DIGEST = "vm-1/digest/a"


def two(database: sqlite3.Connection) -> tuple[str, str]:
    """The ids of a delivery that this host accepted and of another host's, both with the engine."""
    id_, _ = handed_over(database)
    foreign = arriving(Signal("x"))
    take_in(database, foreign)
    return f"vm-1/{id_}/a", foreign.id


def digest_begun(database: sqlite3.Connection) -> list[Delivery]:
    assert digest_oldest(database, "a")
    return begun(database, "a")


def states(database: sqlite3.Connection) -> dict[int, tuple[str, bool]]:
    rows = database.execute("SELECT number, state, doubt FROM deliveries WHERE number > 0")
    return {number: (state, bool(doubt)) for number, state, doubt in rows}


def test_attempt_of_a_digest_is_one_for_each_delivery_that_it_stands_for(database: sqlite3.Connection) -> None:
    own, foreign = two(database)
    (digest,) = digest_begun(database)
    found = shared.begun(database, HERE, {digest.number: DIGEST}, NOW)
    assert found == [
        Known(DIGEST, is_foreign=False, is_doubtful=False),
        Known(own, is_foreign=False, is_doubtful=False),
        Known(foreign, is_foreign=True, is_doubtful=False),
    ]
    in_flight, doubtful = epochs.account(database, "vm-1", "target", NOW, epoch="e", followed=True)
    assert (set(in_flight), doubtful) == ({DIGEST, own, foreign}, [])


def test_digest_that_may_have_arrived_makes_its_deliveries_doubtful(database: sqlite3.Connection) -> None:
    own, foreign = two(database)
    (digest,) = digest_begun(database)
    ended(database, digest, State.QUEUED, elsewhere=False, doubt=True)
    found = shared.begun(database, HERE, {digest.number: DIGEST}, NOW)
    assert {each.id for each in found if each.is_doubtful} == {DIGEST, own, foreign}
    shared.return_foreign(database, HERE, NOW)
    assert states(database) == {1: ("queued", True), 2: ("rerouted", True)}, "and so they stay when it is dissolved"


def test_digest_is_dissolved_when_its_host_took_a_delivery_back(database: sqlite3.Connection) -> None:
    _, foreign = two(database)
    claimed = digest_begun(database)
    shared.begun(database, HERE, {claimed[0].number: DIGEST}, NOW)
    shared.unclaim(database, claimed, "a", [foreign], NOW)
    assert states(database) == {1: ("queued", False), 2: ("rerouted", False)}
    (state,) = database.execute("SELECT state FROM deliveries WHERE number < 0").fetchone()
    assert state == "rerouted"


def test_digest_stays_when_the_lease_has_gone(database: sqlite3.Connection) -> None:
    two(database)
    claimed = digest_begun(database)
    shared.unclaim(database, claimed, "a", [], NOW)
    assert set(states(database).values()) == {("digested", False)}
    (state, attempts) = database.execute("SELECT state, attempts FROM deliveries WHERE number < 0").fetchone()
    assert (state, attempts) == ("queued", 0)


def test_account_tells_deliveries_in_flight_from_those_that_may_have_arrived(database: sqlite3.Connection) -> None:
    own, foreign = two(database)
    database.execute("UPDATE deliveries SET doubt = 1")
    database.execute("UPDATE deliveries SET state = 'sending' WHERE number = 1")
    assert epochs.account(database, "vm-1", "target", NOW, epoch="later", followed=True) == ([own], [foreign])


def test_retry_of_an_end_that_other_hosts_know_is_counted(database: sqlite3.Connection) -> None:
    (known, _), (unknown, _) = handed_over(database), handed_over(database)
    shared.told(database, [f"vm-1/{known}/a"])
    database.execute("UPDATE deliveries SET state = 'dead'")
    for id_ in (known, unknown):
        assert maintenance.retry_one(database, id_, NOW, "vm-1") == 1
    assert [each.retries for each in fed(database, "a")] == [1, 0]


def test_retried_delivery_is_sent_again_where_it_ended(database: sqlite3.Connection) -> None:
    signal = Signal("x")
    take_in(database, arriving(signal))
    database.execute("UPDATE deliveries SET state = 'dead'")
    shared.told(database, [f"vm-2/{signal.id}/a"])
    take_in(database, arriving(signal))
    assert states(database)[1][0] == "dead", "an engine that lost its memory gets the same once more"
    again = msgspec.structs.replace(arriving(signal), id=f"vm-2/{signal.id}/a/0r1", is_again=True)
    take_in(database, again)
    assert states(database) == {1: ("queued", False)}
    assert [each.id for each in shared.begun(database, HERE, {1: "ours"}, NOW)] == [again.id]


def test_digest_of_what_the_engine_has_is_dissolved_where_another_host_sends(database: sqlite3.Connection) -> None:
    assert not shared.return_digested(database, HERE, NOW)
    two(database)
    assert digest_oldest(database, "a")
    assert shared.return_digested(database, HERE, NOW)
    assert states(database) == {1: ("queued", False), 2: ("rerouted", False)}
    database.execute("DELETE FROM deliveries")
    put(database, "a")
    put(database, "a")
    assert digest_oldest(database, "a")
    assert not shared.return_digested(database, HERE, NOW), "the engine has nothing of this one"
