"""The one way in: signals become arrivals, the journal commits them, and the receipts say what the journal answered.

Law 1, written before promised: `accept` returns receipts, and `accept_outboxes` returns, only after the commit that holds the signals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tocsin.signals import PRIORITIES, Receipt, Signal
from tocsind.attachments import Attachments
from tocsind.errors import StorageFull
from tocsind.events import (
    Accepted,
    AttachmentDropped,
    Duplicate,
    Emit,
    ForeignId,
    Held,
    Silenced,
    SourceReserved,
    Unrouted,
)
from tocsind.journal import Arrival, Journal, OutboxPosition, queue
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.quiet import Hold
from tocsind.policy.routes import Route
from tocsind.policy.silence import Silence
from tocsind.policy.sources import note, without_reserved_source

from .admission import Admission, Peer, receipts_of, with_notes, with_sources
from .disk_guard import DiskGuard
from .wakeups import Wakeups


class Group(NamedTuple):
    """Signals of one sender; `ages` are seconds since each was sent, empty when all were sent just now."""

    signals: Sequence[Signal]
    peer: Peer
    ages: Sequence[float] = ()


class _Entered(NamedTuple):
    """One commit: the arrivals, what the journal made of each (None: a duplicate), and the signals with their attachments adopted."""

    arrivals: list[Arrival]
    stored: list[Arrival | None]
    signals: list[Signal]


class Acceptor:
    """Stores signals and wakes the lanes of their destinations."""

    def __init__(
        self,
        journal: Journal,
        admission: Admission,
        *,
        disk_guard: DiskGuard,
        attachments: Attachments,
        wakeups: Wakeups,
        emit: Emit,
    ) -> None:
        self._journal = journal
        self._admission = admission
        self._disk_guard = disk_guard
        self._attachments = attachments
        self._wakeups = wakeups
        self._emit = emit

    def check(self, signal: Signal) -> None:
        """Raises InvalidSignal when `to` names no destination."""
        self._admission.check(signal)

    def silence_of(self, signal: Signal, priority: Priority) -> Silence | None:
        """The silence that would keep a signal of this priority from being sent now."""
        return self._admission.silence_of(signal, priority)

    def routes(self, signal: Signal, priority: Priority) -> list[tuple[int, Route]]:
        """The routes that lead a signal to its destinations, with their numbers from 1; none when the signal names its own."""
        return self._admission.routes(signal, priority)

    def preview(self, signal: Signal) -> tuple[Priority, list[Delivery]]:
        """What `accept` would make of a signal: its priority, and a delivery for each destination. Stores nothing."""
        return self._admission.preview(signal)

    def holds(self, signal: Signal) -> Mapping[str, Hold]:
        """The destinations at which quiet hours or delays would hold this signal, and why."""
        return self._admission.holds(signal)

    async def accept(
        self, signals: Sequence[Signal], peer: Peer, *, from_daemon: bool = False, ages: Sequence[float] = ()
    ) -> list[Receipt]:
        """Store signals that have passed `check`; a receipt each, after the commit. Raises StorageFull when the daemon accepts none.

        `from_daemon`: the signals are alarms of the daemon itself, which may use the disk's reserve.
        """
        arrivals, stored, adopted = await self._enter([Group(signals, peer, ages)], (), from_daemon=from_daemon)
        notes = [note(before, after) for before, after in zip(signals, adopted, strict=True)]
        return with_sources(with_notes(receipts_of(arrivals, stored), adopted), notes)

    async def accept_outboxes(self, groups: Sequence[Group], positions: Sequence[OutboxPosition]) -> None:
        """Store what was read from outboxes, and how far it was read, in one commit. Raises StorageFull."""
        await self._enter(groups, positions)

    async def _enter(
        self, groups: Sequence[Group], positions: Sequence[OutboxPosition], *, from_daemon: bool = False
    ) -> _Entered:
        self._disk_guard.check()
        if self._disk_guard.closed and not from_daemon:
            await self._recheck_disk()
        permitted = [
            group.signals if from_daemon else without_reserved_source(group.signals, group.peer.uid) for group in groups
        ]
        adopted = [
            await self._adopt_files(signals, group.peer) for signals, group in zip(permitted, groups, strict=True)
        ]
        arrivals = [
            arrival
            for signals, group in zip(adopted, groups, strict=True)
            for arrival in self._admission.arrivals(signals, group.peer, group.ages)
        ]
        stored = await self._store(arrivals, positions, from_daemon=from_daemon)
        self._announce_all(arrivals, stored)
        for before, after, group in zip(permitted, adopted, groups, strict=True):
            self._report_reserved_sources(group, before)
            if after is not before:
                await self._attachments.on_accepted(before, after)
        entered = _Entered(arrivals, stored, [signal for signals in adopted for signal in signals])
        self._report_dropped_attachments(entered)
        return entered

    async def _recheck_disk(self) -> None:
        """Raises StorageFull, unless there is room again by now."""
        await self._disk_guard.maintain()
        if self._disk_guard.closed:
            raise StorageFull(self._disk_guard.closed)

    async def _adopt_files(self, signals: Sequence[Signal], peer: Peer) -> Sequence[Signal]:
        """The signals, with their files moved into the attachment store; the same object when no signal brings a file."""
        if not any(signal.has_file for signal in signals):
            return signals
        return await self._attachments.adopt(signals, peer.uid, self._disk_guard.spare_bytes())

    async def _store(
        self, arrivals: Sequence[Arrival], positions: Sequence[OutboxPosition], *, from_daemon: bool
    ) -> list[Arrival | None]:
        """Commit the arrivals. Alarms of the daemon may use the space that is kept for outcomes."""
        try:
            try:
                return await self._journal.run(queue.insert, arrivals, positions)
            except StorageFull:
                if not (from_daemon and await self._journal.use_reserve()):
                    raise
            return await self._journal.run(queue.insert, arrivals, positions)
        except StorageFull as full:
            self._disk_guard.close_until_written(str(full))
            raise

    # --- events and wake-ups, after the commit --------------------------------------------------------------------------

    def _announce_all(self, arrivals: Sequence[Arrival], stored: Sequence[Arrival | None]) -> None:
        for arrival, entered in zip(arrivals, stored, strict=True):
            if entered is None:
                self._emit(Duplicate(arrival.id))
            elif entered.id != arrival.id:
                self._emit(ForeignId(arrival.id, entered.id, arrival.uid, arrival.pid))
        new = [arrival for arrival in stored if arrival is not None]
        for arrival in new:
            self._announce(arrival)
        sent = [arrival for arrival in new if arrival.silence is None]
        for name, priority in dict.fromkeys((name, each.priority) for each in sent for name in each.destinations):
            self._wakeups.wake(name, [Priority(priority)])
        if any(arrival.deadline is not None for arrival in sent):
            self._wakeups.notify_deadline()
        if any(arrival.holds for arrival in new):
            self._wakeups.notify_schedule()

    def _announce(self, arrival: Arrival) -> None:
        label = PRIORITIES[arrival.priority]
        owed = arrival.destinations if arrival.silence is None else ()
        self._emit(Accepted(arrival.id, label, owed, arrival.uid, arrival.pid))
        if arrival.silence is not None:
            self._emit(Silenced(arrival.id, arrival.silence[0]))
        elif not arrival.destinations:
            self._emit(Unrouted(arrival.id))
        for name, hold in arrival.holds.items():
            self._emit(Held(arrival.id, name, hold.reason))

    def _report_reserved_sources(self, group: Group, permitted: Sequence[Signal]) -> None:
        """Signals that named the daemon's own source and lost it."""
        if permitted is group.signals:
            return
        for before, after in zip(group.signals, permitted, strict=True):
            if note(before, after):
                self._emit(SourceReserved(before.id, group.peer.uid, group.peer.pid))

    def _report_dropped_attachments(self, entered: _Entered) -> None:
        for signal, arrival in zip(entered.signals, entered.stored, strict=True):
            if arrival is not None and signal.attach_note:
                self._emit(AttachmentDropped(arrival.id, signal.attach_note))
