"""A hand-off is answered behind the log's sync, and whoever asks for anything afterwards finds it in the tables."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import outcome
import pytest
import trio
from tests.journal.made import arrival, fed, standing

from tocsind.errors import StorageFailed, StorageFull
from tocsind.journal import HandOff, Journal, intake, reading, redo
from tocsind.journal.promises import Promises
from tocsind.journal.records import Arrival
from tocsind.journal.redo import RedoLog
from tocsind.journal.schema import open_journal


def one_of(body: str = "x") -> Arrival:
    return arrival("a", body=body)


class Told:
    """What a hand-off's sender and the loop were told."""

    def __init__(self) -> None:
        self.sender: list[Any] = []
        self.loop: list[Any] = []
        self.heard = trio.Event()

    def hand_off(self, *arrivals: Arrival) -> HandOff:
        return HandOff(arrivals, self.sender.append, self._hear)

    def _hear(self, answer: outcome.Value[Any] | outcome.Error) -> None:
        self.loop.append(answer)
        self.heard.set()


async def statements(journal: Journal) -> list[str]:
    """From now on, what the connection executes."""
    seen: list[str] = []
    await journal.run(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    return seen


# --- over the journal's thread -------------------------------------------------------------------------------------------


async def test_the_sender_is_answered_before_the_commit_and_the_loop_behind_it(journal: Journal) -> None:
    seen = await statements(journal)
    when: dict[str, bool] = {}
    heard = trio.Event()

    def hear(_: object) -> None:
        when["loop"] = "COMMIT" in seen
        heard.set()

    one = one_of()
    journal.place(HandOff([one], lambda _: when.update(sender="COMMIT" in seen), hear))
    await heard.wait()
    assert when == {"sender": False, "loop": True}
    assert [each.id for each in await journal.run(fed, "a")] == [one.id]


async def test_whoever_asks_behind_it_finds_it(journal: Journal) -> None:
    for _ in range(20):  # whatever the two threads make of it
        one, told = one_of(), Told()
        journal.place(told.hand_off(one))
        assert await journal.run(reading.states, one.id) == "queued"
        assert told.sender == [outcome.Value([True])]


async def test_the_commit_that_enters_it_says_so_in_the_same_breath(journal: Journal) -> None:
    journal.place(Told().hand_off(one_of()))
    journal.place(Told().hand_off(one_of()))
    await journal.run(lambda _: None)
    journal.place(Told().hand_off(one_of()))
    applied = await journal.run(lambda connection: connection.execute("SELECT applied FROM redo").fetchone())
    count = await journal.run(lambda connection: connection.execute("SELECT count(*) FROM signals").fetchone())
    assert count == (3,)
    assert applied in {(2,), (3,)}  # records: the first two may have come together


async def test_a_job_that_fails_beside_it_takes_nothing_along(journal: Journal) -> None:
    one, told = one_of(), Told()
    journal.place(told.hand_off(one))
    with pytest.raises(sqlite3.OperationalError):
        await journal.run(lambda connection: connection.execute("SELECT * FROM nowhere"))
    assert await journal.run(reading.states, one.id) == "queued"


async def test_an_id_is_new_once_in_a_frame_in_a_group_and_afterwards(journal: Journal) -> None:
    one, two, told = one_of(), one_of(), Told()
    journal.place(told.hand_off(one, one, two))
    journal.place(told.hand_off(two))
    await journal.run(intake.append, [one])
    journal.place(told.hand_off(one, one_of()))
    await journal.run(lambda _: None)
    assert [answer.unwrap() for answer in told.sender] == [[True, False, True], [False], [False, True]]


async def test_a_log_that_cannot_be_synced_ends_all_promises(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()

    def fail(_: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "fdatasync", fail)
    journal.place(told.hand_off(one_of()))
    with pytest.raises(StorageFailed, match=r"redo log .* Input/output error"):
        await journal.run(lambda _: None)
    assert isinstance(told.sender[0].error, StorageFailed)
    assert not journal.healthy


async def test_a_closed_journal_has_no_log(tmp_path: Path) -> None:
    one = one_of()
    async with Journal(tmp_path) as journal:
        journal.place(Told().hand_off(one))
    assert not (tmp_path / redo.FILE_NAME).exists()
    with closing(open_journal(tmp_path)) as books:
        assert standing(books, one.id) == {"a": "queued"}


def leave_no_room(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1").fetchall()


def make_room(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()


def is_full(journal: Journal) -> bool:
    return journal.is_full  # to mypy a property does not change


async def test_without_room_in_the_tables_it_stays_promised_and_no_more_is_promised(tmp_path: Path) -> None:
    large, told = one_of("x" * 100_000), Told()
    async with Journal(tmp_path) as journal:
        await journal.run(leave_no_room)
        journal.place(told.hand_off(large))
        assert await journal.run(reading.states, large.id) is None
        assert told.sender == [outcome.Value([True])]
        assert is_full(journal)
        refused = Told()
        journal.place(refused.hand_off(one_of("x" * 100_000)))
        await refused.heard.wait()
        assert isinstance(refused.sender[0].error, StorageFull)
        await journal.run(make_room)
        assert await journal.run(reading.states, large.id) == "queued"
        assert not is_full(journal)
        assert told.loop == [outcome.Value([True])]


async def test_what_is_still_promised_when_the_journal_closes_is_there_at_the_next_start(tmp_path: Path) -> None:
    large = one_of("x" * 100_000)
    async with Journal(tmp_path) as journal:
        await journal.run(leave_no_room)
        journal.place(Told().hand_off(large))
    async with Journal(tmp_path) as journal:
        assert await journal.run(reading.states, large.id) == "queued"


async def test_without_a_log_every_hand_off_has_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedoLog, "open", lambda *_: None)
    one, told = one_of(), Told()
    async with Journal(tmp_path) as journal:
        journal.place(told.hand_off(one, one))
        await told.heard.wait()
        assert await journal.run(reading.states, one.id) == "queued"
    assert told.sender == told.loop == [outcome.Value([True, False])]


# --- without the thread --------------------------------------------------------------------------------------------------


@pytest.fixture
def promises(books: sqlite3.Connection, tmp_path: Path) -> Iterator[Promises]:
    promises = Promises(books, RedoLog.open(tmp_path, books))
    yield promises
    promises.close(healthy=True)


def test_a_bug_in_entering_is_nobodys_answer(promises: Promises) -> None:
    assert promises.make([Told().hand_off(one_of())])
    with pytest.raises(ZeroDivisionError):
        promises.told(outcome.Error(ZeroDivisionError()))
    assert promises


def test_who_repeats_itself_costs_no_sync(promises: Promises, monkeypatch: pytest.MonkeyPatch) -> None:
    one = one_of()
    promises.make([Told().hand_off(one)])
    monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("synced"))
    assert promises.make([Told().hand_off(one)]) == [outcome.Value([False])]
