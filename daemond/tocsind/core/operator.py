"""What people decide about deliveries: put back what is dead, drop what waits, and give a home to what lost its own.

Each decision is a job of the journal and then a word to the lanes: they look again at their queues from the beginning (`rewind`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tocsind.clock import Clock
from tocsind.events import DroppedByOperator, Emit, OrphansRequeued, Requeued
from tocsind.journal import Journal, digests, maintenance, queries, queue

from .admission import Admission
from .waiters import Waiters


class Operator:
    """Made by dispatch, for whoever is asked: the desk, and the lanes when the configuration changed."""

    def __init__(  # noqa: PLR0917 - put together in one place, by dispatch
        self,
        journal: Journal,
        reception: Admission,
        watchers: Waiters,
        clock: Clock,
        emit: Emit,
        rewind: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._admission = reception
        self._waiters = watchers
        self._clock = clock
        self._emit = emit
        self._rewind = rewind

    async def retry(self, id_: str) -> int:
        """Put back what is dead or in doubt of one signal; answers how many deliveries."""
        revived = await self._journal.run(maintenance.retry_one, id_, self._clock.steady())
        revived += await self._requeue_orphans(await self._journal.run(maintenance.orphaned, id_))
        return await self._on_requeued(revived)

    async def retry_all(self, destination: str | None) -> int:
        """Put back all that is dead, of one destination or of all; answers how many deliveries."""
        revived = 0
        while more := await self._journal.run(maintenance.retry_all, destination, self._clock.steady()):
            revived += more
        while destination is None and (
            more := await self._requeue_orphans(await self._journal.run(maintenance.orphaned, None))
        ):
            revived += more
        return await self._on_requeued(revived)

    async def drop(self, id_: str) -> int:
        """Settle what waits of one signal as dropped; answers how many deliveries."""
        dropped = await self._journal.run(maintenance.drop, id_, self._clock.steady())
        if dropped:
            self._emit(DroppedByOperator(id_, dropped))
            self._waiters.release(id_, everybody=True)
        return dropped

    async def replaced_by(self, id_: str) -> str:
        """What a person should know who found nothing to put back or drop: that it is told by a digest, or how it is."""
        digest = await self._journal.run(digests.replaced_by, id_)
        if digest is not None:
            return digest
        why = f": {queue.NO_ROUTE}" if await self._journal.run(maintenance.orphaned, id_) else ""
        return f"it is {await self._journal.run(queries.states, id_)}{why}"

    async def requeue_orphans(self) -> None:
        """What waits for a destination that the configuration no longer names goes where its routes say."""
        waiting = {count.destination for count in await self._journal.run(queries.counts) if count.state == "queued"}
        for name in waiting - set(self._admission.config.destinations):
            adopted = 0
            while more := await self._requeue_orphans(await self._journal.run(maintenance.orphans, name)):
                adopted += more
            if adopted:
                self._emit(OrphansRequeued(name, adopted))
                self._rewind()

    async def _requeue_orphans(self, homeless: Sequence[tuple[int, bytes]]) -> int:
        homes = {number: self._admission.reroute(body) for number, body in homeless}
        routed: Mapping[int, Sequence[str]] = {number: names for number, names in homes.items() if names}
        return await self._journal.run(maintenance.requeue_orphans, routed, self._clock.steady())

    async def _on_requeued(self, revived: int) -> int:
        if revived:
            self._emit(Requeued(revived))
            await self.requeue_orphans()
            self._rewind()
        return revived
