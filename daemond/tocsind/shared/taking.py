"""Takes deliveries back from the other hosts: to send them to a fallback of this one (`back`), or before they end here (`free`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import trio

from tocsind.clock import Clock
from tocsind.journal import Journal, shared, withdrawals
from tocsind.policy.delivery import Priority

from .engine import Engine, EngineAway
from .identity import Identity
from .targets import Target, Targets

ASK_SECONDS: Final = 5.0  # an engine that does not answer is away after less
AGAIN_SECONDS: Final = 0.2


class Taking:
    """The steps. They raise StorageFull, and may be repeated."""

    def __init__(self, engine: Engine, journal: Journal, targets: Targets, clock: Clock, identity: Identity) -> None:
        self._engine = engine
        self._journal = journal
        self._targets = targets
        self._clock = clock
        self._identity = identity
        self._began = clock.steady()

    async def back(
        self,
        target: Target,
        here: shared.Here,
        over: Collection[Priority],
        fallbacks: Collection[str],
        *,
        hurried: bool,
    ) -> list[int]:
        """The numbers of some deliveries that may go to one of these fallbacks: those that this host accepted, and where it sends also
        those of hosts that are gone. The engine no longer has a delivery that another host could send.
        """
        living = [name for name in target.seen if name != here.host]
        read = partial(withdrawals.waiting, hurried=hurried)
        found = await self._journal.run(read, here, over, fallbacks, living) if fallbacks else []
        if target.holds(self._clock.now()):
            return [each.number for each in found]
        asked = [each.id for each in found if each.id and not each.is_free]
        try:
            taken = await self._engine.withdraw(target.name, asked) if asked else {}
        except EngineAway:
            await self._journal.run(withdrawals.taken_back, {}, asked)  # it may have given them back without an answer
            return await self._back_later(found, 0.0 if target.epoch else self._began)
        await self._journal.run(withdrawals.taken_back, taken, [id_ for id_ in asked if id_ not in taken])
        return [each.number for each in found if each.is_free or each.id in taken]

    async def _back_later(self, found: Sequence[withdrawals.Waiting], doubtful_before: float) -> list[int]:
        if not self._targets.is_away(self._clock.now()):
            return []
        numbers = [each.number for each in found]
        await self._journal.run(withdrawals.take_back_later, numbers, doubtful_before)
        return numbers

    # --- before they end here ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def free(self, deliveries: Mapping[int, str]) -> AsyncIterator[Collection[int]]:
        """Those of these deliveries (destination by number) that this host accepted and that no other host sends. For the length of the
        block none is handed over. While the engine is away they are marked: another host may have sent them.
        """
        found = await self._journal.run(withdrawals.own, self._identity.name, list(deliveries))
        async with AsyncExitStack() as stack:
            for target in self._involved(found, deliveries):
                await stack.enter_async_context(target.moving)
            found = await self._journal.run(
                withdrawals.own, self._identity.name, list(deliveries)
            )  # a hand-over may have ended
            yield await self._free(found)

    def _involved(self, found: Iterable[withdrawals.Own], deliveries: Mapping[int, str]) -> list[Target]:
        """The targets at which the deliveries are, or to which they may be handed over, in a fixed order."""
        led_to = [target for name in set(deliveries.values()) if (target := self._targets.of(name))]
        names = {target.name for target in led_to} | {each.target for each in found if each.target}
        return [self._targets.known(name) for name in sorted(names)]

    async def _free(self, found: Sequence[withdrawals.Own]) -> set[int]:
        free = {each.number for each in found if not each.target}
        at_engine: dict[str, dict[str, int]] = {}
        for each in found:
            if each.target and each.id:
                at_engine.setdefault(each.target, {})[each.id] = each.number
        for name, ids in at_engine.items():
            taken = await self._withdraw(self._targets.known(name), ids)
            free |= {ids[id_] for id_ in taken}
        return free

    async def _withdraw(self, target: Target, ids: Mapping[str, int]) -> Collection[str]:
        """Those of these ids that no other host sends. Where this host sends, its own lane knows what is in flight."""
        if target.holds(self._clock.now()):
            return ids
        taken = await self._ask(target, list(ids))
        if taken is None:
            await self._journal.run(withdrawals.take_back_later, list(ids.values()))
            return ids
        await self._journal.run(withdrawals.taken_back, taken, [id_ for id_ in ids if id_ not in taken])
        return taken

    async def _ask(self, target: Target, ids: Sequence[str]) -> Mapping[str, bool] | None:
        """Those of these ids that the engine has given back. None: it is away."""
        with trio.move_on_after(ASK_SECONDS):
            while not self._targets.is_away(self._clock.now()):
                try:
                    return await self._engine.withdraw(target.name, ids)
                except EngineAway:
                    await trio.sleep(AGAIN_SECONDS)
            return None
        return {}
