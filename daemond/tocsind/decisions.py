"""What people decide about deliveries: put back what is dead, drop what waits, and give a home to what lost its own.

Each decision is a job of the journal and then a word to the lanes: they look again at their queues from the beginning (`rewind`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .clock import Clock
from .events import Adopted, DroppedByHand, Emit, Revived
from .journal import Journal, digests, intake, reading, upkeep
from .reception import Reception
from .watchers import Watchers


class Decisions:
    """Made by dispatch, for whoever is asked: the desk, and the lanes when the configuration changed."""

    def __init__(  # noqa: PLR0917 - put together in one place, by dispatch
        self,
        journal: Journal,
        reception: Reception,
        watchers: Watchers,
        clock: Clock,
        emit: Emit,
        rewind: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._reception = reception
        self._watchers = watchers
        self._clock = clock
        self._emit = emit
        self._rewind = rewind

    async def retry(self, id_: str) -> int:
        """Put back what is dead or in doubt of one signal; answers how many deliveries."""
        revived = await self._journal.run(upkeep.retry_one, id_, self._clock.steady())
        revived += await self._rehome(await self._journal.run(upkeep.homeless, id_))
        return await self._tell_revived(revived)

    async def retry_all(self, destination: str | None) -> int:
        """Put back all that is dead, of one destination or of all; answers how many deliveries."""
        revived = 0
        while more := await self._journal.run(upkeep.retry_all, destination, self._clock.steady()):
            revived += more
        while destination is None and (more := await self._rehome(await self._journal.run(upkeep.homeless, None))):
            revived += more
        return await self._tell_revived(revived)

    async def drop(self, id_: str) -> int:
        """Settle what waits of one signal as dropped; answers how many deliveries."""
        dropped = await self._journal.run(upkeep.drop, id_, self._clock.steady())
        if dropped:
            self._emit(DroppedByHand(id_, dropped))
            self._watchers.tell(id_, everybody=True)
        return dropped

    async def instead(self, id_: str) -> str:
        """What a person should know who found nothing to put back or drop: that it is told by a digest, or how it is."""
        digest = await self._journal.run(digests.instead, id_)
        if digest is not None:
            return digest
        why = f": {intake.NO_ROUTE}" if await self._journal.run(upkeep.homeless, id_) else ""
        return f"it is {await self._journal.run(reading.states, id_)}{why}"

    async def adopt_orphans(self) -> None:
        """What waits for a destination that the configuration no longer names goes where its routes say."""
        waiting = {count.destination for count in await self._journal.run(reading.counts) if count.state == "queued"}
        for name in waiting - set(self._reception.config.destinations):
            adopted = 0
            while more := await self._rehome(await self._journal.run(upkeep.orphans, name)):
                adopted += more
            if adopted:
                self._emit(Adopted(name, adopted))
                self._rewind()

    async def _rehome(self, homeless: Sequence[tuple[int, bytes]]) -> int:
        homes = {number: self._reception.home(body) for number, body in homeless}
        routed: Mapping[int, Sequence[str]] = {number: names for number, names in homes.items() if names}
        return await self._journal.run(upkeep.rehome, routed, self._clock.steady())

    async def _tell_revived(self, revived: int) -> int:
        if revived:
            self._emit(Revived(revived))
            await self.adopt_orphans()
            self._rewind()
        return revived
