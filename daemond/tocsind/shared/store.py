"""The lanes' store when hosts share destinations: `core.settle.JournalStore`, and the engine's steps around it.

    feed      empty, unless this host holds the lease of the target
    begin     the journal records the attempt, then the engine; only then does the request leave. Without the lease, or without room in a
              limit that several targets share (`scopes`), the journal's record is undone, and nothing is sent
    settle    the journal records the outcomes, then the engine records ended deliveries and learned limits

While the engine is away, nothing is fed; with `on-outage = "degrade"` what this host accepted as URGENT or HIGH is. What the engine has of
it may have been sent by another host: it waits for ALONE_AFTER and is marked. Until the engine has accepted this start, what waited before
it is marked as well: the state folder may be a copy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import inf
from typing import Final

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.core.active_config import ActiveConfig
from tocsind.core.disk_guard import DiskGuard
from tocsind.core.quiet import Quiet
from tocsind.core.settle import JournalStore
from tocsind.core.waiters import Waiters
from tocsind.core.wakeups import Wakeups
from tocsind.errors import StorageFull
from tocsind.events import Emit, Expired
from tocsind.journal import (
    FIRST,
    Journal,
    LaneState,
    LimitState,
    RequestRecord,
    RequestStart,
    Reroute,
    SettledAttempt,
    epochs,
    leftovers,
    limiter_state,
    maintenance,
    shared,
    shared_news,
    shared_view,
    withdrawals,
)
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import OPEN, Delivery, Priority, Settlement
from tocsind.policy.outcomes import Outcome, is_unsent
from tocsind.policy.patience import Fitness

from .engine import Engine, EngineAway, Settled
from .identity import Identity
from .items import id_of, states_of
from .reports import Reports, doubtful
from .scopes import Scopes, name_of
from .taking import Taking
from .targets import DEGRADED, Target, Targets

OVERDUE_SECONDS: Final = 0.5  # between two questions whether a delivery whose time has passed is still in flight
HAND_OVER_SECONDS: Final = 0.03  # from the acceptance of an alert at one host until another one can send it
ALONE_AFTER: Final = 10.0  # s that a delivery which the engine has waits for another host, while the engine is away


class SharedStore(JournalStore):
    """As JournalStore; destinations that are not shared notice nothing. `wake` says that there may be something to hand over."""

    def __init__(
        self,
        journal: Journal,
        config: ActiveConfig,
        *,
        engine: Engine,
        targets: Callable[[ActiveConfig], Targets],
        identity: Identity,
        disk_guard: DiskGuard,
        waiters: Waiters,
        wakeups: Wakeups,
        quiet: Quiet,
        clock: Clock,
        emit: Emit,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(
            journal,
            config,
            disk_guard=disk_guard,
            waiters=waiters,
            wakeups=wakeups,
            quiet=quiet,
            clock=clock,
            emit=emit,
            jitter=jitter,
        )
        self.engine = engine
        self.targets = targets(config)
        self.identity = identity
        self._taking = Taking(engine, journal, self.targets, clock, identity)
        self.scopes = Scopes(engine, journal, self.targets, clock, identity)
        self.reports = Reports(engine, journal, self.targets, identity, commit=self._retry_while_full, wake=self.wake)
        self.wakeups = wakeups
        self.waiters = waiters
        self._began = clock.steady()
        self._origins: dict[int, str] = {}  # who accepted the deliveries of others that are being settled
        self.changed = trio.Event()  # replaced each time it is set

    @property
    def host(self) -> str:
        """The name of this host."""
        return self.identity.name

    def wake(self, targets: Iterable[Target] | None = None) -> None:
        """There may be something to hand over, or to report: for these targets, or for any."""
        for target in self.targets if targets is None else targets:
            target.is_due = True
        self.changed.set()
        self.changed = trio.Event()

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """As in the base, of deliveries that this host may send."""
        target, now = self.targets.of(destination), self._clock.now()
        if target is None:
            return await self._journal.run(leftovers.feed, destination, priority, after, most)
        self.wake([target])
        if target.holds(now):
            return await super().feed(destination, priority, after, most)
        if self.targets.is_degraded(now) and priority in DEGRADED:
            before = self._clock.steady() - ALONE_AFTER
            return await self._journal.run(
                epochs.feed_own, self.here(target, destination), priority, after, most, before
            )
        return []

    def gathering_seconds(self, destination: str) -> float:
        """As long as a hand-over takes, where this host sends for others: alerts of one moment share their messages, as on one host."""
        target = self.targets.of(destination)
        return HAND_OVER_SECONDS if target and target.hosts > 1 and self._holds(target) else 0.0

    async def begin(self, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        """As in the base, with the engine's consent."""
        target, now = self.targets.of(asking.destination), self._clock.now()
        if target is None:
            return await super().begin(batch, asking)
        if target.holds(now):
            target.starting += 1
            try:
                return await self._begin(target, await super().begin(batch, asking), asking)
            finally:
                target.starting -= 1
        if self.targets.is_degraded(now) and batch[0].priority in DEGRADED:
            return await self._begin_alone(target, batch, asking)
        return []

    async def _begin_alone(self, target: Target, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        """Without the engine. Deliveries of other priorities, read while this host held the lease, are left out."""
        permitted = [delivery for delivery in batch if delivery.priority in DEGRADED]
        if len(permitted) < len(batch):
            self.wakeups.rewind([asking.destination])
        async with target.moving:  # the answer of a hand-over may be on its way
            before = 0.0 if target.epoch else self._began  # the engine has not accepted this start (`identity`)
            await self._journal.run(epochs.doubt, [delivery.number for delivery in permitted], before)
            claimed = await super().begin(permitted, asking)
            await self._ids(target, claimed)
        return claimed

    async def _begin(self, target: Target, claimed: list[Delivery], asking: RequestStart) -> list[Delivery]:
        if not claimed:
            return []
        known = await self._ids(target, claimed)
        request = await self._request_of(asking)
        foreign = [each.id for each in known if each.is_foreign]
        ids, copies = [each.id for each in known], _may_leave_copy(claimed, asking)
        gone: list[str] | None = None
        has_room = True
        try:
            if has_room := await self.scopes.take(asking, request):
                gone = await self.engine.begin(target.name, target.token, ids, foreign, request, copies=copies)
        except EngineAway:
            self.scopes.on_outage()
        if gone == [] and not self._holds(target):  # this host was stopped meanwhile: another one may send by now
            await self.reports.add(target, Settled(waiting=ids, doubtful=doubtful(known), request=request, unsent=True))
            gone = None
        if gone == []:
            target.requests[asking.destination] = request
            return claimed
        await self.scopes.settle(request, None)
        unclaim = partial(shared.unclaim, gone=gone or (), now=self._clock.steady())
        await self._retry_while_full(lambda: self._journal.run(unclaim, claimed, asking.destination))
        if gone is None and has_room:
            target.lose()
        target.is_left |= not self._holds(target)
        self.wakeups.refresh(asking.destination)  # in the order of the journal: no later delivery overtakes these
        self.wake([target])
        return []

    async def _request_of(self, asking: RequestStart) -> str:
        """The name of the request that the journal has just recorded, over all hosts."""
        number = await self._journal.run(limiter_state.last_request, asking.destination)
        assert number is not None, "it was just recorded"
        return name_of(self.host, number, expedited=asking.expedited)

    async def _ids(self, target: Target, claimed: Sequence[Delivery]) -> list[shared.Known]:
        """Claimed deliveries, as all hosts know them."""
        mine = {delivery.number: id_of(self.host, delivery) for delivery in claimed}
        now = self._clock.steady()
        return await self._retry_while_full(lambda: self._journal.run(shared.begun, self.here(target, ""), mine, now))

    def here(self, target: Target, destination: str) -> shared.Here:
        """This host, a target and a destination that leads there, for the journal's jobs."""
        return shared.Here(self.host, target.name, destination)

    def after(self, destination: str) -> shared_news.After:
        """Settings that apply here after another host has sent to a destination."""
        options = self._config.current.destinations.get(destination)
        repeat = options.repeat if options else None
        every = {
            priority: seconds for priority in Priority if repeat and (seconds := repeat.every(priority)) is not None
        }
        return shared_news.After(every, self._fallbacks(destination))

    def announce_moves(self, moved: Sequence[Reroute]) -> None:
        """Announce deliveries that go to a fallback of this host because another host could not deliver them."""
        self._announce_moves(moved, "it could not be delivered there")

    def _repeat_at(self, delivery: Delivery, now: float) -> float | None:
        """As in the base; the accepting host repeats a delivery."""
        return None if self._origin(delivery) else super()._repeat_at(delivery, now)

    def _settled_attempt(self, delivery: Delivery, outcome: Outcome, retry: Retry, now: float) -> SettledAttempt:
        """As in the base; a delivery of another host that is present uses that host's fallback."""
        attempt, target = super()._settled_attempt(delivery, outcome, retry, now), self.targets.of(delivery.destination)
        is_there = target is not None and self._origin(delivery) in target.seen
        return msgspec.structs.replace(attempt, chain=()) if is_there else attempt

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> list[Settlement]:
        """As in the base, and in the engine."""
        target = self.targets.of(batch[0].destination)
        if target is None:
            return await super().settle(batch, outcomes, retry, lane, scopes)
        answered = self._clock.now()
        target.settling += 1  # until the end of the attempt is in `owed`
        try:
            numbers = [delivery.number for delivery in batch]
            self._origins |= await self._journal.run(shared_view.origins, self.host, numbers)
            settlements = await super().settle(batch, outcomes, retry, lane, scopes)
            for number in numbers:
                self._origins.pop(number, None)
            waits = [each for each, end in zip(batch, settlements, strict=True) if end.state in OPEN]
            known = await self._ids(target, waits)
            settled = await self.reports.settled(target, batch, known, lane, await self.scopes.teach(scopes))
        finally:
            target.settling -= 1
        is_unused = all(map(is_unsent, outcomes))
        await self.reports.add(target, msgspec.structs.replace(settled, unsent=is_unused), numbers)
        request = target.requests.pop(batch[0].destination, "")
        await self.scopes.settle(request, None if is_unused else answered)
        target.is_left |= not self._holds(target)
        return settlements

    def _origin(self, delivery: Delivery) -> str | None:
        return self._origins.get(delivery.number)

    def withdrawn(self, deliveries: Mapping[int, str]) -> AbstractAsyncContextManager[Collection[int]]:
        """As in the base, of those that this host accepted: the engine is asked."""
        return self._taking.free(deliveries)

    async def expire(self) -> float | None:
        """As in the base; the accepting host counts and reports the delivery."""
        now = self._clock.steady()
        while foreign := await self._retry_while_full(
            lambda: self._journal.run(shared_view.expire_foreign, self.host, now)
        ):
            for id_, destination, origin in foreign:
                self._emit(Expired(id_, destination, origin))
                self.waiters.release(id_)
        try:
            waits = await self._expire_own(now)
        except StorageFull:
            waits = True
        next_ = await self._journal.run(maintenance.next_deadline, now)
        return min(next_ or inf, now + OVERDUE_SECONDS) if waits else next_

    async def _expire_own(self, now: float) -> bool:
        """Those in flight at another host stay until it is known how they end. Whether there are any."""
        after, waits = FIRST, False
        while overdue := await self._journal.run(withdrawals.overdue, self.host, now, after):
            async with self.withdrawn(overdue) as free:
                await self._expire(free)
            after, waits = max(overdue), waits or len(free) < len(overdue)
        return waits

    async def settle_and_begin(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneState | None,
        scopes: Sequence[LimitState],
        *,
        following: Sequence[Delivery],
        asking: RequestStart,
    ) -> tuple[list[Settlement], list[Delivery]]:
        """As in the base; with the engine these are two steps."""
        if self.targets.of(asking.destination) is None:
            return await super().settle_and_begin(
                batch, outcomes, retry, lane, scopes, following=following, asking=asking
            )
        settlements = await self.settle(batch, outcomes, retry, lane, scopes)
        return settlements, await self.begin(following, asking)

    async def save(self, lane: LaneState | None, scopes: Sequence[LimitState]) -> None:
        """As in the base, and in the engine."""
        await super().save(lane, scopes)
        state, scopes = lane, await self.scopes.teach(scopes)
        target = self.targets.of(state.destination) if state else None
        if state is not None and target is not None and self._holds(target):
            far = self.targets.far_of(state.destination)
            await self.reports.add(target, Settled(state=states_of(far, lane, scopes, self.targets.offset)))

    async def reroute(
        self,
        destination: str,
        over: Collection[Priority],
        reason: str,
        *,
        hurried: bool,
        among: Collection[int] | None = None,
    ) -> list[int]:
        """As in the base, of deliveries that this host may send to a fallback and no other host can send any more."""
        target = self.targets.of(destination)
        if target is None:
            return await super().reroute(destination, over, reason, hurried=hurried)
        working = [name for name in self._fallbacks(destination) if self._fitness(name) is Fitness.WORKING]
        async with target.moving:
            among = await self._taking.back(target, self.here(target, destination), over, working, hurried=hurried)
            return await super().reroute(destination, over, reason, hurried=hurried, among=among) if among else []

    async def divert(self, destination: str, reason: str, among: Collection[int] | None = None) -> bool:
        """As in the base, where no other host will get through for this one. Until that is known, patience counts (`reroute`)."""
        target = self.targets.of(destination)
        if target is None:
            return await super().divert(destination, reason)
        shut_out = target.shut_out.get(destination)
        if not self.sends(target) and (shut_out is None or shut_out.since > -inf):
            return False
        if shut_out is None and target.others(self.host):
            return False
        fallbacks, here = self._fallbacks(destination), self.here(target, destination)
        async with target.moving:
            among = await self._taking.back(target, here, tuple(Priority), fallbacks, hurried=True)
            return bool(among) and await super().divert(destination, reason, among)

    def sends(self, target: Target) -> bool:
        """Whether this host sends, for all or on its own."""
        now = self._clock.now()
        return target.holds(now) or self.targets.is_degraded(now)

    async def hold_back(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """As in the base. The host that sends holds a delivery that the engine has, so that it stands in one digest."""
        target = self.targets.of(deliveries[0].destination) if deliveries else None
        if target is None or self.sends(target):
            return await super().hold_back(deliveries)
        numbers = [each.number for each in deliveries]
        elsewhere = await self._journal.run(leftovers.with_the_engine, numbers)
        kept = await super().hold_back([each for each in deliveries if each.number not in elsewhere])
        return [*kept, *(each for each in deliveries if each.number in elsewhere)]

    async def make_digest(self, destination: str, priority: Priority, most: int) -> int:
        """As in the base, where this host sends. None of what it replaces is handed over meanwhile."""
        target = self.targets.of(destination)
        if target is None:
            return await super().make_digest(destination, priority, most)
        async with target.moving:
            return await super().make_digest(destination, priority, most) if self._holds(target) else 0

    async def requests(self, channel: str, destination: str) -> list[RequestRecord]:
        """As in the base, with those of the hosts that sent before. The scope of a channel counts requests of others into it."""
        known, target = await super().requests(channel, destination), self.targets.of(destination)
        if target is None or not target.learned or not channel.startswith("endpoint:"):
            return known
        both = [*known, *target.learned]
        return sorted(both, key=lambda each: (each.at is None, each.at or 0.0))

    def _holds(self, target: Target) -> bool:
        return target.holds(self._clock.now())


def _may_leave_copy(claimed: Sequence[Delivery], asking: RequestStart) -> bool:
    """Whether the request, made twice, leaves two messages: else the next holder need not mark deliveries in flight (`attempts.replay`)."""
    update = claimed[0].update
    edits = update is not None and update.edits is not None and not asking.editing.leaves_copy
    return not edits and not asking.repeatable
