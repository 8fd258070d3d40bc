"""The task that imports the spool: when to scan, and the order of the steps."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import trio

from tocsin.errors import InvalidSignal
from tocsin.outbox_format import SUFFIX, Record
from tocsin.signals import Signal
from tocsin.spool import QUARANTINE
from tocsind.attachments import Attachments
from tocsind.clock import Clock, to_wall_time
from tocsind.core.accept import Acceptor, Group
from tocsind.core.active_config import ActiveConfig
from tocsind.core.admission import Peer
from tocsind.core.disk_guard import DiskGuard
from tocsind.errors import StorageFull
from tocsind.events import (
    Emit,
    Quarantined,
    SignalRefused,
    SpoolImported,
    SpoolProblem,
    SpoolRecovered,
    UnknownDestination,
)
from tocsind.journal import Journal, OutboxPosition, queue

from .folder import Folder, ScanResult, SpoolUnusable
from .inotify import DirectoryWatch
from .old_files import FILE_NAME, SpoolFile, aged, plain
from .outboxes import NoOutbox, Outbox, Reading

SCAN_INTERVAL = 60.0  # s between two scans of the whole folder without a reported change
POLL_INTERVAL = 2.0  # s; the same without inotify, or while a problem lasts
BUSY = 4  # records in one turn: then programs write one after the other, and
PACE = 0.05  # s pass between two turns: each costs a commit, whose sync makes writers wait
OUTBOXES_AT_ONCE = (
    512  # read for one commit, the owners in turn: a user with a thousand outboxes does not delay another's one
)
OLD_FILES_AT_ONCE = 128
SIGNALS_AT_ONCE = 500  # of old files, in one commit
CATCH_UP = 2.0  # s that a reload or a request waits for the records before it; mostly there are none
_ANY = list[dict[str, Any]]


class SpoolImporter:
    """Imports the spool. `run` until cancelled."""

    def __init__(
        self,
        path: Path,
        journal: Journal,
        acceptor: Acceptor,
        *,
        config: ActiveConfig,
        disk_guard: DiskGuard,
        attachments: Attachments,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._folder = Folder(path)
        self._journal = journal
        self._acceptor = acceptor
        self._config = config
        self._disk_guard = disk_guard
        self._attachments = attachments
        self._clock = clock
        self._emit = emit
        self._problem: str | None = None
        self._is_stopped = False  # the problem stops all imports
        self._watch = DirectoryWatch()
        self._known: dict[str, Outbox] = {}  # by name: outboxes whose owners run
        self._sequences: dict[tuple[bytes, int], int] = {}  # as in the journal
        self._batch: dict[str, None] = {}  # names of outboxes that this turn reads, in order
        self._waiting: dict[str, None] = {}  # those for the next turn
        self._full_scan = True  # the next turn lists the whole folder
        self._turning = False
        self._imported = 0  # records imported in this turn or the last
        self._pause = trio.CancelScope()  # the wait between two turns
        self._turns = 0  # ended so far
        self._wanted = 0  # turns to end before the next pause
        self._turned = trio.Event()  # set at the end of a turn, and replaced
        disk_guard.on_change = self._on_disk_guard_change
        self.first_pass_done = trio.Event()  # the records of before the start are imported

    @property
    def place(self) -> dict[str, str | int] | None:
        """The folder where outboxes are read, for clients; None while they are not."""
        return self._folder.place if self.first_pass_done.is_set() and self._problem is None else None

    async def run(self) -> None:
        """Import at once, and then at each change, question and interval."""
        self._sequences = await self._journal.run(queue.sequences)
        try:
            with self._watch:
                while True:
                    full_scan = self._full_scan
                    await self._import_some()
                    if full_scan and not (self._full_scan or self._waiting):
                        await self._attachments.sweep(self._clock.wall())  # no waiting record can name a file
                    await self._sleep()
        finally:
            self._folder.close()

    async def _sleep(self) -> None:
        """Pause until a file changes, a question needs a turn, or the interval ends."""
        if self._turns < self._wanted:
            return
        begun = self._clock.now()
        next_turn = begun + (PACE if self._imported >= BUSY else 0.0)
        interval = SCAN_INTERVAL if self._watch.works and self._problem is None else POLL_INTERVAL
        with trio.move_on_after(interval) as self._pause:
            await self._watch.changed()
            await trio.sleep(max(0.0, next_turn - self._clock.now()))
        if self._clock.now() - begun >= interval:
            self._full_scan = True

    async def catch_up(self, seconds: float = CATCH_UP) -> bool:
        """Wait until all records that are in the spool now are committed, for so many seconds at most; whether they are."""
        self._collect()
        if self._turning or self._full_scan or self._waiting:
            target = self._request_turn()
            with trio.move_on_after(seconds):
                while self._turns < target:
                    await self._turned.wait()
            return self._turns >= target and self._problem is None
        return True

    def _request_turn(self) -> int:
        """Import all waiting records without a pause; the value of `_turns` when that is done."""
        current = self._turning
        target = self._turns + current + (not current or self._full_scan or bool(self._waiting))
        self._wanted = max(self._wanted, target)
        self._pause.cancel()
        return target

    async def reach(self, outbox: str, sequence: int, uid: int) -> None:
        """As `catch_up`, for one outbox up to a record. `outbox` is its id in hexadecimal."""
        try:
            id_ = bytes.fromhex(outbox)
        except ValueError:
            return
        if self._sequences.get((id_, uid), 0) < sequence:
            await self.catch_up()

    @property
    def problem(self) -> str | None:
        """Why the spool, or a part of it, is not imported; None when all of it is."""
        return self._problem

    async def view(self) -> tuple[dict[str, Any], list[str]]:
        """The `spool` object of the status, and the problems."""
        problems = [f"the spool is not taken in: {self._problem}"] if self._problem else []
        view: dict[str, Any] = {"path": str(self._folder.path), "files": None, "quarantined": None, "reason": None}
        try:
            stats = await trio.to_thread.run_sync(self._folder.stats, len(self._batch | self._waiting))
        except SpoolUnusable as error:
            return view, problems or [f"the spool is not taken in: {error}"]
        if stats.quarantined:
            where = self._folder.path / QUARANTINE
            files = f"{stats.quarantined} file{'s' * (stats.quarantined != 1)}"
            problems.append(f"{files} of the spool could not be imported: see {where}; the latest: {stats.reason}")
        return {**view, "files": stats.waiting, "quarantined": stats.quarantined, "reason": stats.reason}, problems

    async def _import_some(self) -> None:
        """One turn: import the present records. Later changes are for the next turn, so each turn ends."""
        self._turning, self._imported = True, 0
        try:
            self._collect()
            problem = await self._import_old_files(await self._scan()) if self._full_scan else self._problem
            self._batch, self._waiting = self._waiting, {}
            while self._batch:
                problem = await self._import_batch() or problem
            self._set_problem(problem)
        except (SpoolUnusable, StorageFull) as error:
            self._full_scan = True
            self._set_problem(str(error), stops=True)
        self.first_pass_done.set()
        self._turning = False
        self._turns += 1
        turned, self._turned = self._turned, trio.Event()
        turned.set()

    def _collect(self) -> None:
        """Note the files that have changed, as inotify reports."""
        names = self._watch.names()
        if names is None or any(name.endswith(FILE_NAME) and name[0] != "." for name in names):
            self._full_scan = True
        for name in names or ():
            if name.endswith(SUFFIX) and name[0] != ".":
                self._waiting[name] = None

    async def _scan(self) -> list[str]:
        """List the folder: note the outboxes, and return the names of files of earlier versions."""
        await trio.to_thread.run_sync(self._folder.prepare)
        self._watch.watch(self._folder.path)  # before listing: inotify reports later files
        self._full_scan = False
        names, old_files = await trio.to_thread.run_sync(self._folder.names, self._clock.wall())
        self._waiting = dict.fromkeys(names) | self._waiting  # which may hold a file newer than the listing
        self._known = {name: self._known[name] for name in names if name in self._known}
        return old_files

    async def _import_batch(self) -> str | None:
        """Read some outboxes and commit their records. Returns why a file could not be put into quarantine, else None."""
        names = self._next_names()
        for name in names:  # before reading: a change that is reported meanwhile is read again
            del self._batch[name]
        scanned: ScanResult = await trio.to_thread.run_sync(self._folder.scan, names, self._known, self._sequences)
        news = [reading for reading in scanned.readings if reading.records]
        if news:
            await self._commit(news)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._folder.confirm, scanned.readings)
        problem = None
        for reading in scanned.readings:
            problem = await self._settle(reading) or problem
        for name in scanned.vanished:
            self._known.pop(name, None)
        for name, reason in scanned.bad.items():
            problem = await self._quarantine(name, reason) or problem
        left = {each.after.name: None for each in scanned.readings if each.more}
        self._batch = dict.fromkeys(scanned.left) | self._batch | left
        return problem

    def _next_names(self) -> list[str]:
        """Outboxes for one commit: the oldest of each owner in turn. New outboxes, whose owners are not known yet, count as one owner."""
        queues: dict[int, list[str]] = {}
        for name in self._batch:
            known = self._known.get(name)
            names = queues.setdefault(known.uid if known else -1, [])
            if len(names) < OUTBOXES_AT_ONCE:
                names.append(name)
        turns = (
            name for turn in range(OUTBOXES_AT_ONCE) for names in queues.values() for name in names[turn : turn + 1]
        )
        return [name for name, _ in zip(turns, range(OUTBOXES_AT_ONCE), strict=False)]

    async def _commit(self, news: list[Reading]) -> None:
        """Commit the records together with the sequence numbers reached. Raises StorageFull."""
        now = self._clock.wall()
        groups = [self._group(each, now) for each in news]
        steady = self._clock.steady()
        marks = [OutboxPosition(each.after.id, each.after.uid, each.after.sequence, steady) for each in news]
        await self._acceptor.accept_outboxes(groups, marks)
        self._imported += sum(len(each.records) for each in news)
        for each in news:
            self._sequences[each.after.id, each.after.uid] = each.after.sequence
        self._emit_imported(len(news), sum(len(group.signals) for group in groups))

    def _group(self, reading: Reading, now: float) -> Group:
        """The signals of an outbox, and their ages in seconds."""
        found, ages = list[Signal](), list[float]()
        for record in reading.records:
            written = to_wall_time(record.written, reading.after.boot, record.booted)
            for values in self._values(record, reading.after):
                try:
                    signal = aged(Signal.from_dict(values), written, now)
                    found.append(self._addressed(signal, reading.after.uid))
                    ages.append(max(0.0, now - written))
                except InvalidSignal as error:
                    self._refuse(error.field, error.reason, reading.after)
        return Group(found, Peer(uid=reading.after.uid, gid=reading.after.gid, pid=reading.after.pid), ages)

    def _values(self, record: Record, outbox: Outbox) -> list[dict[str, Any]]:
        try:
            return msgspec.json.decode(record.body, type=_ANY)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse("record", f"is no JSON array of objects: {error}", outbox)
            return []

    def _refuse(self, field: str, reason: str, outbox: Outbox) -> None:
        self._emit(SignalRefused(plain(field), plain(reason), outbox.uid, 0))

    def _addressed(self, signal: Signal, uid: int) -> Signal:
        """The signal without unknown destinations: it goes by the routes instead, and the message names them."""
        known = self._config.current.destinations
        unknown = [name for name in signal.to or () if name not in known]
        if not unknown:
            return signal
        self._emit(UnknownDestination(signal.id, tuple(map(plain, unknown)), uid))
        values = signal.as_dict()
        values["to"] = [name for name in values["to"] if name in known]
        if not values["to"]:
            del values["to"]
        values["fields"] = {**values.get("fields", {}), "unknown destination": ", ".join(unknown)}
        return Signal.trusted(values)

    async def _settle(self, reading: Reading) -> str | None:
        """Remember an outbox whose owner runs, forget any other, and put a damaged one into quarantine."""
        outbox, problem = reading.after, None
        if reading.damage:
            problem = await self._quarantine(outbox.name, reading.damage, copy=not reading.is_over)
        if reading.is_over:
            self._known.pop(outbox.name, None)
        else:
            self._known[outbox.name] = outbox
        return problem

    async def _quarantine(self, name: str, reason: str, *, copy: bool = False, whole: bool = False) -> str | None:
        """Put a file, or with `copy` a copy of it, into quarantine; returns why that failed, else None. Without `copy` and `whole` only a
        file that is no outbox is moved.
        """

        def put() -> str | None:
            if copy or whole:
                return self._folder.quarantine(name, reason, copy=copy)
            return self._folder.put_aside(name, reason, self._clock.wall())

        try:
            moved = await trio.to_thread.run_sync(put)
        except SpoolUnusable as error:
            return f"{plain(name)}: {plain(reason)}; {error}"
        except NoOutbox:
            return None  # its owner has replaced it since it was read: the next turn reads it
        if moved is not None:
            self._emit(Quarantined(plain(moved), plain(reason)))
        return None

    async def _import_old_files(self, names: list[str]) -> str | None:
        """Import files of earlier versions. Returns why a file could not be put into quarantine, else None."""
        problem = None
        while names:
            files = await trio.to_thread.run_sync(
                self._folder.read_old_files, names[:OLD_FILES_AT_ONCE], self._clock.wall()
            )
            names = names[len(files) :]
            problem = await self._import_files(files) or problem
        return problem

    async def _import_files(self, files: list[SpoolFile]) -> str | None:
        """Commit the signals, then delete the files."""
        for (uid, gid), group in groupby(files, key=lambda file: (file.uid, file.gid)):
            found = [(self._addressed(signal, uid), file.age) for file in group for signal in file.signals]
            for start in range(0, len(found), SIGNALS_AT_ONCE):
                signals, ages = zip(*found[start : start + SIGNALS_AT_ONCE], strict=True)
                await self._acceptor.accept(signals, Peer(uid=uid, gid=gid, pid=0), ages=ages)
        await trio.to_thread.run_sync(self._folder.delete, [file.name for file in files if not file.errors])
        imported = sum(len(file.signals) for file in files)
        if imported:
            self._emit_imported(len(files), imported)
        problem = None
        for file in files:
            if file.errors:
                problem = await self._quarantine(file.name, "; ".join(file.errors), whole=True) or problem
        return problem

    def _emit_imported(self, files: int, signals: int) -> None:
        """Clear the problem before the event: a status that is read after the event must not show it any more."""
        if self._is_stopped:
            self._set_problem(None)
        self._emit(SpoolImported(files, signals))

    def _set_problem(self, problem: str | None, *, stops: bool = False) -> None:
        self._is_stopped = stops
        before, self._problem = self._problem, problem
        if problem is not None and before is None:
            self._emit(SpoolProblem(problem))
        if before is not None and problem is None:
            self._emit(SpoolRecovered())
        self._folder.publish_reason(problem or self._disk_guard.closed)

    def _on_disk_guard_change(self) -> None:
        """The disk guard closed, or opened again: then import what waits at once."""
        self._folder.publish_reason(self._problem or self._disk_guard.closed)
        if self._disk_guard.closed is None:
            self._request_turn()
