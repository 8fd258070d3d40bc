"""A new name for a host whose state folder was copied, or is a copy (`identity`)."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress

import msgspec

from tocsind.clock import Clock
from tocsind.core.operator import Operator
from tocsind.errors import StorageFull
from tocsind.events import Emit, FolderCopied
from tocsind.journal import Journal, copies, shared

from .engine import EngineAway
from .exchange import Exchange
from .leases import Leases


class Copied(msgspec.Struct, frozen=True):
    """A change of the name. `at` is monotonic; `waiting` deliveries were marked."""

    at: float
    before: str
    host: str
    reason: str
    waiting: int

    @property
    def text(self) -> str:
        """The change for people."""
        waiting = "1 alert that waited" if self.waiting == 1 else f"{self.waiting:,} alerts that waited"
        return (
            f"the state folder of {self.before} was copied: {self.reason}. This host is {self.host} now; "
            f"{waiting} may come twice, marked as possible duplicates"
        )


class Naming:
    """`step` raises StorageFull, and may be repeated."""

    def __init__(
        self, journal: Journal, exchange: Exchange, leases: Leases, clock: Clock, emit: Emit, *, operator: Operator
    ) -> None:
        self._journal = journal
        self._exchange = exchange
        self._store = exchange.store
        self._identity = exchange.store.identity
        self._leases = leases
        self._operator = operator
        self._clock = clock
        self._emit = emit
        self._reason = "an earlier run found out"
        self.copied: Copied | None = None

    async def step(self) -> None:
        """Note the journal's commits for the engine, and take a new name if another daemon has this one."""
        reason = self._identity.rival
        if reason or self._identity.before:
            await self._rename(reason)
        self._identity.note_commits(*await self._journal.run(copies.position))

    async def _rename(self, reason: str | None) -> None:
        targets = sorted(self._store.targets.every(), key=lambda each: each.name)  # the order of `taking`
        async with AsyncExitStack() as stack:
            for target in targets:
                await stack.enter_async_context(target.moving)  # no delivery is handed over under the old name any more
            try:
                await self._change(reason)
            except OSError as error:
                raise StorageFull(str(error)) from error
        self._exchange.handed.clear()
        for target in targets:
            with suppress(EngineAway):
                await self._store.engine.release(target.name, target.token)  # it ends by itself
            await self._leases.start_over(target)
        for name in self._store.targets.all_names():
            self._store.wakeups.refresh(name)  # lanes have read deliveries without the mark
        self._store.wake()

    async def _change(self, reason: str | None) -> None:
        """Each step may be repeated after a failure of the disk, or a kill."""
        if not self._identity.before:
            self._reason = reason or self._reason
            self._identity.rename()
        before, host = self._identity.before, self._identity.name
        waiting = await self._journal.run(copies.rename_host, before, host)
        await self._journal.run(shared.meet, before)
        self._identity.finish()
        self._store.targets.is_alone = False
        self._operator.host = host
        self.copied = Copied(self._clock.now(), before, host, self._reason, waiting)
        self._emit(FolderCopied(before, host, self._reason, waiting))
