"""Decisions of the operator about deliveries (retry, drop), and new destinations for deliveries whose own left the configuration.

Each decision is a job of the journal, followed by a wake-up: the lanes read their queues from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from tocsind.clock import Clock
from tocsind.events import AcknowledgedBy, DroppedByOperator, Emit, OrphansRequeued, Requeued
from tocsind.journal import Acknowledged, Journal, acknowledgements, digests, elsewhere, maintenance, queries, queue

from .admission import Admission, Peer
from .settle import Withdrawn
from .waiters import Waiters
from .wakeups import Wakeups


class Operator:
    """The request handlers call it for `retry` and `drop`, the supervisor after each change of the configuration."""

    def __init__(
        self,
        journal: Journal,
        admission: Admission,
        withdrawn: Withdrawn,
        *,
        waiters: Waiters,
        wakeups: Wakeups,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._journal = journal
        self._admission = admission
        self._withdrawn = withdrawn
        self._waiters = waiters
        self._wakeups = wakeups
        self._clock = clock
        self._emit = emit
        self.host: str | None = None  # the name of this one, where hosts share an engine

    async def retry(self, id_: str) -> int:
        """Requeue the dead and the ambiguous deliveries of one signal; how many."""
        requeued = await self._journal.run(maintenance.retry_one, id_, self._clock.steady(), self.host)
        requeued += await self._requeue(await self._journal.run(maintenance.orphaned, id_))
        return await self._on_requeued(requeued)

    async def retry_all(self, destination: str | None) -> int:
        """Requeue all dead deliveries of one destination, or of all destinations; how many."""
        requeued = 0
        while more := await self._journal.run(maintenance.retry_all, destination, self._clock.steady(), self.host):
            requeued += more
        while destination is None and (
            more := await self._requeue(await self._journal.run(maintenance.orphaned, None))
        ):
            requeued += more
        return await self._on_requeued(requeued)

    async def drop(self, id_: str) -> int:
        """Settle the waiting deliveries of one signal as dropped, but for those that are in flight; how many."""
        found = await self._journal.run(maintenance.droppable, id_, self.host)
        async with self._withdrawn(found) as free:
            dropped = await self._journal.run(maintenance.drop, id_, self._clock.steady(), self.host, free)
        if dropped:
            self._emit(DroppedByOperator(id_, dropped))
            self._waiters.release_all()
        return dropped

    async def acknowledge(self, name: str, peer: Peer) -> Acknowledged | None:
        """Record who acknowledges a signal (by its id) or a story (by its key), and end the repetitions. None when neither is known, or
        only other hosts accepted it (`accepted_by`).
        """
        done = await self._journal.run(acknowledgements.acknowledge, name, peer.uid, self._clock.wall(), self.host)
        if done is not None:
            self._emit(AcknowledgedBy(done.id, done.key, done.stopped, peer.uid, peer.pid))
        return done

    async def accepted_by(self, name: str) -> list[str]:
        """The other hosts that accepted a signal (by its id) or signals of a key, and so decide about it."""
        return await self._journal.run(elsewhere.accepted_by, name, self.host)

    async def replaced_by(self, id_: str, verb: str) -> str:
        """Why `retry` or `drop` (`verb`) changed no delivery of a signal: the digest that replaced it, or its state."""
        digest = await self._journal.run(digests.replaced_by, id_)
        if digest is not None:
            return digest
        why = f": {queue.NO_ROUTE}" if await self._journal.run(maintenance.orphaned, id_) else ""
        state = await self._journal.run(queries.states, id_)
        if verb == "drop" and state == "queued":
            why = ": a request with it may be in flight"
        return f"it is {state}{why}"

    async def requeue_orphans(self) -> None:
        """Move queued deliveries whose destination the configuration no longer names to where the routes lead now."""
        waiting = {count.destination for count in await self._journal.run(queries.counts) if count.state == "queued"}
        for name in waiting - self._admission.destinations():
            requeued = 0
            read = partial(maintenance.orphans, shares=self.host is not None)
            while more := await self._requeue(await self._journal.run(read, name)):
                requeued += more
            if requeued:
                self._emit(OrphansRequeued(name, requeued))
                self._wakeups.rewind_all()

    async def _requeue(self, orphans: Sequence[tuple[int, bytes]]) -> int:
        """Requeue orphans (a signal's number and its body) where the routes lead now; how many deliveries."""
        routes = {number: self._admission.reroute(body) for number, body in orphans}
        routed: Mapping[int, Sequence[str]] = {number: names for number, names in routes.items() if names}
        return await self._journal.run(maintenance.requeue_orphans, routed, self._clock.steady())

    async def _on_requeued(self, requeued: int) -> int:
        if requeued:
            self._emit(Requeued(requeued))
            await self.requeue_orphans()
            self._wakeups.rewind_all()
        return requeued
