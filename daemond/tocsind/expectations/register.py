"""The owner of all expectations: what clients and the configuration say of them, and the task that notices what is due.

All changes of an entry are made under one lock, entry by entry. A change that must survive is saved before the lock is released.
"""

from __future__ import annotations

import os
from contextlib import suppress
from math import inf
from typing import Any

import msgspec
import trio

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.config import Config
from tocsind.core.accept import Acceptor
from tocsind.core.active_config import ActiveConfig
from tocsind.core.admission import Peer
from tocsind.errors import StorageFull
from tocsind.events import Emit, ExpectationEnded, ExpectationLate, ExpectationMet, Expected
from tocsind.journal import Journal
from tocsind.journal import expectations as jobs
from tocsind.journal.expectations import CONFIGURED
from tocsind.policy import expectation as law
from tocsind.policy.expectation import Cause, Expectation, Stage

from . import texts
from .entry import Entry, Owner, entry_of
from .process import Process
from .watches import Watches

RETRY_SECONDS = 5.0  # s until the next attempt while the disk is full
LONGEST_SLEEP = 600.0  # s between two looks at what is due
ABSENCE = 2.0  # s; if the task wakes so much too late, the machine or the daemon slept, and beats may be lost
_SAVE_SHARE, _SAVE_INTERVAL = (
    0.1,
    1.0,
)  # a beat is saved when the saved one is older than this share of `every` and so many seconds


class ExpectRefused(Exception):  # noqa: N818 - an answer, not a fault
    """The request cannot be done; the text says why. `kind` is one of tocsin.wire.ERROR_KINDS."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Beat(msgspec.Struct, frozen=True):
    """A beat: settings that are None stay as they are, or have their defaults in a new expectation. `watch` the process that sent it."""

    name: str
    every: float | None = None
    grace: float | None = None
    priority: str | None = None
    to: tuple[str, ...] | None = None
    message: str | None = None
    watch: bool = False


class Expectations:
    """`run` serves until cancelled; before it has started no other method may be called."""

    def __init__(self, journal: Journal, acceptor: Acceptor, *, config: ActiveConfig, clock: Clock, emit: Emit) -> None:
        self._journal = journal
        self._acceptor = acceptor
        self._config = config
        self._clock = clock
        self._emit = emit
        self._entries: dict[Owner, Entry] = {}
        self._saved: dict[Owner, Entry] = {}  # as the journal has them
        self._lock = trio.Lock()
        self._changed = trio.Event()
        self._watches: Watches

    # --- requests -------------------------------------------------------------------------------------------------------

    async def beat(self, beat: Beat, peer: Peer) -> Entry:
        """A beat of this user; the expectation after it. Raises ExpectRefused, StorageFull."""
        if problem := law.problem(beat.name, beat.every, beat.grace):
            raise ExpectRefused("bad-request", problem)
        self._check_destinations(beat.to)
        async with self._lock:
            now = self._clock.steady()
            known = self._find(beat.name, peer.uid)
            entry = self._with_settings(known, beat) if known else self._new(beat, peer, now)
            entry = msgspec.structs.replace(
                entry, state=law.beat(entry.state, now), message=_cut(beat.message) or entry.message
            )
            if beat.watch:
                process = self._watches.start(entry.owner, peer.pid, entry.process)
                entry = msgspec.structs.replace(entry, process=process)
            try:
                await self._store(entry, must=known is None)
            except StorageFull:
                self._watches.stop(entry.owner)
                raise
            if known is None:
                self._emit(Expected(entry.name, entry.state.every, peer.uid, peer.pid))
            return entry

    async def goodbye(self, name: str, peer: Peer, *, forget: bool) -> None:
        """A user's program leaves, or, with `forget`, is no longer expected. Raises ExpectRefused, StorageFull."""
        async with self._lock:
            entry = self._find(name, peer.uid) or self._find_any(name, peer.uid)
            if entry is None:
                raise ExpectRefused("not-found", f"nothing called {name!r} is expected; `tocsin expected` lists all")
            if forget and entry.is_configured:
                raise ExpectRefused("bad-request", f"alerts.toml expects {name!r}; remove its [[expect]] and reload")
            if forget:
                await self._forget(entry, peer)
                return
            self._watches.stop(entry.owner)
            state = law.beat(entry.state, self._clock.steady())
            await self._store(msgspec.structs.replace(entry, state=state, process=None))

    def views(self) -> list[dict[str, Any]]:
        """All expectations, by name."""
        return [each.view(self._clock) for _, each in sorted(self._entries.items(), key=lambda item: item[0][::-1])]

    def summary(self) -> dict[str, Any]:
        """How many there are, and the names of those that are late."""
        late = [each.name for each in self._entries.values() if each.state.stage in {Stage.LATE, Stage.REPORTED}]
        return {"expected": len(self._entries), "late": sorted(late)}

    # --- configuration --------------------------------------------------------------------------------------------------

    async def apply(self, config: Config) -> None:
        """Expect what alerts.toml names, and nothing that it no longer names. Its names take those of users' expectations."""
        async with self._lock:
            wanted = {each.name: each for each in config.expect}
            for entry in list(self._entries.values()):
                if entry.name in wanted if not entry.is_configured else entry.name not in wanted:
                    await self._delete(entry)
            for each in wanted.values():
                known = self._entries.get((CONFIGURED, each.name))
                state = known.state if known else law.begun(each.every, each.grace, self._clock.steady())
                entry = known or Entry(CONFIGURED, each.name, state)
                state = law.changed(state, each.every, each.grace)
                entry = msgspec.structs.replace(entry, state=state, priority=each.priority, to=each.to)
                await self._store(entry, must=known is None)

    # --- the task -------------------------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Report what is late and what is back, as it comes."""
        async with trio.open_nursery() as nursery:
            self._watches = Watches(nursery, self._on_left)
            await self._restore()
            with suppress(StorageFull):  # the next start or reload expects them
                await self.apply(self._config.current)
            task_status.started()
            while True:
                changed = self._changed
                wait = min(await self.advance(), LONGEST_SLEEP)
                before = self._clock.steady(), self._clock.now()
                with trio.move_on_after(wait):
                    await changed.wait()
                asked = min(wait, self._clock.now() - before[1])
                if self._clock.steady() - before[0] - asked > ABSENCE:
                    async with self._lock:
                        self._resume()

    async def advance(self) -> float:
        """Do all that is due; in how many seconds to call again, infinity when only an event can bring more."""
        try:
            now = self._clock.steady()
            for owner in [owner for owner, each in self._entries.items() if law.due_at(each.state) <= now]:
                async with self._lock:
                    await self._advance(owner)
        except StorageFull:
            return RETRY_SECONDS
        now = self._clock.steady()
        return max(0.0, min((law.due_at(each.state) for each in self._entries.values()), default=inf) - now)

    async def _advance(self, owner: Owner) -> None:
        entry, now = self._entries.get(owner), self._clock.steady()
        if entry is None:
            return
        state = law.overdue(entry.state, now)
        if state is not entry.state:
            entry = msgspec.structs.replace(entry, state=state)
            await self._store(entry, must=True)
        if now < law.due_at(state):
            return
        if state.stage is Stage.LATE:
            await self._alarm(entry)
        elif state.stage is Stage.RECOVERED:
            await self._all_clear(entry)

    async def _alarm(self, entry: Entry) -> None:
        process = entry.last_process if entry.state.cause is Cause.LEFT else entry.process
        last = None
        if process is not None:
            uid = None if entry.is_configured else entry.uid
            last = await self._journal.run(jobs.last_signal, uid, process.pid)
        signal = texts.alarm(entry, last, self._clock)
        signal = _without_unknown(signal, self._known(signal.to or ()))
        _, deliveries = self._acceptor.preview(signal)
        await self._submit(signal)
        state = law.alarm_stored(entry.state, self._clock.steady())
        went = tuple(each.destination for each in deliveries)
        await self._store(msgspec.structs.replace(entry, state=state, alarm=signal.id, alarmed=went), must=True)
        cause = entry.state.cause.value if entry.state.cause else ""
        self._emit(ExpectationLate(signal.id, entry.name, cause, entry.uid))

    async def _all_clear(self, entry: Entry) -> None:
        signal = texts.all_clear(entry, self._known(entry.alarmed))
        await self._submit(signal)
        state = law.all_clear_stored(entry.state, self._clock.steady())
        await self._store(msgspec.structs.replace(entry, state=state, last_process=None, ending=None), must=True)
        self._emit(ExpectationMet(signal.id, entry.name, entry.state.gap or 0.0, entry.uid))

    async def _submit(self, signal: Signal) -> None:
        await self._acceptor.accept([signal], Peer(os.getuid(), os.getgid(), os.getpid()), from_daemon=True)

    async def _restore(self) -> None:
        """Load the expectations of an earlier run, and watch those of their processes that still run."""
        rows = await self._journal.run(jobs.load)
        self._entries = {each.owner: each for each in map(entry_of, rows)}
        for entry in list(self._entries.values()):
            if entry.process and not self._watches.resume(entry.owner, entry.process):
                self._entries[entry.owner] = msgspec.structs.replace(entry, process=None)
        self._resume()
        self._saved = dict(self._entries)

    def _resume(self) -> None:
        """Postpone what is due after a time in which beats may have been lost."""
        now = self._clock.steady()
        for owner, entry in self._entries.items():
            self._entries[owner] = msgspec.structs.replace(entry, state=law.resumed(entry.state, now))

    # --- processes --------------------------------------------------------------------------------------------------------

    async def _on_left(self, owner: Owner, process: Process, ending: str | None) -> None:
        """The watched process ended without a goodbye, which would have stopped the watch."""
        async with self._lock:
            entry = self._entries.get(owner)
            if entry is None or entry.process != process:
                return
            state = law.left(entry.state, self._clock.steady())
            with suppress(StorageFull):  # `advance` saves it before the alarm
                await self._store(
                    msgspec.structs.replace(entry, state=state, process=None, last_process=process, ending=ending),
                    must=True,
                )

    # --- entries --------------------------------------------------------------------------------------------------------

    def _find(self, name: str, uid: int) -> Entry | None:
        """The expectation that this user's beat means: that of alerts.toml, else the user's own."""
        return self._entries.get((CONFIGURED, name)) or self._entries.get((uid, name))

    def _find_any(self, name: str, uid: int) -> Entry | None:
        """For root and the daemon's user: another user's expectation."""
        if uid not in {0, os.geteuid()}:
            return None
        return next((each for each in self._entries.values() if each.name == name), None)

    def _new(self, beat: Beat, peer: Peer, now: float) -> Entry:
        if beat.every is None:
            reason = f"nothing called {beat.name!r} is expected; the first heartbeat says how often: `--every`"
            raise ExpectRefused("not-found", reason)
        own = sum(uid == peer.uid for uid, _ in self._entries)
        if own >= law.MAX_PER_USER or len(self._entries) >= law.MAX_ALL:
            raise ExpectRefused(
                "busy", f"{own} expectations of uid {peer.uid} and {len(self._entries)} in all: no room"
            )
        grace = law.default_grace(beat.every) if beat.grace is None else beat.grace
        state = law.begun(beat.every, grace, now)
        return Entry(peer.uid, beat.name, state, priority=beat.priority or "high", to=beat.to or ())

    def _with_settings(self, entry: Entry, beat: Beat) -> Entry:
        """The entry with the settings of a beat; those of alerts.toml stay."""
        if entry.is_configured:
            return entry
        every = entry.state.every if beat.every is None else beat.every
        kept = entry.state.grace if every == entry.state.every else law.default_grace(every)
        state = law.changed(entry.state, every, kept if beat.grace is None else beat.grace)
        to = entry.to if beat.to is None else beat.to
        return msgspec.structs.replace(entry, state=state, priority=beat.priority or entry.priority, to=to)

    async def _store(self, entry: Entry, *, must: bool = False) -> None:
        """Keep an entry, and save it if it `must` survive or differs in more than a recent beat."""
        saved = self._saved.get(entry.owner)
        if must or saved is None or _is_worth_saving(saved, entry):
            try:
                await self._journal.run(jobs.save, [entry.row()])
                self._saved[entry.owner] = entry
            except StorageFull:
                if saved is None:
                    raise
        before = self._entries.get(entry.owner)
        self._entries[entry.owner] = entry
        if before is None or law.due_at(entry.state) < law.due_at(before.state):  # a beat only postpones
            self._changed.set()
            self._changed = trio.Event()

    async def _forget(self, entry: Entry, peer: Peer) -> None:
        if entry.state.stage is Stage.REPORTED:
            await self._submit(texts.ended(entry, self._known(entry.alarmed), peer.uid))
        await self._delete(entry)
        self._emit(ExpectationEnded(entry.name, peer.uid, peer.pid))

    async def _delete(self, entry: Entry) -> None:
        await self._journal.run(jobs.delete, [entry.owner])
        self._watches.stop(entry.owner)
        self._entries.pop(entry.owner, None)
        self._saved.pop(entry.owner, None)

    def _known(self, names: tuple[str, ...] | list[str]) -> list[str]:
        """Those of these destinations that the configuration has."""
        return [name for name in names if name in self._config.current.destinations]

    def _check_destinations(self, names: tuple[str, ...] | None) -> None:
        destinations = self._config.current.destinations
        for name in names or ():
            if name not in destinations:
                raise ExpectRefused(
                    "bad-request", f"there is no destination {name!r}; there are {', '.join(destinations)}"
                )


def _is_worth_saving(saved: Entry, entry: Entry) -> bool:
    """Whether an entry differs from the saved one in more than the time and the words of a recent beat."""
    if _settled(saved) != _settled(entry):
        return True
    age = entry.state.counted - saved.state.counted
    return age >= max(_SAVE_SHARE * entry.state.every, _SAVE_INTERVAL)


def _settled(entry: Entry) -> Entry:
    state: Expectation = msgspec.structs.replace(entry.state, counted=0.0, last=None)
    return msgspec.structs.replace(entry, state=state, message=None)


def _cut(message: str | None) -> str | None:
    return message[: law.MAX_MESSAGE] if message else None


def _without_unknown(signal: Signal, known: list[str]) -> Signal:
    """The signal for those of its destinations that exist; for none of them, it goes by the routes."""
    values = {name: value for name, value in signal.as_dict().items() if name != "to"}
    return Signal.trusted({**values, "to": known} if known else values)
