"""Where journal and lanes meet, and the only place where they do: so that two promises can be checked by reading this file.

    written before promised     `accept` makes receipts, and `take_in` answers, only behind the commit that holds the signals
    settled before forgotten    `begin` returns behind the commit that opens the attempt, and only what it returns may be sent;
                                `settle` returns behind the commit that closes it, and insists while the disk is full;
                                `settle_and_begin` does both in one commit

Everything else is told to the lanes as a nudge (`wake`, `rewind`): they read what is theirs from the journal, so a nudge that comes
twice, late, or for a delivery that is gone does no harm.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

import trio

from tocsin import paths
from tocsin.signals import PRIORITIES, Receipt, Signal
from tocsind.attachments import Attachments
from tocsind.clock import Clock
from tocsind.config import Config
from tocsind.errors import StorageFull
from tocsind.events import (
    Accepted,
    Ambiguous,
    AttachmentDropped,
    Dead,
    Deferred,
    Digested,
    Duplicate,
    Edited,
    Emit,
    Expired,
    ForeignId,
    Rerouted,
    Sent,
    SourceReserved,
    StorageProblem,
    Unrouted,
)
from tocsind.journal import (
    RESERVE,
    Arrival,
    Copy,
    Journal,
    LaneState,
    LimitState,
    OutboxPosition,
    RequestRecord,
    RequestStart,
    Reroute,
    SettledAttempt,
    attempts,
    commit_mark,
    digests,
    limiter_state,
    live_messages,
    maintenance,
    queries,
    queue,
    rerouting,
)
from tocsind.policy import delivery as law
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement, State
from tocsind.policy.outcomes import Outcome, is_unsent
from tocsind.policy.patience import Fitness, ranked
from tocsind.policy.routes import chain
from tocsind.policy.sources import DAEMON_SOURCE, note, without_reserved_source
from tocsind.rendering.digest import digest

from .admission import Admission, Peer, receipts_of, with_notes, with_sources
from .disk_guard import DiskGuard
from .operator import Operator
from .waiters import Waiters

T = TypeVar("T")
P = ParamSpec("P")

RETRY_INTERVAL = 1.0  # seconds between two tries to write an outcome while the disk is full


class LaneHandle(Protocol):
    """What dispatch wants of a lane: to look into the journal again, and where its living messages are."""

    @property
    def edits_at(self) -> str | None:
        """Which far end its living messages are at; None: nothing there can be edited."""

    def wake(self, priority: Priority) -> None:
        """There is something new for this priority."""

    def rewind(self) -> None:
        """Something old came back: read from the beginning."""

    def refresh(self) -> None:
        """What waits is not what it was: forget what was read."""

    def fitness(self) -> Fitness:
        """How fit the destination is to stand in for another."""

    def recheck_fallbacks(self) -> None:
        """Another destination can do what it could not, or the other way round."""


class Group(NamedTuple):
    """Signals of one sender; `ages` are seconds since each was handed over, or nothing where that is just now."""

    signals: Sequence[Signal]
    peer: Peer
    ages: Sequence[float] = ()


class Dispatch:
    """Accept and settle. `lanes` maps each destination's name to its lane and is filled by whoever starts them."""

    def __init__(  # noqa: PLR0917 - put together in one place, by the daemon
        self,
        journal: Journal,
        config: Config,
        clock: Clock,
        emit: Emit,
        folder: Path,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.journal = journal
        self.disk_guard = DiskGuard(folder, emit)
        self.attachments = Attachments(folder, Path(paths.spool_folder(str(folder))))
        self.lanes: dict[str, LaneHandle] = {}
        self.deadline_changed = trio.Event()  # replaced each time it is set: a new deadline may be the earliest
        self._clock = clock
        self._emit = emit
        self._jitter = jitter
        self._admission = Admission(config, clock)
        self._waiters = Waiters()
        self.operator = Operator(journal, self._admission, self._waiters, clock, emit, self._rewind_lanes)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._admission.config

    @config.setter
    def config(self, config: Config) -> None:
        self._admission.config = config

    # --- in -----------------------------------------------------------------------------------------------------------

    def check_disk(self) -> None:
        """Close the intake below the reserve, open it above. What is already here may use the reserve to be settled."""
        if self.journal.is_full:
            self.disk_guard.close("the disk is full, and outcomes are written to the space that was kept for them")
        else:
            self.disk_guard.check(self.config.daemon.reserve)

    async def maintain_disk(self) -> None:
        """Look at the disk unasked: whether the journal is still there, whether there is room, and space to keep for outcomes.

        Raises StorageLost.
        """
        self.journal.check_files()
        self.check_disk()
        if not self.journal.holds_reserve and self.disk_guard.free_bytes() >= self.config.daemon.reserve + RESERVE:
            await self.journal.hold_reserve()
        if self.disk_guard.needs_write and not self.journal.is_full:
            with suppress(StorageFull):
                await self.journal.run(commit_mark.write_test)
                self.disk_guard.on_written()
        self.check_disk()

    async def accept(
        self, signals: Sequence[Signal], peer: Peer, *, ours: bool = False, ages: Sequence[float] = ()
    ) -> list[Receipt]:
        """Take signals into safe keeping: a receipt each, once they are synced to disk.

        The signals have passed `check`. Raises StorageFull when nothing can be taken. What is `ours` may use the reserve.
        """
        arrivals, stored, taken = await self._enter([Group(signals, peer, ages)], (), ours=ours)
        notes = [note(came, kept) for came, kept in zip(signals, taken, strict=True)]
        return with_sources(with_notes(receipts_of(arrivals, stored), taken), notes)

    async def take_in(self, groups: Sequence[Group], marks: Sequence[OutboxPosition]) -> None:
        """The same for what was read from outboxes, in one commit with how far they were read. Raises StorageFull."""
        await self._enter(groups, marks)

    async def _enter(
        self, groups: Sequence[Group], marks: Sequence[OutboxPosition], *, ours: bool = False
    ) -> tuple[list[Arrival], list[Arrival | None], list[Signal]]:
        """The arrivals, what the journal made of each, and the signals with what became of their files."""
        self.check_disk()
        if self.disk_guard.closed and not ours:
            await self.maintain_disk()  # there may be room again by now
            if self.disk_guard.closed:
                raise StorageFull(self.disk_guard.closed)
        known = [group.signals if ours else without_reserved_source(group.signals, group.peer.uid) for group in groups]
        taken = [await self._with_files(signals, group.peer) for signals, group in zip(known, groups, strict=True)]
        arrivals = [
            arrival
            for signals, group in zip(taken, groups, strict=True)
            for arrival in self._admission.arrivals(signals, group.peer, group.ages)
        ]
        try:
            stored = await self._store(arrivals, marks, ours=ours)
        except StorageFull as full:
            self.disk_guard.close_until_written(str(full))
            raise
        self._announce_all(arrivals, stored)
        for kept, came, (signals, peer, _) in zip(taken, known, groups, strict=True):
            for signal, named in zip(signals, came, strict=True) if came is not signals else ():
                if note(signal, named):
                    self._emit(SourceReserved(signal.id, peer.uid, peer.pid))
            if kept is not came:
                await self.attachments.on_accepted(came, kept)
        all_taken = [signal for signals in taken for signal in signals]
        for signal, arrival in zip(all_taken, stored, strict=True):
            if arrival is not None and signal.attach_note:
                self._emit(AttachmentDropped(arrival.id, signal.attach_note))
        return arrivals, stored, all_taken

    async def _store(
        self, arrivals: Sequence[Arrival], marks: Sequence[OutboxPosition], *, ours: bool
    ) -> list[Arrival | None]:
        """Store what arrived; what is `ours` may use the space that is kept for outcomes."""
        try:
            return await self.journal.run(queue.enter, arrivals, marks)
        except StorageFull:
            if not (ours and await self.journal.use_reserve()):
                raise
        return await self.journal.run(queue.enter, arrivals, marks)

    async def _with_files(self, signals: Sequence[Signal], peer: Peer) -> Sequence[Signal]:
        """The signals, those that bring files with these in safe keeping."""
        if not any(signal.brings_file for signal in signals):
            return signals
        spare = self.disk_guard.free_bytes() - self.config.daemon.reserve
        return await self.attachments.adopt(signals, peer.uid, spare)

    def preview(self, signal: Signal) -> tuple[Priority, list[Delivery]]:
        """What `accept` would make of a signal: its priority, and a delivery for each destination. Nothing is taken."""
        return self._admission.preview(signal)

    async def preview_edit(self, delivery: Delivery, about: str | None) -> Delivery:
        """A delivery that is not taken, as it would be told where messages can be edited: `about` is which far end, if so."""
        return delivery if about is None else await self.journal.run(live_messages.preview, delivery, about)

    def copy(self) -> AbstractAsyncContextManager[Copy]:
        """The journal's file, as it is now, for as long as the context lasts. Raises CopyFailed, StorageFull."""
        return self.journal.copied(self._clock.wall())

    def to_wall_time(self, instant: float) -> float:
        """An instant of the journal, as the wall clock of today says it: for people."""
        return round(instant - self._clock.steady() + self._clock.wall(), 6)

    def check(self, signal: Signal) -> None:
        """Raises InvalidSignal when `to` names no destination."""
        self._admission.check(signal)

    def _announce_all(self, arrivals: Sequence[Arrival], stored: Sequence[Arrival | None]) -> None:
        new = [arrival for arrival in stored if arrival is not None]
        for arrival, entered in zip(arrivals, stored, strict=True):
            if entered is None:
                self._emit(Duplicate(arrival.id))
            elif entered.id != arrival.id:
                self._emit(ForeignId(arrival.id, entered.id, arrival.uid, arrival.pid))
        for arrival in new:
            self._announce(arrival)
        for name, priority in dict.fromkeys((name, each.priority) for each in new for name in each.destinations):
            self._wake(name, Priority(priority))
        if any(arrival.deadline is not None for arrival in new):
            self._notify_deadline()

    def _announce(self, arrival: Arrival) -> None:
        label = PRIORITIES[arrival.priority]
        self._emit(Accepted(arrival.id, label, arrival.destinations, arrival.uid, arrival.pid))
        if not arrival.destinations:
            self._emit(Unrouted(arrival.id))

    def _wake(self, name: str, priority: Priority | None = None) -> None:
        lane = self.lanes.get(name)
        for each in Priority if priority is None else (priority,):
            if lane is not None:
                lane.wake(each)

    def _notify_deadline(self) -> None:
        """Something with a deadline waits now that did not a moment ago: new, put back, or no longer being sent."""
        self.deadline_changed.set()
        self.deadline_changed = trio.Event()

    # --- out ----------------------------------------------------------------------------------------------------------

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next deliveries of a lane's priority."""
        return await self.journal.run(queue.feed, destination, priority, after, most)

    async def begin(self, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        """Claim deliveries: only what is answered may be sent, and it is on record that it may have been."""
        # the time is asked afresh with every try: a deadline may pass while the disk is full
        return await self._retry_while_full(
            lambda: self.journal.run(attempts.begin, batch, asking, self._clock.steady())
        )

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> list[Settlement]:
        """Write down how attempts ended, and what was learned from it; answers what follows for each."""
        now = self._clock.steady()
        endings = self._endings(batch, outcomes, retry, now)
        moved = await self._retry_while_full(lambda: self.journal.run(attempts.settle, endings, now, lane, scopes))
        return self._settled(endings, moved, now)

    async def settle_and_begin(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneState | None,
        scopes: Sequence[LimitState],
        *,
        following: Sequence[Delivery],
        asking: RequestStart,
    ) -> tuple[list[Settlement], list[Delivery]]:
        """`settle`, and `begin` what follows in the same commit; answers what each of them answers."""
        now = self._clock.steady()
        endings = self._endings(batch, outcomes, retry, now)
        job = partial(attempts.settle_and_begin, following=following, asking=asking)
        moved, claimed = await self._retry_while_full(
            lambda: self.journal.run(job, endings, lane, scopes, now=self._clock.steady())
        )
        return self._settled(endings, moved, now), claimed

    def _endings(
        self, batch: Sequence[Delivery], outcomes: Sequence[Outcome], retry: Retry, now: float
    ) -> list[SettledAttempt]:
        return [
            self._settled_attempt(delivery, outcome, retry, now)
            for delivery, outcome in zip(batch, outcomes, strict=True)
        ]

    def _settled(self, endings: Sequence[SettledAttempt], moved: Sequence[Reroute], now: float) -> list[Settlement]:
        """Emit what is on disk now."""
        for ending in endings:
            self._emit_outcome(ending, now)
        self._emit_edit(endings)
        self._emit_moves(moved, "it could not be delivered there")
        if any(
            ending.delivery.deadline is not None and ending.settlement.state is not State.SENT for ending in endings
        ):
            self._notify_deadline()
        return [ending.settlement for ending in endings]

    def _settled_attempt(self, delivery: Delivery, outcome: Outcome, retry: Retry, now: float) -> SettledAttempt:
        settlement = law.settle(delivery, outcome, now=now, retry=retry, jitter=self._jitter())
        fallbacks = self._fallbacks(delivery.destination)
        return SettledAttempt(delivery, settlement, type(outcome).__name__.lower(), fallbacks, is_unsent(outcome))

    def _emit_outcome(self, ending: SettledAttempt, now: float) -> None:
        delivery, settlement = ending.delivery, ending.settlement
        id_, destination, reason = delivery.id, delivery.destination, settlement.reason or ""
        match settlement.state:
            case State.SENT:
                age = now - delivery.skew - delivery.accepted
                self._emit(Sent(id_, destination, delivery.attempts, age, settlement.message, settlement.reason))
            case State.UNKNOWN:
                self._emit(Ambiguous(id_, destination, reason))
            case State.DEAD:
                self._emit(Dead(id_, destination, reason))
            case _:
                self._emit(Deferred(id_, destination, delivery.attempts, settlement.wait, reason))
        if settlement.state in law.SETTLED:
            self._waiters.release(
                id_, everybody=delivery.signal.source == DAEMON_SOURCE
            )  # of ours, some tell many in sum

    def _emit_edit(self, endings: Sequence[SettledAttempt]) -> None:
        """Once for all that one edit told."""
        told = [ending.delivery for ending in endings if ending.settlement.state is State.SENT]
        if told and (telling := told[0].update) and telling.edits:
            self._emit(Edited(telling.message.id, told[0].destination, telling.key, telling.edits, len(told)))

    def _emit_moves(self, moved: Sequence[Reroute], reason: str) -> None:
        for each in moved:
            if each.fallback is None:
                self._emit(Dead(each.id, each.destination, reason))
                self._waiters.release(each.id, everybody=True)
            else:
                self._emit(Rerouted(each.id, each.destination, each.fallback, reason))
        for name in {each.fallback for each in moved if each.fallback}:
            self._wake(name)

    async def divert(self, destination: str, reason: str) -> bool:
        """Send a chunk of a disabled destination's queue to its fallbacks. False when nothing could be moved."""
        fallbacks = self._fallbacks(destination)
        disabled = [name for name in fallbacks if self._fitness(name) is Fitness.DISABLED]
        if await self._give_back(destination, reason):
            return True
        if not fallbacks:
            return False
        now = self._clock.steady()
        moved = await self._retry_while_full(
            lambda: self.journal.run(rerouting.divert, destination, fallbacks, reason, now, disabled)
        )
        self._emit_moves(moved, reason)
        return bool(moved)

    async def reroute(self, destination: str, over: Collection[Priority], reason: str, *, hurried: bool) -> list[int]:
        """Move a chunk of a failing destination's queue to fallbacks that work, and what these cannot take back to where it came
        from, if that works; the numbers of what has moved.
        """
        working = [name for name in self._fallbacks(destination) if self._fitness(name) is Fitness.WORKING]
        now = self._clock.steady()
        job = partial(rerouting.reroute, hurried=hurried)
        found = (
            await self._retry_while_full(lambda: self.journal.run(job, destination, over, working, reason, now))
            if working
            else []
        )
        self._emit_moves([moved for _, moved in found], reason)
        if hurried and not found:
            return await self._give_back(destination, reason)
        return [number for number, _ in found]

    async def _give_back(self, destination: str, reason: str) -> list[int]:
        """Return what came by patience to destinations that work again; the numbers of what has moved."""
        came_from = [name for name in self.config.destinations if destination in chain(name, self.config.fallbacks)]
        origins = [name for name in came_from if self._fitness(name) is Fitness.WORKING]
        if not origins:
            return []
        now = self._clock.steady()
        found = await self._retry_while_full(
            lambda: self.journal.run(rerouting.give_back, destination, origins, reason, now)
        )
        self._emit_moves([moved for _, moved in found], reason)
        for name in self.lanes.keys() & {moved.fallback for _, moved in found}:
            self.lanes[name].rewind()
        return [number for number, _ in found]

    def notify_lanes(self) -> None:
        """What one destination can do has changed: the others look again."""
        for lane in self.lanes.values():
            lane.recheck_fallbacks()

    def _fallbacks(self, destination: str) -> tuple[str, ...]:
        """Those that may stand in, best first."""
        return ranked(chain(destination, self.config.fallbacks), self._fitness)

    def _fitness(self, destination: str) -> Fitness:
        """A lane that is only about to start is taken at the configuration's word."""
        lane = self.lanes.get(destination)
        if lane is not None:
            return lane.fitness()
        return Fitness.DISABLED if self.config.destinations[destination].disabled else Fitness.WORKING

    async def replay(self) -> int:
        """What an earlier run left in flight goes back into the queues, in doubt; answers how many."""
        return await self._retry_while_full(lambda: self.journal.run(attempts.replay, self._clock.steady()))

    async def expire(self) -> float | None:
        """Settle what waited too long; answers the next deadline, in seconds of the steady clock."""
        while expired := await self._retry_while_full(
            lambda: self.journal.run(maintenance.expire, self._clock.steady())
        ):
            for each in expired:
                self._emit(Expired(each.id, each.destination))
                self._waiters.release(each.id)
        return await self.journal.run(maintenance.next_deadline)

    async def delete_old(self) -> None:
        """Delete what has been settled for longer than the ledger is kept."""
        before = self._clock.steady() - self.config.daemon.ledger
        while await self._retry_while_full(lambda: self.journal.run(maintenance.delete_old, before)):
            pass

    async def fold(self, destination: str, priority: Priority, most: int) -> int:
        """Tell the oldest of a queue in sum; answers how many."""

        def tell(deliveries: Sequence[Delivery]) -> Signal:
            return Signal(**digest(deliveries, priority.label))

        now = self._clock.steady()
        lane = self.lanes.get(destination)
        about = lane.edits_at if lane else None
        fold = await self._retry_while_full(
            lambda: self.journal.run(digests.make_digest, destination, priority, most, now, tell, about)
        )
        if fold is None:
            return 0
        self._emit(Digested(fold.id, destination, priority.label, len(fold.originals)))
        if lane:
            lane.refresh()
        return len(fold.originals)

    async def load_lane(self, destination: str) -> LaneState:
        """What was remembered of a lane."""
        return await self.journal.run(limiter_state.load_lane, destination)

    async def load_limit(self, scope: str) -> LimitState:
        """What was remembered of a scope."""
        return await self.journal.run(limiter_state.load_limit, scope)

    async def requests(self, channel: str, destination: str) -> list[RequestRecord]:
        """When a channel, and a destination wherever it led, were last asked; oldest first."""
        return await self.journal.run(limiter_state.requests, channel, destination)

    async def save(self, lane: LaneState | None, scopes: Sequence[LimitState]) -> None:
        """Keep what must be known after a restart."""
        await self._retry_while_full(lambda: self.journal.run(limiter_state.save, lane, scopes))

    async def _retry_while_full(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the journal for something that must be done before anything else may happen to its deliveries: a full disk is waited out."""
        told = False
        while True:
            try:
                return await ask()
            except StorageFull as full:
                if await self.journal.use_reserve():
                    self.check_disk()
                    continue
                if not told:
                    self._emit(StorageProblem(f"{full}; outcomes are kept in memory until they can be written"))
                told = True
            await trio.sleep(RETRY_INTERVAL)

    def _rewind_lanes(self) -> None:
        self._notify_deadline()
        for lane in self.lanes.values():
            lane.rewind()

    # --- who waits for the end of a signal --------------------------------------------------------------------------------

    async def wait_settled(self, id_: str, seconds: float) -> str | None:
        """The signal's summary once nothing of it waits any more, or when the time has run out. None: no such signal."""
        with self._waiters.waiting(id_) as settled:  # before looking: what is settled meanwhile is not missed
            summary = await self.journal.run(queries.states, id_)
            with trio.move_on_after(seconds):
                while summary == "queued":
                    await settled.acquire()
                    summary = await self.journal.run(queries.states, id_)
        return summary
