"""Who is in a hurry is told on the journal's thread, and never before the commit."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import trio
from tests.journal.made import arrival

from tocsind.journal import Journal, intake


def fail(_: object) -> None:
    raise LookupError("a bug in who was told")


async def test_tell_gets_the_result_before_the_await_ends_and_on_the_journals_thread(journal: Journal) -> None:
    told: list[tuple[object, str]] = []
    stored = await journal.run_and_tell(
        lambda result: told.append((result, threading.current_thread().name)), intake.append, [arrival()]
    )
    assert told == [(stored, "journal")]


async def test_what_is_told_is_committed(tmp_path: Path) -> None:
    statements: list[str] = []
    seen: list[str] = []
    async with Journal(tmp_path) as journal:
        await journal.run(lambda connection: connection.set_trace_callback(statements.append))
        statements.clear()
        await journal.run_and_tell(lambda _: seen.extend(statements[-1:]), intake.append, [arrival()])
    assert seen == ["COMMIT"]


async def test_a_failed_job_tells_nobody(journal: Journal) -> None:
    def job(_: sqlite3.Connection) -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        await journal.run_and_tell(lambda _: pytest.fail("told of a job that failed"), job)


async def test_a_bug_in_who_is_told_is_the_answer_of_its_asker_alone(journal: Journal) -> None:
    with pytest.raises(LookupError, match="a bug in who was told"):
        await journal.run_and_tell(fail, intake.append, [arrival()])
    assert await journal.run(lambda _: "still here") == "still here"


async def test_who_was_cancelled_is_told_all_the_same(journal: Journal) -> None:
    told = trio.Event()
    token = trio.lowlevel.current_trio_token()
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.run_and_tell(lambda _: token.run_sync_soon(told.set), intake.append, [arrival()])
    await told.wait()
