"""News of a delivery that had ended here, and what this host asks the engine for before it ends one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import count

import msgspec
import pytest
from tests.journal.factories import NOW, put
from tests.journal.test_shared_view import HERE, arriving, handed_over, take_in, told
from tests.journal.test_withdrawals import stage

from tocsin.signals import Signal
from tocsind.journal import (
    acknowledgements,
    attempts,
    loss_reports,
    maintenance,
    queries,
    repeats,
    shared,
    shared_news,
    shared_view,
    silences,
    withdrawals,
)
from tocsind.journal.shared import Ended
from tocsind.journal.shared_news import After, Settled
from tocsind.policy.delivery import Priority, State
from tocsind.policy.silence import Silence

LATER = NOW + 100
SILENCE = Silence("S", (("symbol", "BTC"),), 1000, NOW, LATER, None)
AFTER = {"a": After({Priority.NORMAL: 60.0}, ["fallback"])}


def ended(id_: str, state: str, *, doubt: bool = False) -> Ended:
    return Ended(f"vm-1/{id_}/a", "vm-1", state, None, "42", "vm-2", doubt=doubt)


def record(database: sqlite3.Connection, *news: Ended) -> list[Settled]:
    reasons = {each.id: f"{each.state} by vm-2" for each in news}
    settled, moved = shared_news.record(database, news, reasons, AFTER, LATER)
    assert not moved, "nothing follows an end that was corrected"
    return settled


def expire(database: sqlite3.Connection, number: int) -> None:
    database.execute("UPDATE deliveries SET deadline = ? WHERE number = ?", (NOW + 1, number))
    assert len(maintenance.expire(database, NOW + 2)) == 1


def drop(database: sqlite3.Connection, number: int) -> None:
    (id_,) = database.execute("SELECT s.id FROM signals s JOIN deliveries d ON d.signal = s.number").fetchone()
    assert maintenance.drop(database, id_, NOW + 2, "vm-1", [number]) == 1


def silence(database: sqlite3.Connection, number: int) -> None:
    assert len(silences.settle(database, SILENCE, [number], NOW + 2)) == 1


def supersede(database: sqlite3.Connection, number: int) -> None:
    maintenance.close(database, number, State.SUPERSEDED, "its story ended", NOW + 2)


def reroute(database: sqlite3.Connection, number: int) -> None:
    withdrawals.take_back_later(database, [number])
    attempts.to_next_fallback(database, number, ["fallback"], NOW + 2)
    maintenance.close(database, number, State.REROUTED, "to fallback: its patience is over", NOW + 2)


def die(database: sqlite3.Connection, number: int) -> None:
    database.execute("UPDATE deliveries SET doubt = 1 WHERE number = ?", (number,))
    attempts.to_next_fallback(database, number, ["fallback"], NOW + 2)
    maintenance.close(database, number, State.DEAD, "400", NOW + 2)


@pytest.mark.parametrize(
    ("end", "state", "has_copy"),
    [
        (expire, "expired", False),
        (drop, "dropped", False),
        (silence, "silenced", False),
        (supersede, "superseded", False),
        (reroute, "rerouted", True),
        (die, "dead", True),
    ],
)
def test_late_news_that_it_was_sent_corrects_the_end_here(
    database: sqlite3.Connection, end: Callable[[sqlite3.Connection, int], None], state: str, has_copy: bool
) -> None:
    id_, number = handed_over(database)
    end(database, number)
    (before,) = database.execute("SELECT reason FROM deliveries WHERE number = ?", (number,)).fetchone()
    (settled,) = record(database, ended(id_, "sent"))
    assert (settled.signal, settled.state, settled.is_late, settled.sender) == (id_, "sent", True, "vm-2")
    found, reason, message, doubt = database.execute(
        "SELECT state, reason, message, doubt FROM deliveries WHERE number = ?", (number,)
    ).fetchone()
    assert (found, message, bool(doubt)) == ("sent", "42", has_copy), state
    assert reason == f"sent by vm-2; it had ended here before: {before}"
    assert loss_reports.unseen(database) == []
    assert database.execute("SELECT count(*) FROM deliveries WHERE repeat_at IS NOT NULL").fetchone() == (0,)
    assert queries.states(database, id_) == ("queued" if has_copy else "delivered")


@pytest.mark.parametrize("end", [expire, drop, silence, supersede])
def test_late_news_that_it_may_have_been_sent_corrects_an_end_that_denies_it(
    database: sqlite3.Connection, end: Callable[[sqlite3.Connection, int], None]
) -> None:
    id_, number = handed_over(database)
    end(database, number)
    (settled,) = record(database, ended(id_, "unknown", doubt=True))
    assert (settled.state, settled.is_late, queries.states(database, id_)) == ("unknown", True, "delivered")
    assert told(database, id_)["possible_duplicate"]


@pytest.mark.parametrize("there", ["dead", "expired", "dropped", "silenced", "rerouted"])
@pytest.mark.parametrize("end", [expire, drop, silence, supersede, reroute, die])
def test_late_news_of_an_end_without_arrival_changes_nothing(
    database: sqlite3.Connection, end: Callable[[sqlite3.Connection, int], None], there: str
) -> None:
    id_, number = handed_over(database)
    end(database, number)
    before = database.execute("SELECT * FROM deliveries").fetchall()
    assert record(database, ended(id_, there)) == []
    assert database.execute("SELECT * FROM deliveries").fetchall() == before
    assert stage(database, number) == "told"


def test_late_news_of_a_deleted_signal_is_ignored(database: sqlite3.Connection) -> None:
    id_, number = handed_over(database)
    expire(database, number)
    assert maintenance.delete_old(database, LATER) == 1
    assert record(database, ended(id_, "sent")) == []


def test_news_of_a_delivery_that_was_sent_here_changes_nothing(database: sqlite3.Connection) -> None:
    id_, number = handed_over(database)
    database.execute("UPDATE deliveries SET state = 'sent', message = '1' WHERE number = ?", (number,))
    assert record(database, ended(id_, "sent")) == []
    assert told(database, id_)["message"] == "1"


def test_end_that_this_host_told_does_not_undo_a_retry(database: sqlite3.Connection) -> None:
    id_, number = handed_over(database)
    maintenance.close(database, number, State.DEAD, "400", NOW)
    own = Ended(f"vm-1/{id_}/a", "vm-1", "dead", "400", None, "vm-1")
    shared.told(database, [own.id])
    assert maintenance.retry_one(database, id_, NOW, "vm-1") == 1
    assert record(database, own) == []
    assert told(database, id_)["state"] == "queued"


def test_journal_from_a_backup_learns_from_its_own_news_what_was_sent(database: sqlite3.Connection) -> None:
    id_, _ = handed_over(database)
    (settled,) = record(database, Ended(f"vm-1/{id_}/a", "vm-1", "sent", None, "42", "vm-1"))
    assert (settled.state, settled.is_late) == ("sent", False)


def test_own_item_whose_row_was_lost_counts_as_handed_over(database: sqlite3.Connection) -> None:
    found = arriving(Signal("x"))
    id_ = put(database, "a")
    mine = msgspec.structs.replace(found, id=f"vm-1/{id_}/a", origin="vm-1", signal=id_)
    take_in(database, mine)
    withdrawals.taken_back(database, {}, [mine.id])
    assert [each.target for each in withdrawals.own(database, "vm-1", [1])] == ["target"]


@pytest.mark.parametrize("stopped_by", ["ack", "end"])
def test_repetition_that_left_before_it_was_stopped_says_so(database: sqlite3.Connection, stopped_by: str) -> None:
    id_, number = handed_over(database)
    record(database, ended(id_, "sent"))
    repeats.again(database, [number], LATER)
    again = f"vm-1/{id_}/a/1"
    shared.handed_over(database, HERE, {number: again}, LATER, epoch="e", surely=True)
    database.execute("UPDATE shared SET id = ? WHERE delivery = ?", (again, number))
    database.execute("UPDATE deliveries SET key = 'k'")
    if stopped_by == "ack":
        acknowledgements.acknowledge(database, id_, 1000, LATER, "vm-1")
    else:
        acknowledgements.end_story(database, "k")
    (settled,) = record(database, Ended(again, "vm-1", "sent", None, "43", "vm-2"))
    assert settled.is_late
    mine = told(database, id_)
    assert (mine["state"], mine["message"], mine.get("repeat_at")) == ("sent", "43", None)
    assert "before it was posted again" in str(mine["reason"])
    assert "sent by vm-2" in str(mine["reason"])


def test_expiry_at_another_host_is_reported_by_the_accepting_one(database: sqlite3.Connection) -> None:
    id_, _ = handed_over(database)
    record(database, ended(id_, "expired"))
    assert [each.state for each in loss_reports.unseen(database)] == ["expired"]


def test_expired_delivery_that_may_have_arrived_says_so(database: sqlite3.Connection) -> None:
    id_, number = handed_over(database)
    withdrawals.take_back_later(database, [number])
    expire(database, number)
    assert told(database, id_)["reason"] == maintenance.EXPIRED_IN_DOUBT
    foreign = arriving(Signal("x"), by="vm-3")
    take_in(database, foreign)
    database.execute("UPDATE deliveries SET deadline = ? WHERE state = 'queued'", (NOW + 1,))
    assert len(shared_view.expire_foreign(database, "vm-1", NOW + 2)) == 1
    assert told(database, foreign.signal)["reason"] == maintenance.EXPIRED_IN_DOUBT


# --- what the engine is asked for ---------------------------------------------------------------------------------------


def test_overdue_names_own_waiting_deliveries_in_pieces(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "CHUNK", 2)
    take_in(database, arriving(Signal("of another host")))
    for _ in range(3):
        put(database, "a", expires=1.0)
    database.execute("UPDATE deliveries SET deadline = ?", (NOW + 1,))
    assert withdrawals.overdue(database, "vm-1", NOW, 0) == {}
    first = withdrawals.overdue(database, "vm-1", NOW + 1, 0)
    rest = withdrawals.overdue(database, "vm-1", NOW + 1, max(first))
    assert [len(first), len(rest), withdrawals.overdue(database, "vm-1", NOW + 1, max(rest))] == [2, 1, {}]
    assert maintenance.next_deadline(database) == NOW + 1
    assert maintenance.next_deadline(database, NOW + 1) is None


def test_own_tells_which_deliveries_the_engine_may_have(database: sqlite3.Connection) -> None:
    take_in(database, arriving(Signal("of another host")))
    free, begun, perhaps, handed, back, later = (put(database, "a") for _ in range(6))
    numbers = dict(zip(range(6), count(2), strict=False))
    handed_ids = {numbers[n]: f"vm-1/{id_}/a" for n, id_ in ((3, handed), (4, back), (5, later))}
    shared.begun(database, HERE, {numbers[1]: f"vm-1/{begun}/a"}, NOW)
    shared.handed_over(database, HERE, {numbers[2]: f"vm-1/{perhaps}/a"}, NOW, epoch="e", surely=False)
    shared.handed_over(database, HERE, handed_ids, NOW, epoch="e", surely=True)
    shared.told(database, [handed_ids[numbers[4]]])
    withdrawals.take_back_later(database, [numbers[5]])
    found = withdrawals.own(database, "vm-1", range(1, 8))
    assert {each.number: each.target for each in found} == {
        numbers[0]: None,
        numbers[1]: None,
        numbers[2]: "target",
        numbers[3]: "target",
        numbers[4]: None,
        numbers[5]: None,
    }, free


def test_delivery_is_free_once_the_engine_gives_it_back_and_offered_again_otherwise(
    database: sqlite3.Connection,
) -> None:
    (one, first), (two, second) = handed_over(database), handed_over(database)
    withdrawals.taken_back(database, {f"vm-1/{one}/a": True}, [f"vm-1/{two}/a"])
    assert told(database, one)["possible_duplicate"]
    assert not told(database, two)["possible_duplicate"]
    assert (stage(database, first), stage(database, second)) == ("told", "begun")
    offered = shared.leaving(database, HERE, {Priority.NORMAL: 0}, 9, digests=True)
    assert [each.delivery.number for each in offered] == [first, second], "the first again, if nothing ends it"


def test_drop_leaves_deliveries_that_are_in_flight(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", "b")
    assert maintenance.droppable(database, id_, "vm-1") == {1: "a", 2: "b"}
    assert maintenance.drop(database, id_, NOW, "vm-1", [2]) == 1
    assert database.execute("SELECT state FROM deliveries ORDER BY number").fetchall() == [("queued",), ("dropped",)]
