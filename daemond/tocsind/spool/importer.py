"""The task that takes the spool in: when to look, and in which order things happen."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import trio

from tocsin.errors import InvalidSignal
from tocsin.outbox import SUFFIX, Record
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
from .outboxes import Outbox, Reading

SCAN_INTERVAL = 60.0  # s between two looks that nothing prompted
POLL_INTERVAL = 2.0  # the same where the kernel tells nothing, or something is in the way
BUSY = 4  # records in one look: programs write one upon the other, and
PACE = 0.05  # s are then between two looks: each costs a commit, and its sync makes writers wait
OUTBOXES_AT_ONCE = (
    512  # read for one commit, one after the other by owner: nobody's thousand keep another's one waiting
)
OLD_FILES_AT_ONCE = 128
SIGNALS_AT_ONCE = 500  # of old files, in one commit
CATCH_UP = 2.0  # s that a reload or a hand-off waits for what was written before it; most of them for none
_ANY = list[dict[str, Any]]


class SpoolImporter:
    """Takes the spool in until it is cancelled."""

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
        self._is_stopped = False  # the trouble keeps everything from being taken
        self._watch = DirectoryWatch()
        self._known: dict[str, Outbox] = {}  # by name: outboxes whose owners live
        self._sequences: dict[tuple[bytes, int], int] = {}  # as the journal has them
        self._batch: dict[str, None] = {}  # names of outboxes that this turn looks at, in order
        self._waiting: dict[str, None] = {}  # those for the next turn
        self._full_scan = True  # all of the folder is to be looked at
        self._turning = False
        self._taken = 0  # records, in this turn or the last
        self._pause = trio.CancelScope()  # the wait between two turns
        self._turns = 0  # that have ended, and
        self._wanted = 0  # how many shall have ended before the next wait
        self._turned = trio.Event()  # the end of this turn, or between two of the next; replaced each time
        disk_guard.on_change = self._on_intake_change
        self.first_pass_done = trio.Event()  # what was there at the start is taken

    @property
    def place(self) -> dict[str, str | int] | None:
        """Where outboxes are read, for clients; None while they are not."""
        return self._folder.place if self.first_pass_done.is_set() and self._problem is None else None

    async def run(self) -> None:
        """Look at once, and then whenever there is reason to."""
        self._sequences = await self._journal.run(queue.sequences)
        try:
            with self._watch:
                while True:
                    looks = self._full_scan
                    await self._import_some()
                    if looks and not (self._full_scan or self._waiting):
                        await self._attachments.sweep(self._clock.wall())  # nothing waits that could name one
                    await self._sleep()
        finally:
            self._folder.close()

    async def _sleep(self) -> None:
        """Until something changes, or a question wants a turn, or a round is over."""
        if self._turns < self._wanted:
            return
        begun = self._clock.now()
        next_look = begun + (PACE if self._taken >= BUSY else 0.0)
        quiet = SCAN_INTERVAL if self._watch.works and self._problem is None else POLL_INTERVAL
        with trio.move_on_after(quiet) as self._pause:
            await self._watch.changed()
            await trio.sleep(max(0.0, next_look - self._clock.now()))
        if self._clock.now() - begun >= quiet:
            self._full_scan = True

    async def catch_up(self, seconds: float = CATCH_UP) -> bool:
        """Wait until all that is in the spool at this moment is committed, but at most so many seconds; whether it is."""
        self._collect()
        if self._turning or self._full_scan or self._waiting:
            target = self._want_turn()
            with trio.move_on_after(seconds):
                while self._turns < target:
                    await self._turned.wait()
            return self._turns >= target and self._problem is None
        return True

    def _want_turn(self) -> int:
        """Have all that is known to wait taken in without a pause; how many turns will have ended then."""
        current = self._turning
        target = self._turns + current + (not current or self._full_scan or bool(self._waiting))
        self._wanted = max(self._wanted, target)
        self._pause.cancel()
        return target

    async def reach(self, outbox: str, sequence: int, uid: int) -> None:
        """The same for one outbox, up to a record, given its id in hexadecimal."""
        try:
            id_ = bytes.fromhex(outbox)
        except ValueError:
            return
        if self._sequences.get((id_, uid), 0) < sequence:
            await self.catch_up()

    @property
    def trouble(self) -> str | None:
        """Why the spool is not taken in, or not all of it; None when it is."""
        return self._problem

    async def view(self) -> tuple[dict[str, Any], list[str]]:
        """The `spool` of the status, and what is wrong with it."""
        problems = [f"the spool is not taken in: {self._problem}"] if self._problem else []
        told: dict[str, Any] = {"path": str(self._folder.path), "files": None, "quarantined": None, "reason": None}
        try:
            census = await trio.to_thread.run_sync(self._folder.stats, len(self._batch | self._waiting))
        except SpoolUnusable as unfit:
            return told, problems or [f"the spool is not taken in: {unfit}"]
        if census.quarantined:
            where = self._folder.path / QUARANTINE
            problems.append(
                f"{census.quarantined} of the spool could not be taken and lie in {where}; the last: {census.reason}"
            )
        return {**told, "files": census.waiting, "quarantined": census.quarantined, "reason": census.reason}, problems

    async def _import_some(self) -> None:
        """All that is there now. What changes meanwhile is for the next turn, so each of them ends."""
        self._turning, self._taken = True, 0
        try:
            self._collect()
            trouble = await self._import_old_files(await self._scan()) if self._full_scan else self._problem
            self._batch, self._waiting = self._waiting, {}
            while self._batch:
                trouble = await self._import_batch() or trouble
            self._set_problem(trouble)
        except (SpoolUnusable, StorageFull) as error:
            self._full_scan = True
            self._set_problem(str(error), stops=True)
        self.first_pass_done.set()
        self._turning = False
        self._turns += 1
        turned, self._turned = self._turned, trio.Event()
        turned.set()

    def _collect(self) -> None:
        """What has changed, as the kernel tells."""
        names = self._watch.names()
        if names is None or any(name.endswith(FILE_NAME) and name[0] != "." for name in names):
            self._full_scan = True
        for name in names or ():
            if name.endswith(SUFFIX) and name[0] != ".":
                self._waiting[name] = None

    async def _scan(self) -> list[str]:
        """Look for outboxes, and for files of earlier versions: their names."""
        await trio.to_thread.run_sync(self._folder.prepare)
        self._watch.watch(self._folder.path)  # before the look: what comes after it is told
        self._full_scan = False
        names, letters = await trio.to_thread.run_sync(self._folder.names, self._clock.wall())
        self._waiting = dict.fromkeys(names) | self._waiting  # which may hold one that is younger than the listing
        self._known = {name: self._known[name] for name in names if name in self._known}
        return letters

    async def _import_batch(self) -> str | None:
        """Read some outboxes, and take in what they say. Answers what is in the way of a quarantine, if anything is."""
        names = self._next_names()
        for name in names:  # before the look: what is told meanwhile is looked at again
            del self._batch[name]
        looked: ScanResult = await trio.to_thread.run_sync(self._folder.scan, names, self._known, self._sequences)
        news = [reading for reading in looked.readings if reading.records]
        if news:
            await self._enter(news)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._folder.confirm, looked.readings)
        trouble = None
        for reading in looked.readings:
            trouble = await self._settle(reading) or trouble
        for name in looked.vanished:
            self._known.pop(name, None)
        for name, reason in looked.bad.items():
            trouble = await self._quarantine(name, reason) or trouble
        left = {each.after.name: None for each in looked.readings if each.more}
        self._batch = dict.fromkeys(looked.left) | self._batch | left
        return trouble

    def _next_names(self) -> list[str]:
        """Outboxes for one commit: the oldest of each owner in turn, as far as the owners are known."""
        queues: dict[int, list[str]] = {}
        for name in self._batch:
            known = self._known.get(name)
            mine = queues.setdefault(known.uid if known else -1, [])
            if len(mine) < OUTBOXES_AT_ONCE:
                mine.append(name)
        turns = (name for turn in range(OUTBOXES_AT_ONCE) for mine in queues.values() for name in mine[turn : turn + 1])
        return [name for name, _ in zip(turns, range(OUTBOXES_AT_ONCE), strict=False)]

    async def _enter(self, news: list[Reading]) -> None:
        """One commit for what was read, with how far. Raises StorageFull."""
        now = self._clock.wall()
        groups = [self._group(each, now) for each in news]
        steady = self._clock.steady()
        marks = [OutboxPosition(each.after.id, each.after.uid, each.after.sequence, steady) for each in news]
        await self._acceptor.take_in(groups, marks)
        self._taken += sum(len(each.records) for each in news)
        for each in news:
            self._sequences[each.after.id, each.after.uid] = each.after.sequence
        self._tell_taken(len(news), sum(len(group.signals) for group in groups))

    def _group(self, reading: Reading, now: float) -> Group:
        """What an outbox says, and how long ago."""
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
        return Group(found, Peer(uid=reading.after.uid, gid=reading.after.gid, pid=0), ages)

    def _values(self, record: Record, outbox: Outbox) -> list[dict[str, Any]]:
        try:
            return msgspec.json.decode(record.body, type=_ANY)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse("record", f"is no JSON array of objects: {error}", outbox)
            return []

    def _refuse(self, field: str, reason: str, outbox: Outbox) -> None:
        self._emit(SignalRefused(plain(field), plain(reason), outbox.uid, 0))

    def _addressed(self, signal: Signal, uid: int) -> Signal:
        """The signal without destinations that there are not: that costs it its way, and not its life."""
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
        """Remember an outbox, or forget it; and put a copy of a damaged one aside."""
        outbox, trouble = reading.after, None
        if reading.damage:
            trouble = await self._quarantine(outbox.name, reading.damage, copy=not reading.is_over)
        if reading.is_over:
            self._known.pop(outbox.name, None)
        else:
            self._known[outbox.name] = outbox
        return trouble

    async def _quarantine(self, name: str, reason: str, *, copy: bool = False, whole: bool = False) -> str | None:
        """Put a file aside, a copy of it, or all of it whatever it is. Answers what is in the way of that."""

        def put() -> str | None:
            if copy or whole:
                return self._folder.quarantine(name, reason, copy=copy)
            return self._folder.forget_unreadable(name, reason, self._clock.wall())

        try:
            moved = await trio.to_thread.run_sync(put)
        except SpoolUnusable as unfit:
            return f"{plain(name)}: {plain(reason)}; {unfit}"
        if moved is not None:
            self._emit(Quarantined(plain(moved), plain(reason)))
        return None

    async def _import_old_files(self, names: list[str]) -> str | None:
        """Files of earlier versions. Answers what is in the way of a quarantine, if anything is."""
        trouble = None
        while names:
            letters = await trio.to_thread.run_sync(
                self._folder.read_old_files, names[:OLD_FILES_AT_ONCE], self._clock.wall()
            )
            names = names[len(letters) :]
            trouble = await self._import_files(letters) or trouble
        return trouble

    async def _import_files(self, letters: list[SpoolFile]) -> str | None:
        """First the commit, then the files."""
        for (uid, gid), group in groupby(letters, key=lambda letter: (letter.uid, letter.gid)):
            found = [(self._addressed(signal, uid), letter.age) for letter in group for signal in letter.signals]
            for start in range(0, len(found), SIGNALS_AT_ONCE):
                signals, ages = zip(*found[start : start + SIGNALS_AT_ONCE], strict=True)
                await self._acceptor.accept(signals, Peer(uid=uid, gid=gid, pid=0), ages=ages)
        await trio.to_thread.run_sync(self._folder.delete, [letter.name for letter in letters if not letter.errors])
        taken = sum(len(letter.signals) for letter in letters)
        if taken:
            self._tell_taken(len(letters), taken)
        trouble = None
        for letter in letters:
            if letter.errors:
                trouble = await self._quarantine(letter.name, "; ".join(letter.errors), whole=True) or trouble
        return trouble

    def _tell_taken(self, files: int, signals: int) -> None:
        """First clear what stopped the spool: a status that is read after the event must not show it any more."""
        if self._is_stopped:
            self._set_problem(None)
        self._emit(SpoolImported(files, signals))

    def _set_problem(self, trouble: str | None, *, stops: bool = False) -> None:
        self._is_stopped = stops
        before, self._problem = self._problem, trouble
        if trouble is not None and before is None:
            self._emit(SpoolProblem(trouble))
        if before is not None and trouble is None:
            self._emit(SpoolRecovered())
        self._folder.publish_reason(trouble or self._disk_guard.closed)

    def _on_intake_change(self) -> None:
        """It was closed, or opened again: then what waits is taken now."""
        self._folder.publish_reason(self._problem or self._disk_guard.closed)
        if self._disk_guard.closed is None:
            self._want_turn()
