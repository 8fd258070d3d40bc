"""Views of deliveries that several hosts share."""

from __future__ import annotations

import sqlite3

import msgspec
from tests.journal.factories import NOW, put

from tocsin.signals import Signal
from tocsind.journal import epochs, loss_reports, queries, shared, shared_arrivals, shared_news, shared_view
from tocsind.journal.shared import Ended, Here
from tocsind.journal.shared_arrivals import Arriving
from tocsind.journal.shared_view import MAX_REASON, MAX_TRIES, Try, Waiting

HERE = Here("vm-1", "target", "a")


def handed_over(database: sqlite3.Connection, title: str = "one") -> tuple[str, int]:
    """A signal of this host that the engine has: its id, and the number of its delivery."""
    id_ = put(database, "a", title=title)
    (number,) = database.execute("SELECT max(number) FROM deliveries").fetchone()
    shared.handed_over(database, HERE, {number: f"vm-1/{id_}/a"}, NOW, epoch="e", surely=True)
    return id_, number


def told(database: sqlite3.Connection, id_: str) -> dict[str, object]:
    story = queries.why(database, id_)
    assert story is not None
    (delivery,) = story["deliveries"]
    found: dict[str, object] = delivery
    return found


def arriving(signal: Signal, by: str = "") -> Arriving:
    id_ = f"vm-2/{signal.id}/a"
    body = b"\x81\xa5title\xa1x"
    return Arriving(
        id_,
        "vm-2",
        signal.id,
        body,
        2,
        NOW,
        0.0,
        None,
        None,
        ends=False,
        raw=False,
        attempted=bool(by),
        attempted_by=by,
    )


def take_in(database: sqlite3.Connection, *found: Arriving) -> None:
    shared_arrivals.take_in(database, HERE, found, NOW, epoch="e", sent_alone=False)


def test_waiting_counts_deliveries_by_owner_and_by_place(database: sqlite3.Connection) -> None:
    handed_over(database)
    put(database, "a", title="not yet")
    put(database, "b", title="elsewhere")
    take_in(database, arriving(Signal("x"), "vm-3"), arriving(Signal("y")))
    found = shared_view.waiting(database, host="vm-1", destinations=["a"])
    assert sorted(found, key=lambda each: (not each.is_own, not each.is_known)) == [
        Waiting("a", is_own=True, is_known=True, n=1, in_doubt=0),
        Waiting("a", is_own=True, is_known=False, n=1, in_doubt=0),
        Waiting("a", is_own=False, is_known=True, n=2, in_doubt=1),
    ]


def test_why_has_attempts_of_another_host_and_what_came_between(database: sqlite3.Connection) -> None:
    id_, _ = handed_over(database)
    tried = Try(1, NOW + 1, NOW + 2, "delivered", None)
    note = shared_view.in_doubt("vm-3")
    end = Ended(f"vm-1/{id_}/a", "vm-1", "sent", None, "42", "vm-2", [tried], doubt=True, note=note)
    (settled,) = shared_news.settle(database, [end], {end.id: "sent by vm-2"}, NOW + 3)
    assert settled.signal == id_
    delivery = told(database, id_)
    assert delivery["shared"] == {
        "accepted_by": "vm-1",
        "stage": "told",
        "since": NOW,
        "sent_by": "vm-2",
        "note": "vm-3 began an attempt and did not say how it ended: it died, or lost the engine",
    }
    assert delivery["attempts"] == [
        {
            "number": 1,
            "started": NOW + 1,
            "ended": NOW + 2,
            "outcome": "delivered",
            "reason": None,
            "edits": None,
            "host": "vm-2",
        }
    ]
    assert (delivery["possible_duplicate"], delivery["message"]) == (True, "42")


def test_a_host_that_died_in_an_attempt_is_named_by_the_next_one_and_reported(database: sqlite3.Connection) -> None:
    signal = Signal("x")
    take_in(database, arriving(signal, "vm-3"))
    take_in(database, arriving(signal))
    assert "vm-3 began an attempt" in str(told(database, signal.id)["shared"])
    database.execute("UPDATE deliveries SET state = 'sent'")
    for number in range(MAX_TRIES + 2):
        database.execute("INSERT INTO attempts VALUES (1, ?, ?, ?, 'deferred', ?, NULL)", (number, NOW, NOW, "x" * 999))
    (ended,) = shared.ended(database, "target")
    assert ended.note == shared_view.in_doubt("vm-3")
    assert (ended.doubt, len(ended.tries), ended.tries[-1].number) == (True, MAX_TRIES, MAX_TRIES + 1)
    assert len(ended.tries[0].reason or "") == MAX_REASON


def test_an_outage_and_a_loss_of_the_engine_are_noted(database: sqlite3.Connection) -> None:
    lost, _ = handed_over(database, "lost")
    epochs.offer_again(database, "vm-1", "target")
    shared_view.note_loss(database, "vm-1", "target")
    assert shared_view.FORGOTTEN in str(told(database, lost)["shared"])
    alone, number = handed_over(database, "alone")
    epochs.doubt(database, [number])
    assert shared_view.ALONE in str(told(database, alone)["shared"])
    assert "shared" not in told(database, put(database, "a"))


def test_delivery_of_another_host_expires_without_a_report_here(database: sqlite3.Connection) -> None:
    own = put(database, "a", expires=10.0)
    found = arriving(Signal("x"))
    take_in(database, msgspec.structs.replace(found, deadline=NOW + 10))
    assert shared_view.expire_foreign(database, "vm-1", NOW + 9) == []
    assert shared_view.expire_foreign(database, "vm-1", NOW + 11) == [(found.signal, "a", "vm-2")]
    assert loss_reports.unseen(database) == []
    assert told(database, found.signal)["state"] == "expired"
    assert told(database, own)["state"] == "queued"


def test_origins_are_those_of_other_hosts(database: sqlite3.Connection) -> None:
    _, own = handed_over(database)
    take_in(database, arriving(Signal("x")))
    (foreign,) = database.execute("SELECT max(number) FROM deliveries").fetchone()
    assert shared_view.origins(database, "vm-1", [own, foreign, 99]) == {foreign: "vm-2"}


def test_a_death_at_another_host_is_reported_there_alone(database: sqlite3.Connection) -> None:
    id_, _ = handed_over(database)
    end = Ended(f"vm-1/{id_}/a", "vm-1", "dead", "400", None, "vm-2")
    (settled,) = shared_news.settle(database, [end], {end.id: "dead by vm-2: 400"}, NOW)
    assert (settled.state, settled.sender, settled.reason) == ("dead", "vm-2", "dead by vm-2: 400")
    assert loss_reports.unseen(database) == []


def test_why_says_that_the_engine_did_not_answer_to_a_hand_over(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    (number,) = database.execute("SELECT max(number) FROM deliveries").fetchone()
    found = {number: f"vm-1/{id_}/a"}
    shared.handed_over(database, HERE, found, NOW, epoch="e", surely=False)
    assert told(database, id_)["reason"] == shared.PERHAPS_HANDED_OVER
    shared.handed_over(database, HERE, found, NOW, epoch="e", surely=True)
    assert told(database, id_)["reason"] == shared.HANDED_OVER
