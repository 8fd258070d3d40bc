"""The silences in force: in memory for acceptance, in the journal for everything else.

A silence is in the journal before its operator gets an answer, and its signals are counted there in the commit that stores or settles them.
A task settles what waited when a silence began. A start repeats that for all silences, because a kill may have interrupted it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import trio

from tocsin.ids import new_id
from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.errors import StorageFull
from tocsind.events import Emit, SilenceAdded, Silenced, SilenceEnded
from tocsind.journal import FIRST, Count, Journal, held, queries, queue
from tocsind.journal import silences as jobs
from tocsind.policy import silence as law
from tocsind.policy.delivery import Priority
from tocsind.policy.silence import Pair, Silence

from .admission import Peer
from .settle import Withdrawn
from .waiters import Waiters

CHUNK = 500  # waiting deliveries that one job reads
RETRY_SECONDS = 1.0  # s until the next attempt while the disk is full


class SilenceRefused(Exception):  # noqa: N818 - an answer, not a fault
    """There cannot be such a silence; the text says why. `kind` is one of tocsin.wire.ERROR_KINDS."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Silences:
    """Answers which silence applies to a signal, and changes them for operators."""

    def __init__(self, journal: Journal, withdrawn: Withdrawn, waiters: Waiters, clock: Clock, emit: Emit) -> None:
        self._journal = journal
        self._withdrawn = withdrawn
        self._waiters = waiters
        self._clock = clock
        self._emit = emit
        self._active: dict[str, Silence] = {}
        self._new: deque[Silence] = deque()  # what waits has not been compared with them
        self.changed = trio.Event()  # replaced each time it is set: a silence began, or ended early

    async def load(self) -> None:
        """Load the silences of an earlier run."""
        active = await self._journal.run(jobs.active, self._clock.steady())
        self._active = {each.id: each for each in active}
        self._new.extend(active)

    def matching(self, signal: Signal, priority: Priority) -> Silence | None:
        """The first silence that applies to a signal now."""
        if not self._active:
            return None
        now = self._clock.steady()
        found = (each for each in self._active.values() if law.matches(each, signal, priority, signal.source, now))
        return next(found, None)

    async def add(self, when: Sequence[Pair], seconds: float, reason: str | None, peer: Peer) -> Silence:
        """Begin a silence. Raises SilenceRefused, StorageFull."""
        if problem := law.problem(when, seconds, reason):
            raise SilenceRefused("bad-request", problem)
        now = self._clock.steady()
        if sum(each.uid == peer.uid and each.until > now for each in self._active.values()) >= law.MAX_PER_USER:
            raise SilenceRefused("busy", f"uid {peer.uid} has {law.MAX_PER_USER} silences already; end one first")
        silence = Silence(new_id(), tuple(dict.fromkeys(when)), peer.uid, now, now + seconds, reason or None)
        await self._journal.run(jobs.add, silence)
        self._forget_ended(now)
        self._active[silence.id] = silence
        self._new.append(silence)
        self._emit(SilenceAdded(silence.id, silence.written, seconds, silence.reason, peer.uid, peer.pid))
        self._notify()
        return silence

    async def run(self) -> None:
        """Settle what waited when a silence began, until cancelled."""
        while True:
            changed = self.changed
            while self._new:
                await self._settle_waiting(self._new[0])
                self._new.popleft()
            await changed.wait()

    async def _settle_waiting(self, silence: Silence) -> None:
        for each in await self._journal.run(queries.counts):
            if each.state in {"queued", "held"}:
                await self._settle_queue(silence, each)

    async def _settle_queue(self, silence: Silence, waiting: Count) -> None:
        after, feed = FIRST, queue.feed if waiting.state == "queued" else held.feed_queue
        while silence.id in self._active and (
            found := await self._journal.run(feed, waiting.destination, waiting.priority, after, CHUNK)
        ):
            now = self._clock.steady()
            matching = {
                each.number: each.destination
                for each in found
                if law.matches(silence, each.signal, each.priority, each.signal.source, now)
            }
            try:
                await self._settle(silence, matching)
            except StorageFull:
                await trio.sleep(RETRY_SECONDS)
                continue
            after = found[-1].number

    async def _settle(self, silence: Silence, matching: Mapping[int, str]) -> None:
        """Settle these deliveries (destination by number), but for those that are in flight."""
        if not matching:
            return
        async with self._withdrawn(matching) as free:
            settled = await self._journal.run(jobs.settle, silence, list(free), self._clock.steady())
        for id_, is_first in settled:
            if is_first:
                self._emit(Silenced(id_, silence.id))
            self._waiters.release(id_)

    async def end(self, id_: str, peer: Peer) -> Silence:
        """End a silence early; what it was at its end. Raises SilenceRefused, StorageFull."""
        silence = next((each for each in await self.list_active() if each.id == id_), None)
        if silence is None:
            raise SilenceRefused("not-found", f"no silence {id_} is in force; `tocsin silences` lists them")
        now = self._clock.steady()
        await self._journal.run(jobs.end, id_, peer.uid, now)
        self._active.pop(id_, None)
        self._emit(SilenceEnded(id_, silence.written, silence.signals, peer.uid, peer.pid))
        self._notify()
        return silence

    async def list_active(self) -> list[Silence]:
        """The silences in force, with their counts, the oldest first."""
        return await self._journal.run(jobs.active, self._clock.steady())

    async def list_unreported(self) -> list[Silence]:
        """The silences whose end is to be reported."""
        return await self._journal.run(jobs.ended, self._clock.steady())

    async def on_reported(self, silence: Silence) -> None:
        """The report of its end is stored."""
        await self._journal.run(jobs.reported, silence)

    def until_next_end(self) -> float:
        """In how many seconds the next silence ends; infinity without one."""
        now = self._clock.steady()
        self._forget_ended(now)
        return law.next_end(self._active.values(), now) - now

    def __len__(self) -> int:
        self._forget_ended(self._clock.steady())
        return len(self._active)

    def _forget_ended(self, now: float) -> None:
        self._active = {id_: each for id_, each in self._active.items() if each.until > now}

    def _notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()
