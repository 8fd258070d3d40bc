"""The thread and its group commit, on the real clock: virtual time cannot skip the work of a real thread."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.journal.factories import arrival, fed, put, states_of

from tocsind.errors import CannotWrite, StorageFailed, StorageFull
from tocsind.journal import Journal, commit_mark, queries, queue
from tocsind.journal.opening import FILE_NAME, open_journal
from tocsind.journal.writer import MAX_JOBS, NICE
from tocsind.policy.delivery import Priority


class Busy:
    """Keeps the journal thread busy with one job until `release`, so that later jobs wait together."""

    def __init__(self, journal: Journal, nursery: trio.Nursery) -> None:
        self._journal = journal
        self._nursery = nursery
        self._begun = threading.Event()
        self._release = threading.Event()

    async def hold(self) -> None:
        self._nursery.start_soon(self._journal.run, self._job)
        await trio.to_thread.run_sync(self._begun.wait)

    def _job(self, _: sqlite3.Connection) -> None:
        self._begun.set()
        assert self._release.wait(20)

    def release(self) -> None:
        self._release.set()


async def statements(journal: Journal) -> Counter[str]:
    """Counts what the connection executes from now on."""
    seen: Counter[str] = Counter()

    def note(statement: str) -> None:
        seen[statement] += 1

    def listen(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(note)

    await journal.run(listen)
    seen.clear()
    return seen


async def stored(journal: Journal, id_: str) -> bool:
    return await journal.run(queries.states, id_) is not None


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def poison(_: sqlite3.Connection) -> None:
    raise ZeroDivisionError("a bug in a job")


def summed(_: sqlite3.Connection, number: int, *, more: int) -> int:
    return number + more


async def test_run_returns_what_the_job_returned(journal: Journal) -> None:
    assert await journal.run(summed, 40, more=2) == 42


async def test_journal_thread_has_a_lower_priority_than_its_process(journal: Journal) -> None:
    own = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert await journal.run(lambda _: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == min(
        own + NICE, 19
    )
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == own


async def test_run_returns_after_the_commit(journal: Journal) -> None:
    seen = await statements(journal)
    await journal.run(queue.append, [arrival("a")])
    assert seen["COMMIT"] == 1


async def test_waiting_jobs_share_one_commit(journal: Journal) -> None:
    seen = await statements(journal)
    arrivals = [arrival("a") for _ in range(100)]
    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        for each in arrivals:
            nursery.start_soon(journal.run, queue.append, [each])
        await trio.testing.wait_all_tasks_blocked()
        busy.release()
    assert seen["COMMIT"] == 2  # the job that kept the thread busy, and all the others
    assert {each.id for each in await journal.run(fed, "a")} == {each.id for each in arrivals}


async def test_group_is_bounded(journal: Journal) -> None:
    seen = await statements(journal)
    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        for _ in range(2 * MAX_JOBS + 1):
            nursery.start_soon(journal.run, queue.append, [])
        await trio.testing.wait_all_tasks_blocked()
        busy.release()
    assert seen["COMMIT"] == 1 + 3


async def test_jobs_of_a_group_run_in_order(journal: Journal) -> None:
    ids = []
    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        for _ in range(10):
            one = arrival("a")
            ids.append(one.id)
            nursery.start_soon(journal.run, queue.append, [one])
            await trio.testing.wait_all_tasks_blocked()
        busy.release()
    assert [delivery.id for delivery in await journal.run(fed, "a")] == ids


async def test_faulty_job_fails_alone_and_its_group_is_committed(journal: Journal) -> None:
    before, after = arrival("a"), arrival("a")

    async def fails() -> None:
        with pytest.raises(ZeroDivisionError, match="a bug in a job"):
            await journal.run(poison)

    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        nursery.start_soon(journal.run, queue.append, [before])
        nursery.start_soon(fails)
        nursery.start_soon(journal.run, queue.append, [after])
        await trio.testing.wait_all_tasks_blocked()
        busy.release()
    assert {each.id for each in await journal.run(fed, "a")} == {before.id, after.id}
    assert journal.healthy


async def test_job_that_fails_half_way_changes_nothing(journal: Journal) -> None:
    one = arrival("a")

    def half_way(connection: sqlite3.Connection) -> None:
        queue.append(connection, [one])
        poison(connection)

    with pytest.raises(ZeroDivisionError):
        await journal.run(half_way)
    assert not await stored(journal, one.id)


async def test_wrong_sql_fails_its_own_job_only(journal: Journal) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await journal.run(lambda connection: connection.execute("SELECT * FROM nowhere"))
    assert journal.healthy


async def test_job_of_a_cancelled_caller_still_runs(journal: Journal) -> None:
    one = arrival("a")
    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as callers:
                callers.start_soon(journal.run, queue.append, [one])
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        busy.release()
    assert await stored(journal, one.id)


async def test_closing_waits_for_earlier_jobs(tmp_path: Path) -> None:
    one = arrival("a")
    async with trio.open_nursery() as nursery, Journal(tmp_path) as journal:
        busy = Busy(journal, nursery)
        await busy.hold()
        nursery.start_soon(journal.run, queue.append, [one])
        await trio.testing.wait_all_tasks_blocked()
        busy.release()
    with closing(open_journal(tmp_path)) as database:
        assert states_of(database, one.id) == {"a": "queued"}


async def test_closing_leaves_one_clean_file(tmp_path: Path) -> None:
    async with Journal(tmp_path) as journal:
        await journal.run(put, "a")
        assert names(tmp_path) == {FILE_NAME, f"{FILE_NAME}-wal", commit_mark.FILE_NAME}
    assert names(tmp_path) == {FILE_NAME, commit_mark.FILE_NAME}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM deliveries").fetchone() == (1,)


async def test_journal_that_cannot_be_opened_raises_at_once(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(CannotWrite, match="cannot be opened"):
        async with Journal(tmp_path):
            pytest.fail("it was opened")


def leave_no_room(connection: sqlite3.Connection) -> None:
    """The file may not grow from now on: SQLite's view of a full disk."""
    connection.execute("PRAGMA max_page_count = 1").fetchall()  # it never goes below the present size


def make_room(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()


async def test_full_disk_refuses_jobs_until_there_is_room(journal: Journal) -> None:
    one = arrival("a", body="x" * 100_000)
    await journal.run(leave_no_room)
    with pytest.raises(StorageFull, match="the disk is full"):
        await journal.run(queue.append, [one])
    assert journal.healthy
    assert not await stored(journal, one.id)
    await journal.run(make_room)
    assert await journal.run(queue.append, [one]) == [True]


async def test_full_disk_stores_what_fits(journal: Journal) -> None:
    large, small = arrival("a", body="x" * 100_000), arrival("a")

    async def is_refused() -> None:
        with pytest.raises(StorageFull):
            await journal.run(queue.append, [large])

    await journal.run(leave_no_room)
    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        nursery.start_soon(is_refused)
        nursery.start_soon(journal.run, queue.append, [small])
        await trio.testing.wait_all_tasks_blocked()
        busy.release()
    assert [each.id for each in await journal.run(fed, "a", Priority.NORMAL)] == [small.id]


def break_disk(connection: sqlite3.Connection) -> None:
    """No write succeeds from now on: SQLite's view of a disk that became read-only."""
    connection.execute("PRAGMA query_only = 1").fetchall()


async def test_broken_disk_fails_every_later_job(journal: Journal, tmp_path: Path) -> None:
    before = arrival("a")
    await journal.run(queue.append, [before])
    await journal.run(break_disk)
    with pytest.raises(StorageFailed, match="SQLITE_READONLY") as failed:
        await journal.run(queue.append, [arrival("a")])
    assert failed.value.exit_code == 73
    assert str(tmp_path) in str(failed.value)
    assert not journal.healthy
    with pytest.raises(StorageFailed):
        await journal.run(queries.states, before.id)


async def test_broken_disk_fails_all_waiting_jobs_and_repeats_none(journal: Journal) -> None:
    ran: list[int] = []

    async def is_failed(number: int) -> None:
        def job(connection: sqlite3.Connection) -> None:
            ran.append(number)
            break_disk(connection)
            queue.append(connection, [arrival("a")])

        with pytest.raises(StorageFailed):
            await journal.run(job)

    async with trio.open_nursery() as nursery:
        busy = Busy(journal, nursery)
        await busy.hold()
        for number in range(5):
            nursery.start_soon(is_failed, number)
        await trio.testing.wait_all_tasks_blocked()
        busy.release()
    assert len(ran) == 1


async def test_shrink_gives_space_of_the_log_back(journal: Journal, tmp_path: Path) -> None:
    for _ in range(20):
        await journal.run(queue.append, [arrival(body="x" * 4000)])
    log = tmp_path / f"{FILE_NAME}-wal"
    assert log.stat().st_size > 0
    await journal.shrink()
    await journal.run(queries.counts)  # its answer comes after the shrinking
    assert log.stat().st_size == 0
    await journal.run(queue.append, [arrival()])
    assert log.stat().st_size > 0
