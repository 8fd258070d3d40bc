"""The journal's thread: one connection, jobs in, answers out, one commit for all that wait.

A job is a function of the connection. Jobs of one group share a transaction; if any of them fails, the group is rolled back and its jobs
run again one by one, so that a poisoned job fails alone. Jobs must therefore touch nothing but the connection.

Waking the loop costs as much as half a commit, so an asker may bring a `tell`: it is called with the result on this thread, behind the
synced commit and before the loop knows. It must not wait for anything; what it raises is the asker's answer.

A full disk is a refusal (StorageFull): nothing was written, the same job may succeed later. A failed sync, a read error or corruption is
the end (StorageFailed): after a failed fsync the kernel may have dropped the dirty pages, so nobody knows what the file holds until it
is opened afresh. From then on every job is answered with that error, nothing is acknowledged, and the daemon leaves.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import outcome
import trio

from tocsind.errors import StorageFailed, StorageFull

from .schema import open_journal

T = TypeVar("T")
P = ParamSpec("P")
Connection = sqlite3.Connection  # what a job is given; who only hands jobs on needs no more of SQLite than this name
Answer = outcome.Value[Any] | outcome.Error

MOST_JOBS = 256  # a transaction stays short, so that an URGENT job never waits behind a thousand others
_END_OF_THE_ROAD = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)


class _Asker:
    """A task that waits for its job; None once it was cancelled: the job is done all the same."""

    def __init__(self, job: Callable[[sqlite3.Connection], Any], tell: Callable[[Any], object] | None) -> None:
        self.job = job
        self._tell = tell
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def told(self, answer: Answer) -> Answer:
        """On the journal's thread: let who is in a hurry know."""
        if self._tell is None or isinstance(answer, outcome.Error):
            return answer
        told = outcome.capture(self._tell, answer.value)
        return told if isinstance(told, outcome.Error) else answer

    def answer(self, answer: Answer) -> None:
        if self.task is not None:
            trio.lowlevel.reschedule(self.task, answer)


class Journal:
    """Runs jobs on the journal's own thread. Use as `async with Journal(folder) as journal`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inbox: queue.SimpleQueue[_Asker | None] = queue.SimpleQueue()
        self._broken: Exception | None = None
        self._closed = trio.Event()
        self._shrinks = False

    @property
    def healthy(self) -> bool:
        """False once the disk broke a promise."""
        return self._broken is None

    async def __aenter__(self) -> Self:
        self._token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._live, name="journal", daemon=True).start()
        try:
            await self.run(lambda _: None)  # its answer comes after opening, or is the reason why not
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.CancelScope(shield=True):
            self._inbox.put(None)
            await self._closed.wait()

    async def run(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `job(connection, ...)` returns, after its commit. Raises StorageFull, StorageFailed, or what the job raised.

        When the caller is cancelled the job still runs; whoever repeats it must be able to (ids make that so).
        """
        return await self.run_and_tell(None, job, *args, **kwargs)

    async def run_and_tell(
        self,
        tell: Callable[[T], object] | None,
        job: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `run`; `tell` gets the result first, on the journal's thread."""
        asker = _Asker(lambda connection: job(connection, *args, **kwargs), tell)
        self._inbox.put(asker)
        result: T = await trio.lowlevel.wait_task_rescheduled(asker.abandon)
        return result

    def _live(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            connection = open_journal(self._folder)
        except Exception as error:  # noqa: BLE001 - every asker is answered with it
            self._broken = error
        while askers := self._next_group():
            self._tell(askers, self._answers(connection, askers))
            if self._shrinks and connection is not None:
                self._shrinks = False
                self._shrink(connection)
        if connection is not None:
            connection.close()
        self._token.run_sync_soon(self._closed.set)

    async def shrink(self) -> None:
        """Give the write-ahead log's space back: it keeps its size for speed, and on a full disk that may be what is missing."""
        self._shrinks = True
        await self.run(lambda _: None)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._translate(error)  # no job's failure; but a disk that broke a promise ends this run as anywhere else

    def _next_group(self) -> list[_Asker]:
        """All jobs that wait now, at least one; none when it is time to close."""
        group: list[_Asker] = []
        asker = self._inbox.get()
        while asker is not None:
            group.append(asker)
            if len(group) == MOST_JOBS or self._inbox.empty():
                return group
            asker = self._inbox.get()
        if group:
            self._inbox.put(None)  # these first, then the end
        return group

    def _tell(self, askers: Sequence[_Asker], answers: Sequence[Answer]) -> None:
        told = [asker.told(answer) for asker, answer in zip(askers, answers, strict=True)]

        def wake() -> None:
            for asker, answer in zip(askers, told, strict=True):
                asker.answer(answer)

        self._token.run_sync_soon(wake)

    def _answers(self, connection: sqlite3.Connection | None, askers: Sequence[_Asker]) -> list[Answer]:
        if connection is None or self._broken is not None:
            return [outcome.Error(self._broken or StorageFailed("the journal is closed")) for _ in askers]
        try:
            return list(map(outcome.Value, _in_one_commit(connection, askers)))
        except Exception as error:  # noqa: BLE001 - the answer carries it to whoever asked
            translated = self._translate(error)
            if len(askers) == 1 or self._broken is not None:
                return [outcome.Error(translated) for _ in askers]
        return [answer for asker in askers for answer in self._answers(connection, [asker])]

    def _translate(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code; the rest tells which call it was
        if code == sqlite3.SQLITE_FULL:
            return StorageFull("the disk is full")
        if code in _END_OF_THE_ROAD:
            self._broken = StorageFailed(f"the journal in {self._folder} failed: {error} ({error.sqlite_errorname})")
            return self._broken
        return error


def _in_one_commit(connection: sqlite3.Connection, askers: Sequence[_Asker]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [asker.job(connection) for asker in askers]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results
