"""Reports of the holder to the engine: the deliveries that ended, and the state after an attempt.

A report that fails waits in `Target.owed`, in order, and is repeated before the next one. Each report reads the ended deliveries from the
journal, so a lost report loses none of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

from tocsind.journal import Journal, LaneState, LimitState, shared, stories
from tocsind.policy.delivery import Delivery
from tocsind.policy.story import ends_story

from .engine import Engine, EngineAway, Settled
from .identity import Identity
from .items import LAST_SENDER, done_of, states_of, story_state
from .targets import Target, Targets

T = TypeVar("T")


class Commit(Protocol):
    """Repeats a commit until the disk has room for it."""

    def __call__(self, commit: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...


class Reports:
    """The reports. `wake` says that there is something to report."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        targets: Targets,
        identity: Identity,
        *,
        commit: Commit,
        wake: Callable[[Iterable[Target]], None],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._targets = targets
        self._identity = identity
        self._commit = commit
        self._wake = wake

    async def settled(
        self,
        target: Target,
        batch: Sequence[Delivery],
        waiting: Sequence[shared.Known],
        lane: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> Settled:
        """The end of an attempt for the engine, without the deliveries that ended. `waiting`: those that did not."""
        destination = batch[0].destination
        far = self._targets.far_of(destination)
        state = states_of(far, lane, scopes, self._targets.offset) | await self._story(far, batch)
        state[LAST_SENDER] = self._identity.name.encode()
        request = target.requests.get(destination)
        return Settled(waiting=[each.id for each in waiting], doubtful=doubtful(waiting), request=request, state=state)

    async def _story(self, far: str, batch: Sequence[Delivery]) -> dict[str, bytes]:
        """The live message that this batch has changed; a story that has ended leaves nothing."""
        update = batch[0].update
        if update is None:
            return {}
        story = await self._journal.run(stories.story, batch[0].destination, update.key)
        return story_state(far, update.key, None if ends_story(batch[-1].signal) else story)

    async def add(self, target: Target, settled: Settled, numbers: Sequence[int] = ()) -> None:
        """Report this, and which of these deliveries ended. `send` repeats a report that fails now."""
        target.owed.append(settled)
        has_digest = any(number < 0 for number in numbers)  # more has ended than the digest
        try:
            await self.send(target, among=None if has_digest else numbers)
        except EngineAway:
            self._wake([target])

    async def send(self, target: Target, *, at_once: bool = False, among: Sequence[int] | None = None) -> None:
        """Report all ended deliveries that the engine has; with `at_once` also those of attempts that are being settled. `among`: only of
        these deliveries, which is quick however many wait. Raises EngineAway.
        """
        async with target.telling:
            ended = await self._ended(target, among, at_once=at_once)
            while ended or target.owed:
                first = target.owed[0] if target.owed else Settled()
                done = [done_of(each, self._identity.name, self._targets.offset) for each in ended]
                await self._engine.settle(target.name, target.token, msgspec.structs.replace(first, done=done))
                del target.owed[:1]
                await self._told([each.id for each in ended])
                is_all = len(ended) < shared.MAX_ROWS
                ended = [] if is_all else await self._ended(target, among, at_once=at_once)

    async def _ended(self, target: Target, among: Sequence[int] | None, *, at_once: bool) -> list[shared.Ended]:
        """Ended deliveries; without `among` none while an attempt is being settled, which reports its own."""
        if among is not None:
            return await self._journal.run(shared.ended, target.name, among) if among else []
        return [] if target.settling and not at_once else await self._journal.run(shared.ended, target.name)

    async def _told(self, ids: Sequence[str]) -> None:
        if ids:
            await self._commit(lambda: self._journal.run(shared.told, ids))


def doubtful(known: Sequence[shared.Known]) -> list[str]:
    """The ids of those that may have been sent before."""
    return [each.id for each in known if each.is_doubtful]
