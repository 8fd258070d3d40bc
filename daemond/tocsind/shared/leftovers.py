"""Takes deliveries of destinations that are no longer shared here out of the engine: removed, `shared = false`, another webhook.

This host gives the lease back, returns the deliveries of other hosts, and takes back its own, unless another host has an open attempt. Of
such a delivery it records the end, and until then its lane does not send it (`store.feed`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tocsind.clock import Clock
from tocsind.journal import Journal, leftovers, withdrawals

from .exchange import Exchange
from .targets import Target


class Leftovers:
    """`step` does so, and raises EngineAway and StorageFull. `requeue` sends deliveries without a destination to where the routes lead."""

    def __init__(
        self, journal: Journal, exchange: Exchange, clock: Clock, requeue: Callable[[], Awaitable[None]]
    ) -> None:
        self._journal = journal
        self._exchange = exchange
        self._store = exchange.store
        self._clock = clock
        self._requeue = requeue

    async def step(self) -> None:
        """Clear all that is left; as a rule nothing is."""
        targets = self._store.targets
        leads = {name: target.name for target in targets for name in targets.names(target)}
        for left in await self._journal.run(leftovers.left, leads):
            target = targets.known(left.target)
            if left.target not in leads.values():
                await self._leave(target)
            await self._clear(target, left)

    async def _leave(self, target: Target) -> None:
        if target.holds(self._clock.now()) and not target.requests:
            target.lose()
            await self._store.engine.release(target.name, target.token)

    async def _clear(self, target: Target, left: leftovers.Left) -> None:
        ids = await self._journal.run(leftovers.give_back, left, self._store.host, self._clock.steady())
        taken = await self._store.engine.withdraw(target.name, ids) if ids else {}
        await self._journal.run(withdrawals.taken_back, taken)
        await self._store.reports.send(target)
        await self._exchange.fetch(target, sends=False)
        if taken:
            await self._requeue()
            self._store.wakeups.rewind_all()
