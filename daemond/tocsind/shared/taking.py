"""Takes deliveries back from the other hosts, to send them to a fallback of this one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from tocsind.clock import Clock
from tocsind.journal import Journal, shared, withdrawals
from tocsind.policy.delivery import Priority

from .engine import Engine, EngineAway
from .targets import Target, Targets


class Taking:
    """The steps. They raise StorageFull, and may be repeated."""

    def __init__(self, engine: Engine, journal: Journal, targets: Targets, clock: Clock) -> None:
        self._engine = engine
        self._journal = journal
        self._targets = targets
        self._clock = clock

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
            taken = await self._engine.withdraw(target.name, asked) if asked else []
        except EngineAway:
            return await self._back_later(found)
        await self._journal.run(shared.told, taken)
        return [each.number for each in found if each.is_free or each.id in taken]

    async def _back_later(self, found: Sequence[withdrawals.Waiting]) -> list[int]:
        if not self._targets.is_away(self._clock.now()):
            return []
        numbers = [each.number for each in found]
        await self._journal.run(withdrawals.take_back_later, numbers)
        return numbers
