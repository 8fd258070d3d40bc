"""The journal thread: one connection, jobs in, answers out, one commit for all waiting jobs.

A job is a function of the connection. Jobs of one group share a transaction; if any of them fails, the group is rolled back and its jobs
run again one by one, so that a faulty job fails alone. Jobs must therefore change nothing but the connection. The event loop gets the
answers after the synced commit.

A full disk is a refusal (StorageFull): nothing was written, the same job may succeed later. A failed sync, a read error or corruption is
the end (StorageFailed): after a failed fsync the kernel may have dropped the dirty pages, so it is unknown what the file holds until it
is opened afresh. From then on every job is answered with that error, nothing is acknowledged, and the daemon stops.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import outcome
import trio

from tocsind.errors import CannotWrite, StorageFailed, StorageFull, StorageLost

from .backup import Copy, CopyFailed, freeze, thaw
from .commit_mark import CommitCounter
from .files import Files, Reserve
from .opening import CHECKPOINT
from .recovery import Recovered, Replaced, is_damage, open_intact, rescue
from .redo_log import import_rest

T = TypeVar("T")
P = ParamSpec("P")
Connection = sqlite3.Connection  # the type of a job's argument, for callers that do not import sqlite3
Finding = Recovered | Replaced
Answer = outcome.Value[Any] | outcome.Error
_SHORT_CHECKPOINT = 500  # pages, 1 MiB: while the reserve is used, the log must stay within its share
MAX_JOBS = 256  # a transaction stays short, so that an URGENT job never waits behind a thousand others
_FATAL_CODES = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY})


class _Waiter:
    """A job, and the task that waits for it. The task is None after a cancellation: the job runs all the same."""

    __slots__ = ("job", "task")

    def __init__(self, job: Callable[[Connection], Any]) -> None:
        self.job = job
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Called by trio when the task is cancelled."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


# On a busy machine the kernel runs the programs that hand signals over before this thread, which only takes over what they have synced
# themselves. With eight busy processes on two cores, and all threads but the event loop lowered so, the median alert of three runs arrived
# 0 to 21 ms later.
NICE: Final = 5


class Journal:
    """Runs jobs on the journal thread. Use as `async with Journal(folder) as journal`.

    `now` is Unix time: a signal of a damaged journal that lost its deliveries is delivered again when it is younger than a day.
    """

    def __init__(self, folder: Path, now: float = 0.0) -> None:
        self._folder = folder
        self._now = now
        self._failure: Exception | None = None
        self._closed = trio.Event()
        self._shrinks = False
        self._reserve = Reserve(folder)
        self._files: Files | None = None
        self._commits: CommitCounter | None = None
        self._outside_transaction: deque[Callable[[sqlite3.Connection], None]] = deque()
        self._copying = False
        self.finding: Finding | None = None  # what was wrong with the files; known once they are open
        self._jobs: SimpleQueue[_Waiter | None] = SimpleQueue()  # None ends the thread

    @property
    def healthy(self) -> bool:
        """False after a failed sync or write."""
        return self._failure is None

    @property
    def is_full(self) -> bool:
        """Whether the journal uses its reserve; from any thread."""
        return self._reserve.is_used

    @property
    def holds_reserve(self) -> bool:
        """Whether space is reserved for outcomes; from any thread."""
        return self._reserve.is_held

    async def __aenter__(self) -> Self:
        self._token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._run, name="journal", daemon=True).start()
        try:
            await self.run(lambda _: None)  # it is answered after opening, or with the reason why not
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.CancelScope(shield=True):
            self._jobs.put(None)
            await self._closed.wait()

    async def run(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns what `job(connection, ...)` returns, after its commit. Raises StorageFull, StorageFailed, or what the job raised.

        When the caller is cancelled the job still runs; a caller that repeats a job must be able to (ids make that so).
        """
        waiter = _Waiter(lambda connection: job(connection, *args, **kwargs))
        self._jobs.put(waiter)
        result: T = await trio.lowlevel.wait_task_rescheduled(waiter.abandon)
        return result

    async def hold_reserve(self) -> bool:
        """Reserve space for outcomes; False when the disk does not have it."""
        return await self.run(self._hold)

    async def use_reserve(self) -> bool:
        """Give the reserved space to the journal, for outcomes; False when there is none left."""
        return await self.run(self._release)

    def check_files(self) -> None:
        """Raises StorageFailed when the files are not where they were opened. Any thread may call it; it takes microseconds."""
        if self._is_lost() and self._failure is not None:
            raise self._failure

    @asynccontextmanager
    async def copied(self, now: float) -> AsyncIterator[Copy]:
        """The journal's file as it is at this moment (`backup`), until the context ends. Raises CopyFailed, StorageFull."""
        if self._copying:
            raise CopyFailed("another copy is being made; try again")
        self._copying = True
        try:
            await self._run_outside(lambda connection: freeze(connection, now))
            assert self._files is not None, "the journal is open"
            yield self._files.copy()
        finally:
            with trio.CancelScope(shield=True), suppress(StorageFailed):
                await self._run_outside(lambda connection: thaw(connection, self._checkpoint))
            self._copying = False

    @property
    def _checkpoint(self) -> int:
        """Pages of the log after which SQLite moves them into the database."""
        return _SHORT_CHECKPOINT if self._reserve.is_used else CHECKPOINT

    def _hold(self, connection: sqlite3.Connection) -> bool:
        held = self._reserve.hold()
        self._set_checkpoint(connection)
        return held

    def _release(self, connection: sqlite3.Connection) -> bool:
        released = self._reserve.release()
        if released and self._files:
            self._files.extend()
        self._set_checkpoint(connection)
        return released

    def _set_checkpoint(self, connection: sqlite3.Connection) -> None:
        if not self._copying:
            connection.execute(f"PRAGMA wal_autocheckpoint = {self._checkpoint}").fetchall()

    async def _run_outside(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Run `work` on the journal thread outside any transaction. Raises what `work` raises, translated."""
        answer, done = list[Exception](), trio.Event()

        def attempt(connection: sqlite3.Connection) -> None:
            try:
                work(connection)
            except Exception as error:  # noqa: BLE001 - it is raised to the caller
                answer.append(self._translate(error))
            self._token.run_sync_soon(done.set)

        self._outside_transaction.append(attempt)
        await self.run(lambda _: None)
        await done.wait()
        if answer:
            raise answer[0]

    def _is_lost(self) -> bool:
        """Whether the files were deleted or moved: then the next start does not find what is written now."""
        if self._failure is None and self._files and (lost := self._files.check()):
            self._failure = StorageLost(f"the journal is gone: {lost}. Nothing is acknowledged any more")
        return self._failure is not None

    def _run(self) -> None:
        with suppress(OSError):  # a sandbox may forbid it
            os.nice(NICE)  # of this thread only: Linux has a nice value for each
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - a bug; without this thread the daemon cannot continue
            self._token.run_sync_soon(outcome.Error(error).unwrap)

    def _serve(self) -> None:
        try:
            connection = self._open()
            self._files = Files(self._folder)
            self._commits = CommitCounter(connection, self._folder)
        except Exception as error:  # noqa: BLE001 - every job is answered with it
            self._failure = error
            while waiters := self._next_group():
                self._reply(waiters, [outcome.Error(error) for _ in waiters])
        else:
            while waiters := self._next_group():
                self._is_lost()
                self._reply(waiters, self._answers(connection, waiters))
                while self._outside_transaction:
                    self._outside_transaction.popleft()(connection)
                if self._shrinks and not self._copying:
                    self._shrink(connection)
                self._shrinks = False
            self._rescue(connection)
            connection.close()
            self._files.close()
            self._commits.close()
        self._token.run_sync_soon(self._closed.set)

    def _rescue(self, connection: sqlite3.Connection) -> None:
        """Save the content of files that were deleted or moved while they were open, for the next start."""
        if isinstance(self._failure, StorageLost) and self._files and not self._files.is_replaced:
            with suppress(OSError, sqlite3.Error):  # it is lost already
                rescue(connection, self._folder)

    def _open(self) -> sqlite3.Connection:
        """Open the journal; on a full disk this may use the reserve."""
        try:
            return self._opened()
        except CannotWrite as error:
            if not (_is_full(error.__cause__) and self._reserve.release()):
                raise
        return self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection, self.finding = open_intact(self._folder, self._now)
        try:
            import_rest(self._folder, connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _next_group(self) -> list[_Waiter]:
        """All waiting jobs, at least one; none when it is time to close."""
        group: list[_Waiter] = []
        waiter = self._jobs.get()
        while waiter is not None:
            group.append(waiter)
            if len(group) == MAX_JOBS or self._jobs.empty():
                return group
            waiter = self._jobs.get()
        if group:
            self._jobs.put(None)
        return group

    async def shrink(self) -> None:
        """Give the write-ahead log's space back: it keeps its size for speed, and on a full disk that space may be missing."""
        self._shrinks = True
        await self.run(lambda _: None)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._translate(error)  # no job failed; but a failed sync ends this run as it does elsewhere

    def _reply(self, waiters: Sequence[_Waiter], answers: Sequence[Answer]) -> None:
        self._token.run_sync_soon(_reply_all, waiters, answers)

    def _answers(self, connection: sqlite3.Connection, waiters: Sequence[_Waiter]) -> list[Answer]:
        if self._failure is not None:
            return [outcome.Error(self._failure) for _ in waiters]
        try:
            assert self._commits is not None, "the journal is open"
            results = _in_one_commit(connection, waiters, self._commits)
            if self._is_lost():
                return self._answers(connection, waiters)  # the same error for each
            return list(map(outcome.Value, results))
        except Exception as error:  # noqa: BLE001 - it is raised in the task that waits for the job
            translated = self._translate(error)
            if len(waiters) == 1 or self._failure is not None:
                return [outcome.Error(translated) for _ in waiters]
        return [answer for waiter in waiters for answer in self._answers(connection, [waiter])]

    def _translate(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            self._mark_suspect(error)
            return error
        code = _primary_code(error)
        if code == sqlite3.SQLITE_FULL:
            return StorageFull("the disk is full")
        if is_damage(error):
            self._mark_suspect(error)
        if code in _FATAL_CODES:
            self._failure = StorageFailed(f"the journal in {self._folder} failed: {error} ({error.sqlite_errorname})")
            return self._failure
        return error

    def _mark_suspect(self, error: Exception) -> None:
        """A row that a job could not read may be damaged: the next start checks."""
        if self._commits and not isinstance(error, StorageFull):
            self._commits.suspect()


def _primary_code(error: sqlite3.Error) -> int:
    """The kind of error; the rest of SQLite's code names the call."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.Error) and _primary_code(error) == sqlite3.SQLITE_FULL


def _in_one_commit(connection: sqlite3.Connection, waiters: Sequence[_Waiter], commits: CommitCounter) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        commits.begin(connection)
        results = [waiter.job(connection) for waiter in waiters]
        is_numbered = commits.count(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if is_numbered:
        commits.committed()
    return results


def _reply_all(waiters: Sequence[_Waiter], answers: Sequence[Answer]) -> None:
    for waiter, answer in zip(waiters, answers, strict=True):
        if waiter.task is not None:
            trio.lowlevel.reschedule(waiter.task, answer)
