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

from tocsin import places
from tocsin.signals import PRIORITIES, Receipt, Signal

from .attachments import Attachments
from .clock import Clock
from .config import Config
from .decisions import Decisions
from .errors import StorageFull
from .events import (
    Accepted,
    AttachmentLeft,
    Buried,
    Deferred,
    Digested,
    Duplicate,
    Edited,
    Emit,
    Expired,
    ForeignId,
    InDoubt,
    Rerouted,
    Sent,
    SourceReserved,
    StorageTrouble,
    Unrouted,
)
from .intake import Intake
from .journal import (
    RESERVE,
    Arrival,
    Asking,
    Copy,
    Ending,
    Journal,
    LaneMemory,
    Mark,
    Moved,
    Request,
    ScopeMemory,
    attempts,
    digests,
    intake,
    living,
    mark,
    memory,
    reading,
    rerouting,
    upkeep,
)
from .policy import delivery as law
from .policy.backoff import Retry
from .policy.delivery import Delivery, Priority, Settlement, State
from .policy.outcomes import Outcome, is_unsent
from .policy.patience import Fitness, ranked
from .policy.routes import chain
from .reception import Peer, Reception, receipts_of, with_notes, with_sources
from .rendering.digest import digest
from .sources import OURS, honest, note
from .watchers import Watchers

T = TypeVar("T")
P = ParamSpec("P")

INSISTENCE = 1.0  # seconds between two tries to write an outcome while the disk is full


class Nudged(Protocol):
    """What dispatch wants of a lane: to look into the journal again, and where its living messages are."""

    @property
    def living(self) -> str | None:
        """Which far end its living messages are at; None: nothing there can be edited."""

    def wake(self, priority: Priority) -> None:
        """There is something new for this priority."""

    def rewind(self) -> None:
        """Something old came back: read from the beginning."""

    def refresh(self) -> None:
        """What waits is not what it was: forget what was read."""

    def fitness(self) -> Fitness:
        """How fit the destination is to stand in for another."""

    def look_again(self) -> None:
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
        self.intake = Intake(folder, emit)
        self.attachments = Attachments(folder, Path(places.spool_folder(str(folder))))
        self.lanes: dict[str, Nudged] = {}
        self.deadline_nearer = trio.Event()  # replaced each time it is set: a new deadline may be the earliest
        self._clock = clock
        self._emit = emit
        self._jitter = jitter
        self._reception = Reception(config, clock)
        self._watchers = Watchers()
        self.decisions = Decisions(journal, self._reception, self._watchers, clock, emit, self._rewind_lanes)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._reception.config

    @config.setter
    def config(self, config: Config) -> None:
        self._reception.config = config

    # --- in -----------------------------------------------------------------------------------------------------------

    def check_disk(self) -> None:
        """Close the intake below the reserve, open it above. What is already here may use the reserve to be settled."""
        if self.journal.is_full:
            self.intake.close("the disk is full, and outcomes are written to the space that was kept for them")
        else:
            self.intake.check(self.config.daemon.reserve)

    async def tend_disk(self) -> None:
        """Look at the disk unasked: whether the journal is still there, whether there is room, and space to keep for outcomes.

        Raises StorageLost.
        """
        self.journal.check_files()
        self.check_disk()
        if not self.journal.holds_reserve and self.intake.free_bytes() >= self.config.daemon.reserve + RESERVE:
            await self.journal.hold_reserve()
        if self.intake.is_refused and not self.journal.is_full:
            with suppress(StorageFull):
                await self.journal.run(mark.touch)
                self.intake.written()
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

    async def take_in(self, groups: Sequence[Group], marks: Sequence[Mark]) -> None:
        """The same for what was read from outboxes, in one commit with how far they were read. Raises StorageFull."""
        await self._enter(groups, marks)

    async def _enter(
        self, groups: Sequence[Group], marks: Sequence[Mark], *, ours: bool = False
    ) -> tuple[list[Arrival], list[Arrival | None], list[Signal]]:
        """The arrivals, what the journal made of each, and the signals with what became of their files."""
        self.check_disk()
        if self.intake.closed and not ours:
            await self.tend_disk()  # there may be room again by now
            if self.intake.closed:
                raise StorageFull(self.intake.closed)
        known = [group.signals if ours else honest(group.signals, group.peer.uid) for group in groups]
        taken = [await self._with_files(signals, group.peer) for signals, group in zip(known, groups, strict=True)]
        arrivals = [
            arrival
            for signals, group in zip(taken, groups, strict=True)
            for arrival in self._reception.arrivals(signals, group.peer, group.ages)
        ]
        try:
            stored = await self._store(arrivals, marks, ours=ours)
        except StorageFull as full:
            self.intake.refuse(str(full))
            raise
        self._welcome_all(arrivals, stored)
        for kept, came, (signals, peer, _) in zip(taken, known, groups, strict=True):
            for signal, named in zip(signals, came, strict=True) if came is not signals else ():
                if note(signal, named):
                    self._emit(SourceReserved(signal.id, peer.uid, peer.pid))
            if kept is not came:
                await self.attachments.taken(came, kept)
        all_taken = [signal for signals in taken for signal in signals]
        for signal, arrival in zip(all_taken, stored, strict=True):
            if arrival is not None and signal.attach_note:
                self._emit(AttachmentLeft(arrival.id, signal.attach_note))
        return arrivals, stored, all_taken

    async def _store(self, arrivals: Sequence[Arrival], marks: Sequence[Mark], *, ours: bool) -> list[Arrival | None]:
        """Store what arrived; what is `ours` may use the space that is kept for outcomes."""
        try:
            return await self.journal.run(intake.enter, arrivals, marks)
        except StorageFull:
            if not (ours and await self.journal.use_reserve()):
                raise
        return await self.journal.run(intake.enter, arrivals, marks)

    async def _with_files(self, signals: Sequence[Signal], peer: Peer) -> Sequence[Signal]:
        """The signals, those that bring files with these in safe keeping."""
        if not any(signal.brings_file for signal in signals):
            return signals
        spare = self.intake.free_bytes() - self.config.daemon.reserve
        return await self.attachments.take(signals, peer.uid, spare)

    def preview(self, signal: Signal) -> tuple[Priority, list[Delivery]]:
        """What `accept` would make of a signal: its priority, and a delivery for each destination. Nothing is taken."""
        return self._reception.preview(signal)

    async def foresee(self, delivery: Delivery, about: str | None) -> Delivery:
        """A delivery that is not taken, as it would be told where messages can be edited: `about` is which far end, if so."""
        return delivery if about is None else await self.journal.run(living.foreseen, delivery, about)

    def copied(self) -> AbstractAsyncContextManager[Copy]:
        """The journal's file, as it is now, for as long as the context lasts. Raises CopyFailed, StorageFull."""
        return self.journal.copied(self._clock.wall())

    def on_the_wall(self, instant: float) -> float:
        """An instant of the journal, as the wall clock of today says it: for people."""
        return round(instant - self._clock.steady() + self._clock.wall(), 6)

    def check(self, signal: Signal) -> None:
        """Raises InvalidSignal when `to` names no destination."""
        self._reception.check(signal)

    def _welcome_all(self, arrivals: Sequence[Arrival], stored: Sequence[Arrival | None]) -> None:
        new = [arrival for arrival in stored if arrival is not None]
        for arrival, entered in zip(arrivals, stored, strict=True):
            if entered is None:
                self._emit(Duplicate(arrival.id))
            elif entered.id != arrival.id:
                self._emit(ForeignId(arrival.id, entered.id, arrival.uid, arrival.pid))
        for arrival in new:
            self._welcome(arrival)
        for name, priority in dict.fromkeys((name, each.priority) for each in new for name in each.destinations):
            self._wake(name, Priority(priority))
        if any(arrival.deadline is not None for arrival in new):
            self._tell_deadline()

    def _welcome(self, arrival: Arrival) -> None:
        label = PRIORITIES[arrival.priority]
        self._emit(Accepted(arrival.id, label, arrival.destinations, arrival.uid, arrival.pid))
        if not arrival.destinations:
            self._emit(Unrouted(arrival.id))

    def _wake(self, name: str, priority: Priority | None = None) -> None:
        lane = self.lanes.get(name)
        for each in Priority if priority is None else (priority,):
            if lane is not None:
                lane.wake(each)

    def _tell_deadline(self) -> None:
        """Something with a deadline waits now that did not a moment ago: new, put back, or no longer being sent."""
        self.deadline_nearer.set()
        self.deadline_nearer = trio.Event()

    # --- out ----------------------------------------------------------------------------------------------------------

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next deliveries of a lane's priority."""
        return await self.journal.run(intake.feed, destination, priority, after, most)

    async def begin(self, batch: Sequence[Delivery], asking: Asking) -> list[Delivery]:
        """Claim deliveries: only what is answered may be sent, and it is on record that it may have been."""
        # the time is asked afresh with every try: a deadline may pass while the disk is full
        return await self._insist(lambda: self.journal.run(attempts.begin, batch, asking, self._clock.steady()))

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneMemory | None,
        scopes: Sequence[ScopeMemory],
    ) -> list[Settlement]:
        """Write down how attempts ended, and what was learned from it; answers what follows for each."""
        now = self._clock.steady()
        endings = self._endings(batch, outcomes, retry, now)
        moved = await self._insist(lambda: self.journal.run(attempts.settle, endings, now, lane, scopes))
        return self._settled(endings, moved, now)

    async def settle_and_begin(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneMemory | None,
        scopes: Sequence[ScopeMemory],
        *,
        following: Sequence[Delivery],
        asking: Asking,
    ) -> tuple[list[Settlement], list[Delivery]]:
        """`settle`, and `begin` what follows in the same commit; answers what each of them answers."""
        now = self._clock.steady()
        endings = self._endings(batch, outcomes, retry, now)
        job = partial(attempts.settle_and_begin, following=following, asking=asking)
        moved, claimed = await self._insist(
            lambda: self.journal.run(job, endings, lane, scopes, now=self._clock.steady())
        )
        return self._settled(endings, moved, now), claimed

    def _endings(
        self, batch: Sequence[Delivery], outcomes: Sequence[Outcome], retry: Retry, now: float
    ) -> list[Ending]:
        return [self._ending(delivery, outcome, retry, now) for delivery, outcome in zip(batch, outcomes, strict=True)]

    def _settled(self, endings: Sequence[Ending], moved: Sequence[Moved], now: float) -> list[Settlement]:
        """Emit what is on disk now."""
        for ending in endings:
            self._tell_ending(ending, now)
        self._tell_edit(endings)
        self._tell_moved(moved, "it could not be delivered there")
        if any(
            ending.delivery.deadline is not None and ending.settlement.state is not State.SENT for ending in endings
        ):
            self._tell_deadline()
        return [ending.settlement for ending in endings]

    def _ending(self, delivery: Delivery, outcome: Outcome, retry: Retry, now: float) -> Ending:
        settlement = law.settle(delivery, outcome, now=now, retry=retry, jitter=self._jitter())
        fallbacks = self._fallbacks(delivery.destination)
        return Ending(delivery, settlement, type(outcome).__name__.lower(), fallbacks, is_unsent(outcome))

    def _tell_ending(self, ending: Ending, now: float) -> None:
        delivery, settlement = ending.delivery, ending.settlement
        id_, destination, reason = delivery.id, delivery.destination, settlement.reason or ""
        match settlement.state:
            case State.SENT:
                age = now - delivery.skew - delivery.accepted
                self._emit(Sent(id_, destination, delivery.attempts, age, settlement.message, settlement.reason))
            case State.UNKNOWN:
                self._emit(InDoubt(id_, destination, reason))
            case State.DEAD:
                self._emit(Buried(id_, destination, reason))
            case _:
                self._emit(Deferred(id_, destination, delivery.attempts, settlement.wait, reason))
        if settlement.state in law.SETTLED:
            self._watchers.tell(id_, everybody=delivery.signal.source == OURS)  # of ours, some tell many in sum

    def _tell_edit(self, endings: Sequence[Ending]) -> None:
        """Once for all that one edit told."""
        told = [ending.delivery for ending in endings if ending.settlement.state is State.SENT]
        if told and (telling := told[0].telling) and telling.edits:
            self._emit(Edited(telling.shown.id, told[0].destination, telling.key, telling.edits, len(told)))

    def _tell_moved(self, moved: Sequence[Moved], reason: str) -> None:
        for each in moved:
            if each.fallback is None:
                self._emit(Buried(each.id, each.destination, reason))
                self._watchers.tell(each.id, everybody=True)
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
        moved = await self._insist(
            lambda: self.journal.run(rerouting.divert, destination, fallbacks, reason, now, disabled)
        )
        self._tell_moved(moved, reason)
        return bool(moved)

    async def give_way(self, destination: str, over: Collection[Priority], reason: str, *, hurried: bool) -> list[int]:
        """Move a chunk of a failing destination's queue to fallbacks that work, and what these cannot take back to where it came
        from, if that works; the numbers of what has moved.
        """
        working = [name for name in self._fallbacks(destination) if self._fitness(name) is Fitness.WORKS]
        now = self._clock.steady()
        job = partial(rerouting.give_way, hurried=hurried)
        found = (
            await self._insist(lambda: self.journal.run(job, destination, over, working, reason, now))
            if working
            else []
        )
        self._tell_moved([moved for _, moved in found], reason)
        if hurried and not found:
            return await self._give_back(destination, reason)
        return [number for number, _ in found]

    async def _give_back(self, destination: str, reason: str) -> list[int]:
        """Return what came by patience to destinations that work again; the numbers of what has moved."""
        came_from = [name for name in self.config.destinations if destination in chain(name, self.config.fallbacks)]
        origins = [name for name in came_from if self._fitness(name) is Fitness.WORKS]
        if not origins:
            return []
        now = self._clock.steady()
        found = await self._insist(lambda: self.journal.run(rerouting.give_back, destination, origins, reason, now))
        self._tell_moved([moved for _, moved in found], reason)
        for name in self.lanes.keys() & {moved.fallback for _, moved in found}:
            self.lanes[name].rewind()
        return [number for number, _ in found]

    def tell_lanes(self) -> None:
        """What one destination can do has changed: the others look again."""
        for lane in self.lanes.values():
            lane.look_again()

    def _fallbacks(self, destination: str) -> tuple[str, ...]:
        """Those that may stand in, best first."""
        return ranked(chain(destination, self.config.fallbacks), self._fitness)

    def _fitness(self, destination: str) -> Fitness:
        """A lane that is only about to start is taken at the configuration's word."""
        lane = self.lanes.get(destination)
        if lane is not None:
            return lane.fitness()
        return Fitness.DISABLED if self.config.destinations[destination].disabled else Fitness.WORKS

    async def replay(self) -> int:
        """What an earlier run left in flight goes back into the queues, in doubt; answers how many."""
        return await self._insist(lambda: self.journal.run(attempts.replay, self._clock.steady()))

    async def expire(self) -> float | None:
        """Settle what waited too long; answers the next deadline, in seconds of the steady clock."""
        while expired := await self._insist(lambda: self.journal.run(upkeep.expire, self._clock.steady())):
            for each in expired:
                self._emit(Expired(each.id, each.destination))
                self._watchers.tell(each.id)
        return await self.journal.run(upkeep.next_deadline)

    async def forget(self) -> None:
        """Delete what has been settled for longer than the ledger is kept."""
        before = self._clock.steady() - self.config.daemon.ledger
        while await self._insist(lambda: self.journal.run(upkeep.forget, before)):
            pass

    async def fold(self, destination: str, priority: Priority, most: int) -> int:
        """Tell the oldest of a queue in sum; answers how many."""

        def tell(deliveries: Sequence[Delivery]) -> Signal:
            return Signal(**digest(deliveries, priority.label))

        now = self._clock.steady()
        lane = self.lanes.get(destination)
        about = lane.living if lane else None
        fold = await self._insist(lambda: self.journal.run(digests.fold, destination, priority, most, now, tell, about))
        if fold is None:
            return 0
        self._emit(Digested(fold.id, destination, priority.label, len(fold.originals)))
        if lane:
            lane.refresh()
        return len(fold.originals)

    async def recall(self, destination: str) -> LaneMemory:
        """What was remembered of a lane."""
        return await self.journal.run(memory.recall, destination)

    async def recall_scope(self, scope: str) -> ScopeMemory:
        """What was remembered of a scope."""
        return await self.journal.run(memory.recall_scope, scope)

    async def requests(self, channel: str, destination: str) -> list[Request]:
        """When a channel, and a destination wherever it led, were last asked; oldest first."""
        return await self.journal.run(memory.requests, channel, destination)

    async def remember(self, lane: LaneMemory | None, scopes: Sequence[ScopeMemory]) -> None:
        """Keep what must be known after a restart."""
        await self._insist(lambda: self.journal.run(memory.keep, lane, scopes))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
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
                    self._emit(StorageTrouble(f"{full}; outcomes are kept in memory until they can be written"))
                told = True
            await trio.sleep(INSISTENCE)

    def _rewind_lanes(self) -> None:
        self._tell_deadline()
        for lane in self.lanes.values():
            lane.rewind()

    # --- who waits for the end of a signal --------------------------------------------------------------------------------

    async def wait_settled(self, id_: str, seconds: float) -> str | None:
        """The signal's summary once nothing of it waits any more, or when the time has run out. None: no such signal."""
        with self._watchers.watching(id_) as settled:  # before looking: what is settled meanwhile is not missed
            summary = await self.journal.run(reading.states, id_)
            with trio.move_on_after(seconds):
                while summary == "queued":
                    await settled.acquire()
                    summary = await self.journal.run(reading.states, id_)
        return summary
