from __future__ import annotations

import sqlite3

import pytest
from tests.journal.factories import NOW, digest_oldest, put, tried

from tocsind.journal import recent
from tocsind.journal.recent import Search
from tocsind.policy.delivery import Priority, State


def titles(page: recent.Page) -> list[str]:
    return [row["title"] for row in page.rows]


def test_search_without_words_lists_newest_first(database: sqlite3.Connection) -> None:
    put(database, "a", title="old", priority=Priority.HIGH, symbol="BTCUSDT")
    put(database, "a", "b", title="new")
    page = recent.search(database, Search(), None, 10)
    assert (titles(page), page.before, page.read) == (["new", "old"], None, 2)
    old = page.rows[1]
    assert (old["priority"], old["state"], old["symbol"], old["accepted"]) == ("high", "queued", "BTCUSDT", NOW)
    assert page.rows[0]["destinations"] == ["a", "b"]


def test_search_goes_on_where_it_stopped(database: sqlite3.Connection) -> None:
    for name in "abcde":
        put(database, "a", title=name)
    first = recent.search(database, Search(), None, 2)
    second = recent.search(database, Search(), first.before, 2)
    third = recent.search(database, Search(), second.before, 2)
    assert [titles(page) for page in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert third.before is None


def test_search_reads_a_bounded_number(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_READ", 3)
    put(database, "a", title="needle")
    for _ in range(4):
        put(database, "a", title="hay")
    first = recent.search(database, Search(("needle",)), None, 10)
    assert (titles(first), first.read) == ([], 3)
    assert titles(recent.search(database, Search(("needle",)), first.before, 10)) == ["needle"]


def test_search_wants_all_words_anywhere_in_the_signal(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", title="Disk FULL", body="on sda1", tags=["ops"])
    put(database, "a", title="disk fine")
    for words in (("disk", "full"), ("sda1",), ("ops", "disk", "on"), (id_.lower(),)):
        assert titles(recent.search(database, Search(words), None, 10)) == ["Disk FULL"]
    assert titles(recent.search(database, Search(("full", "fine")), None, 10)) == []


def test_search_by_state_and_destination(database: sqlite3.Connection) -> None:
    put(database, "a", title="arrived")
    tried(database, "a", State.SENT)
    put(database, "b", title="gone")
    tried(database, "b", State.DEAD)
    put(database, "c", title="waits")
    for state, title in (("delivered", "arrived"), ("dead", "gone"), ("queued", "waits")):
        assert titles(recent.search(database, Search(state=state), None, 10)) == [title]
    assert titles(recent.search(database, Search(destination="b"), None, 10)) == ["gone"]


def test_search_shows_digests_with_their_number(database: sqlite3.Connection) -> None:
    for _ in range(3):
        put(database, "a")
    assert digest_oldest(database, "a")
    page = recent.search(database, Search(), None, 10)
    assert (page.rows[0]["title"], page.rows[0]["stands_for"]) == ("3 in sum", 3)


def test_minutes_count_signals_and_outcomes(database: sqlite3.Connection) -> None:
    put(database, "a", accepted=NOW)
    put(database, "b", accepted=NOW + 59)
    put(database, "a", accepted=NOW + 60)
    tried(database, "b", State.DEAD)
    database.execute("UPDATE deliveries SET since = ? WHERE state = 'dead'", (NOW + 130,))
    assert recent.minutes(database, NOW, NOW + 60, origin=NOW, until=NOW + 180) == (2, {(2, "dead"): 1})
    assert recent.minutes(database, NOW, NOW + 60, origin=NOW, until=NOW + 120) == (2, {})
    assert recent.minutes(database, NOW + 60, NOW + 120, origin=NOW, until=NOW + 180) == (1, {})
