"""The journal's thread: one connection, jobs in, answers out, one commit for all that wait.

A job is a function of the connection. Jobs of one group share a transaction; if any of them fails, the group is rolled back and its jobs
run again one by one, so that a poisoned job fails alone. Jobs must therefore touch nothing but the connection.

Hand-offs need not wait for that commit: they are synced in the redo log, answered, and applied as the first job of the next (`promises`).

Waking the loop costs as much as half a commit, so an asker may bring a `tell`: it is called with the result on this thread, behind the
synced commit and before the loop knows. It must not wait for anything; what it raises is the asker's answer. What this thread waits for,
and which jobs may wait for others, stands in `inbox`.

A full disk is a refusal (StorageFull): nothing was written, the same job may succeed later. A failed sync, a read error or corruption is
the end (StorageFailed): after a failed fsync the kernel may have dropped the dirty pages, so nobody knows what the file holds until it
is opened afresh. From then on every job is answered with that error, nothing is acknowledged, and the daemon leaves.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import outcome
import trio

from tocsind.errors import CannotWrite, StorageFailed, StorageFull, StorageLost

from .askers import Answer, Asker, HandOff, Haste, Waiter
from .copying import Copy, CopyFailed, freeze, thaw
from .files import Files, Reserve
from .inbox import Guest, Inbox
from .mark import Commits
from .promises import Promises
from .recovery import Recovered, Replaced, is_damage, open_whole, rescue
from .redo import RedoLog
from .schema import CHECKPOINT

T = TypeVar("T")
P = ParamSpec("P")
Finding = Recovered | Replaced
Connection = sqlite3.Connection  # what a job is given; who only hands jobs on needs no more of SQLite than this name
_ENTER = Asker(lambda _: None, Haste.PATIENT)  # a reason for a commit, which enters what was promised
_SHORT_CHECKPOINT = 500  # pages, 1 MiB: while the reserve is used, the log must stay within its share
_END_OF_THE_ROAD = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)


class Journal:
    """Runs jobs on the journal's own thread. Use as `async with Journal(folder) as journal`.

    `now` is Unix time: what of a damaged journal lost its deliveries is owed again when it is younger than a day.
    """

    def __init__(self, folder: Path, now: float = 0.0) -> None:
        self._folder = folder
        self._now = now
        self._broken: Exception | None = None
        self._closed = trio.Event()
        self._shrinks = False
        self._promises: Promises | None = None
        self._reserve = Reserve(folder)
        self._files: Files | None = None
        self._commits: Commits | None = None
        self._outside: deque[Callable[[sqlite3.Connection], None]] = deque()
        self._copying = False
        self.finding: Finding | None = None  # what was wrong with the files; known once they are open

    @property
    def healthy(self) -> bool:
        """False once the disk broke a promise."""
        return self._broken is None

    @property
    def is_full(self) -> bool:
        """Whether the journal lives on its reserve, or signals were promised that have room in the redo log only; from any thread."""
        return self._reserve.is_used or (self._promises is not None and self._promises.is_stuck)

    @property
    def holds_reserve(self) -> bool:
        """Whether space is kept for outcomes; from any thread."""
        return self._reserve.is_held

    async def __aenter__(self) -> Self:
        self._token = trio.lowlevel.current_trio_token()
        self._inbox = Inbox()
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
        result: T = await self._ask(Waiter(lambda connection: job(connection, *args, **kwargs), None, Haste.URGENT))
        return result

    async def run_patiently(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `run`, for who would rather wait some milliseconds for others' commit than take their time with one of its own."""
        result: T = await self._ask(Waiter(lambda connection: job(connection, *args, **kwargs), None, Haste.PATIENT))
        return result

    async def run_and_tell(
        self,
        tell: Callable[[T], object] | None,
        job: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `run`; `tell` gets the result first, on the journal's thread."""
        result: T = await self._ask(Waiter(lambda connection: job(connection, *args, **kwargs), tell, Haste.URGENT))
        return result

    async def hold_reserve(self) -> bool:
        """Keep space for outcomes; False when the disk does not have it."""
        return await self.run(self._hold)

    async def use_reserve(self) -> bool:
        """Give the kept space to the journal, for outcomes; False when there is none left."""
        return await self.run(self._release)

    def check_files(self) -> None:
        """Raises StorageFailed when the files are not where they were opened; from any thread, and it takes microseconds."""
        if self._is_lost() and self._broken is not None:
            raise self._broken

    @asynccontextmanager
    async def copied(self, now: float) -> AsyncIterator[Copy]:
        """The journal's file as it is at this moment (`copying`), until the context ends. Raises CopyFailed, StorageFull."""
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

    def place(self, asker: Asker) -> None:
        """A job that nobody awaits; from any thread."""
        self._inbox.put(asker)

    @property
    def _checkpoint(self) -> int:
        """After so many pages of its log SQLite takes them into the database."""
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
        """Let the journal's thread do something that no transaction may be open for. Raises what `work` raises, translated."""
        answer, done = list[Exception](), trio.Event()

        def attempt(connection: sqlite3.Connection) -> None:
            try:
                work(connection)
            except Exception as error:  # noqa: BLE001 - it is raised to the caller
                answer.append(self._translate(error))
            self._token.run_sync_soon(done.set)

        self._outside.append(attempt)
        await self.run(lambda _: None)
        await done.wait()
        if answer:
            raise answer[0]

    def _is_lost(self) -> bool:
        """Whether the files are gone from under us: then what is written there is not found by the next start."""
        if self._broken is None and self._files and (lost := self._files.check()):
            self._broken = StorageLost(f"the journal is gone: {lost}. Nothing is acknowledged any more")
        return self._broken is not None

    async def _ask(self, waiter: Waiter) -> Any:
        self._inbox.put(waiter)
        return await trio.lowlevel.wait_task_rescheduled(waiter.abandon)

    def lend(self, guest: Guest) -> None:
        """Let the journal's thread hear a guest, until one of the two ends the visit."""
        self._inbox.lend(guest)

    def leave(self, guest: Guest) -> None:
        """End a guest's visit, on the journal's thread."""
        self._inbox.take_back(guest)

    async def take_back(self, guest: Guest) -> None:
        """End a guest's visit: what was heard of it has been answered when this returns, and its socket is the caller's alone."""
        with trio.CancelScope(shield=True), suppress(StorageFailed):
            self._inbox.take_back(guest)
            await self.run(lambda _: None)

    def _live(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - a bug of ours, and without this thread nothing goes on
            self._token.run_sync_soon(outcome.Error(error).unwrap)

    def _serve(self) -> None:
        try:
            connection, log = self._open()
            self._files = Files(self._folder)
            self._commits = Commits(connection, self._folder)
            self._promises = promises = Promises(connection, log)
        except Exception as error:  # noqa: BLE001 - every asker is answered with it
            self._broken = error
            self._refuse_all(error)
        else:
            while askers := self._inbox.next_group():
                self._serve_group(connection, promises, askers)
            self._rescue(connection)
            connection.close()
            promises.close(healthy=self.healthy)
            self._files.close()
            self._commits.close()
        self._inbox.close()
        self._token.run_sync_soon(self._closed.set)

    def _rescue(self, connection: sqlite3.Connection) -> None:
        """What was taken away while it was open is still here: keep it for the next start."""
        if isinstance(self._broken, StorageLost) and self._files and not self._files.is_replaced:
            with suppress(OSError, sqlite3.Error):  # it is lost already
                rescue(connection, self._folder)

    def _open(self) -> tuple[sqlite3.Connection, RedoLog | None]:
        """The journal with what a killed run promised in it; on a full disk this may take the reserve."""
        try:
            return self._opened()
        except CannotWrite as error:
            if not (_is_full(error.__cause__) and self._reserve.release()):
                raise
        return self._opened()

    def _opened(self) -> tuple[sqlite3.Connection, RedoLog | None]:
        connection, self.finding = open_whole(self._folder, self._now)
        try:
            return connection, RedoLog.open(self._folder, connection)
        except BaseException:
            connection.close()
            raise

    def _refuse_all(self, error: Exception) -> None:
        while askers := self._inbox.next_group():
            self._tell(askers, [outcome.Error(error) for _ in askers])

    def _serve_group(self, connection: sqlite3.Connection, promises: Promises, askers: list[Asker]) -> None:
        self._is_lost()
        waiting = self._promise(promises, askers)
        if waiting:
            group = [promises, *waiting] if promises else waiting
            self._tell(group, self._answers(connection, group))
            promises.others_committed()
        if promises.is_stuck:
            self._inbox.remind(_ENTER)
        while self._outside:
            self._outside.popleft()(connection)
        if self._shrinks and not self._copying:
            self._shrink(connection)
        self._shrinks = False

    def _promise(self, promises: Promises, askers: list[Asker]) -> list[Asker]:
        """Answer hand-offs on the strength of the redo log, if it can be; who has to wait for a commit."""
        hand_offs = [each for each in askers if isinstance(each, HandOff)]
        is_first = not promises
        answers = self._promised(promises, hand_offs) if hand_offs else None
        if answers is None:
            return askers
        for hand_off, answer in zip(hand_offs, answers, strict=True):
            hand_off.told(answer)
        waiting = [each for each in askers if not isinstance(each, HandOff)]
        if is_first and not waiting and not self._inbox.postpone(_ENTER):
            return [_ENTER]
        return waiting

    def _promised(self, promises: Promises, hand_offs: list[HandOff]) -> list[Answer] | None:
        try:
            return promises.make(hand_offs) if self.healthy else None
        except OSError as error:
            self._broken = StorageFailed(f"the redo log in {self._folder} failed: {error.strerror}")
        except sqlite3.Error as error:
            self._translate(error)  # and if it was not the end, a commit will say what it was
        return None

    async def shrink(self) -> None:
        """Give the write-ahead log's space back: it keeps its size for speed, and on a full disk that may be what is missing."""
        self._shrinks = True
        await self.run(lambda _: None)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._translate(error)  # no job's failure; but a disk that broke a promise ends this run as anywhere else

    def _tell(self, askers: Sequence[Asker], answers: Sequence[Answer]) -> None:
        told = [(asker, asker.told(answer)) for asker, answer in zip(askers, answers, strict=True)]
        self._token.run_sync_soon(_answer_all, told)

    def _answers(self, connection: sqlite3.Connection, askers: Sequence[Asker]) -> list[Answer]:
        if self._broken is not None:
            return [outcome.Error(self._broken) for _ in askers]
        try:
            assert self._commits is not None, "the journal is open"
            results = _in_one_commit(connection, askers, self._commits)
            if self._is_lost():
                return self._answers(connection, askers)  # the error, each
            return list(map(outcome.Value, results))
        except Exception as error:  # noqa: BLE001 - the answer carries it to whoever asked
            translated = self._translate(error)
            if len(askers) == 1 or self._broken is not None:
                return [outcome.Error(translated) for _ in askers]
        return [answer for asker in askers for answer in self._answers(connection, [asker])]

    def _translate(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            self._suspect(error)
            return error
        code = _primary_code(error)
        if code == sqlite3.SQLITE_FULL:
            return StorageFull("the disk is full")
        if is_damage(error):
            self._suspect(error)
        if code in _END_OF_THE_ROAD:
            self._broken = StorageFailed(f"the journal in {self._folder} failed: {error} ({error.sqlite_errorname})")
            return self._broken
        return error

    def _suspect(self, error: Exception) -> None:
        """What a job could not read may be damaged: the next start looks."""
        if self._commits and not isinstance(error, StorageFull):
            self._commits.suspect()


def _in_one_commit(connection: sqlite3.Connection, askers: Sequence[Asker], commits: Commits) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        commits.begin(connection)
        results = [asker.job(connection) for asker in askers]
        is_numbered = commits.count(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if is_numbered:
        commits.committed()
    return results


def _primary_code(error: sqlite3.Error) -> int:
    """What kind of error; the rest of SQLite's code tells which call it was."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.Error) and _primary_code(error) == sqlite3.SQLITE_FULL


def _answer_all(answers: Sequence[tuple[Asker, Answer]]) -> None:
    for asker, answer in answers:
        asker.answer(answer)
