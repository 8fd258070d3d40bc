"""A host whose state folder was copied gets a new name: what waits here is marked, and is no other host's."""

from __future__ import annotations

import sqlite3

from tests.journal.factories import NOW, put

from tocsind.journal import copies, epochs, shared, shared_arrivals
from tocsind.journal.shared import Here
from tocsind.journal.shared_arrivals import Arriving
from tocsind.policy.delivery import Priority

BEFORE = Here("old", "target", "a")
HERE = Here("new", "target", "a")
ALL = dict.fromkeys(Priority, -(10**9))


def handed_over(database: sqlite3.Connection, title: str, here: Here = BEFORE) -> tuple[str, int]:
    """A signal of this host that the engine has: its id, and the number of its delivery."""
    id_ = put(database, "a", title=title)
    (number,) = database.execute("SELECT max(number) FROM deliveries").fetchone()
    shared.handed_over(database, here, {number: f"{here.host}/{id_}/a"}, NOW, epoch="e", surely=True)
    return id_, number


def doubts(database: sqlite3.Connection) -> list[int]:
    return [doubt for (doubt,) in database.execute("SELECT doubt FROM deliveries ORDER BY number")]


def test_deliveries_that_wait_are_handed_over_again_with_a_mark(database: sqlite3.Connection) -> None:
    one, _ = handed_over(database, "one")
    two = put(database, "a", title="two")
    assert copies.rename_host(database, "old", "new") == 2
    leaving = shared.leaving(database, HERE, ALL, 10, digests=True)
    assert [(each.delivery.id, each.delivery.maybe_duplicate, each.epoch) for each in leaving] == [
        (one, True, None),
        (two, True, None),
    ]
    assert database.execute("SELECT id, origin FROM shared").fetchall() == [(f"new/{one}/a", "new")]


def test_rename_can_be_repeated_after_a_kill(database: sqlite3.Connection) -> None:
    handed_over(database, "one")
    assert [copies.rename_host(database, "old", "new") for _ in range(2)] == [1, 1]


def test_deliveries_that_ended_are_neither_marked_nor_reported(database: sqlite3.Connection) -> None:
    _, number = handed_over(database, "one")
    database.execute("UPDATE deliveries SET state = 'sent' WHERE number = ?", (number,))
    assert copies.rename_host(database, "old", "new") == 0
    assert doubts(database) == [0]
    assert shared.ended(database, "target") == []
    assert shared.leaving(database, HERE, ALL, 10, digests=True) == []


def test_delivery_that_is_to_be_repeated_is_marked_and_this_hosts(database: sqlite3.Connection) -> None:
    _, number = handed_over(database, "one")
    database.execute("UPDATE deliveries SET state = 'sent', repeat_at = ? WHERE number = ?", (NOW, number))
    copies.rename_host(database, "old", "new")
    assert doubts(database) == [1]
    assert database.execute("SELECT origin, stage FROM shared").fetchall() == [("new", "told")]


def test_signals_of_a_digest_that_waits_are_marked_with_it(database: sqlite3.Connection) -> None:
    _, number = handed_over(database, "one")
    _, later = handed_over(database, "two")
    database.execute("UPDATE deliveries SET state = 'digested', digest = 99 WHERE number = ?", (number,))
    database.execute("UPDATE deliveries SET number = -1, signal = 99 WHERE number = ?", (later,))
    copies.rename_host(database, "old", "new")
    assert doubts(database) == [1, 1]


def test_deliveries_of_other_hosts_stay_theirs(database: sqlite3.Connection) -> None:
    theirs = Arriving("b/s/a", "b", "s", b"\x80", 2, NOW, 0.0, None, None, ends=False, raw=False, attempted=False)
    shared_arrivals.take_in(database, BEFORE, [theirs], NOW, epoch="e", sent_alone=False)
    assert copies.rename_host(database, "old", "new") == 0
    assert doubts(database) == [0]
    assert database.execute("SELECT id, origin, stage FROM shared").fetchall() == [("b/s/a", "b", "waits")]


def test_item_of_the_other_daemon_is_another_one(database: sqlite3.Connection) -> None:
    one, _ = handed_over(database, "one")
    copies.rename_host(database, "old", "new")
    same = Arriving(
        f"old/{one}/a", "old", one, b"\x80", 2, NOW, 0.0, None, None, ends=False, raw=False, attempted=False
    )
    shared_arrivals.take_in(database, HERE, [same], NOW, epoch="e", sent_alone=False)
    assert doubts(database) == [1, 0]
    assert len(shared.leaving(database, HERE, ALL, 10, digests=True)) == 1


def test_account_after_the_change_names_no_unknown_epoch(database: sqlite3.Connection) -> None:
    handed_over(database, "one")
    copies.rename_host(database, "old", "new")
    assert epochs.account(database, "new", "target", 0.0, epoch="f", followed=False) == ([], [])
    assert shared.leaving(database, HERE, ALL, 10, digests=True)[0].epoch is None


def test_position_counts_the_commits_of_one_journal(database: sqlite3.Connection) -> None:
    id_, commits = copies.position(database)
    database.execute("UPDATE commits SET n = n + 1")
    assert copies.position(database) == (id_, commits + 1)
    assert len(bytes.fromhex(id_)) == 16


def test_older_backlog_is_marked_until_the_engine_accepts_the_start(database: sqlite3.Connection) -> None:
    put(database, "a", title="one", accepted=NOW)
    put(database, "a", title="two", accepted=NOW + 2)
    numbers = [number for (number,) in database.execute("SELECT number FROM deliveries")]
    epochs.doubt(database, numbers)
    assert doubts(database) == [0, 0]
    epochs.doubt(database, numbers, before=NOW + 1)
    assert doubts(database) == [1, 0]
