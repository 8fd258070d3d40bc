"""The lease of a target: asked for, taken over, given back; and the steps after the engine has lost its data."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import msgspec

from tocsind.clock import Clock
from tocsind.events import Emit, EngineForgot, EngineRestarted, LeaseLeft, LeaseLost, LeaseTaken
from tocsind.journal import (
    Journal,
    LaneState,
    LimitState,
    RequestRecord,
    epochs,
    leftovers,
    shared,
    shared_view,
    stories,
)

from .companions import Companions
from .engine import Account, Learned, Tended
from .exchange import Exchange
from .items import LAST_SENDER, lane_in, limits_in, stories_in
from .outs import Outs, packed
from .scopes import TurnQueues, name_of
from .targets import Target
from .trouble import Lanes as TroubledLanes
from .trouble import Troubles

LONGEST_WINDOW: Final = 86_400.0  # s; older requests use up nothing
FOLLOWED_SECONDS: Final = 1800.0  # a host that has not heard of the engine for longer knows nothing of an epoch's end
SENDERS_SECONDS: Final = 30.0


class Lanes(TurnQueues, TroubledLanes, Protocol):
    """The part of the lanes that this package uses."""

    def take_over(
        self,
        name: str,
        saved: LaneState | None,
        limits: Collection[LimitState],
        requests: Collection[tuple[float, bool]],
    ) -> None:
        """Let a lane continue from the state of another host."""

    def leave(self, name: str) -> None:
        """Another host sends from now on."""

    def share_limits(self, name: str, hosts: int, in_channel: int) -> None:
        """Let a lane send at the share of one of so many hosts, and of so many in its channel."""


class Leases:
    """The steps for one target. They raise EngineAway."""

    def __init__(self, journal: Journal, exchange: Exchange, lanes: Lanes, clock: Clock, emit: Emit) -> None:
        self._journal = journal
        self._store = exchange.store
        self._identity = self._store.identity
        self._engine = self._store.engine
        self._targets = self._store.targets
        self._exchange = exchange
        self._lanes = lanes
        self._clock = clock
        self._emit = emit
        self.troubles = Troubles(self._targets, lanes, clock, self._identity)
        self._companions = Companions(self._targets, self._store.scopes, clock, self._identity)
        self.forgot_at: float | None = None  # monotonic: when the engine was last found without its memory

    async def tend(self, target: Target, *, wants: bool) -> None:
        """Renew the lease, or take it when it is free and this host `wants` it; or hand it on to where it belongs."""
        before, had = target.holder, target.ready
        own, is_elsewhere = self.troubles.own(target), self._companions.belongs_elsewhere(target)
        if target.is_leaving or (is_elsewhere and target.holds(self._clock.now())):
            await self._hand_on(target, own)
            return
        wants = wants and not is_elsewhere and self.troubles.may_hold(target, own)
        asked, tended = await self._ask(target, own, wants=wants)
        if not tended.refused and await self._compare_epochs(target, tended):
            asked, tended = await self._ask(target, own, wants=wants)  # no lease is given before that
        if tended.refused:
            await self._stand_aside(target)
            return
        if target.on_tended(tended, self._store.host, asked, self._clock.now()):
            await self._take_over(target, before)
            target.is_behind = False
        elif tended.holder != self._store.host and (
            had or target.is_left or (tended.holder and tended.holder != before)
        ):
            await self._give_back(target)
        elif target.ready and tended.young:
            self._count(target, await self._learn_requests(target))
        if target.holds(self._clock.now()) and self.troubles.should_leave(target, own):
            await self._leave(target, next(iter(own.values())).reason)
        self.troubles.stand_by(target)

    async def _stand_aside(self, target: Target) -> None:
        """Another start of this host takes part."""
        await self.start_over(target)
        self.troubles.stand_by(target)

    async def start_over(self, target: Target) -> None:
        """The engine does not know this host by its name."""
        had = target.ready or target.is_left
        target.start_over()
        if had:
            await self._give_back(target)

    async def _leave(self, target: Target, reason: str) -> None:
        """Let another host send, which may get through."""
        target.lose()
        await self._engine.release(target.name, target.token)
        target.holder = ""
        await self._give_back(target)
        for name in self._targets.names(target):
            self._emit(LeaseLeft(name, reason))

    async def _hand_on(self, target: Target, own: Outs) -> None:
        """Begin nothing more, and give the lease back when nothing is in flight."""
        target.is_leaving, target.ready = True, False
        if target.requests or target.starting or target.settling:
            await self._ask(target, own, wants=False)  # it is kept until then
            return
        await self._store.reports.send(target)
        await self._engine.release(target.name, target.token)
        target.is_leaving, target.holder, target.changed_at = False, "", self._clock.now()
        await self._give_back(target)

    async def _meet(self, tended: Tended) -> None:
        if tended.hosts > 1 and self._targets.is_alone:
            await self._journal.run(shared.meet, next(each for each in tended.seen if each != self._store.host))
            self._targets.is_alone = False

    async def _ask(self, target: Target, own: Outs, *, wants: bool) -> tuple[float, Tended]:
        asked = self._clock.now()
        tended = await self._engine.tend(
            target.name,
            self._store.host,
            token=target.claim,
            wants=wants,
            alone=self._targets.is_alone,
            trouble=packed(own),
            start=self._identity.start,
        )
        if tended.refused:
            self._identity.on_refused(target.name, tended.refused)
            return asked, tended
        self._identity.on_accepted(target.name)
        if tended.is_of_other_start(self._store.host, self._identity.start):
            tended = msgspec.structs.replace(
                tended, token=""
            )  # the lease of a run that has ended: it is free in a moment
        self._targets.offset = tended.now / 1000 - self._clock.steady()
        await self._meet(tended)
        return asked, tended

    async def _take_over(self, target: Target, before: str) -> None:
        """Fetch the open deliveries and the state of earlier holders; then the lanes may send."""
        target.places.clear()
        self._exchange.strange.clear()
        await self._exchange.hand_over(target, digests=False)  # to read which of these another host may have sent
        learned = await self._engine.learned(target.name)
        is_behind = target.is_behind and learned.state.get(LAST_SENDER) != self._store.host.encode()
        await self._exchange.fetch(target, sends=True)
        requests, offset = self._requests_in(target, learned), self._targets.offset
        target.ready = True
        limits = limits_in(learned.state, offset) if is_behind else []
        names = self._targets.names(target)
        for name in names:
            far = self._targets.far_of(name)
            saved = lane_in(learned.state, far, name, offset) if is_behind else None
            if is_behind:
                for key, story in stories_in(learned.state, far).items():
                    await self._journal.run(stories.adopt, name, key, story)
            with suppress(KeyError):  # the lane has not started
                self._lanes.take_over(name, saved, limits, requests if name == names[0] else ())
            self._emit(LeaseTaken(name, before))

    async def _learn_requests(self, target: Target) -> list[tuple[float, bool]]:
        """Requests that other hosts have reported since this one took the lease of an engine without a past."""
        return self._requests_in(target, await self._engine.learned(target.name))

    def _requests_in(self, target: Target, learned: Learned) -> list[tuple[float, bool]]:
        """Requests of other hosts that this one does not know: when each was answered (monotonic), whether it was expedited."""
        offset, steady, now = self._targets.offset, self._clock.steady(), self._clock.now()
        found = []
        for name, at in learned.requests:
            host, _, rest = name.partition("/")
            if host != self._store.host and name not in target.known:
                target.known.add(name)
                answered = min(at / 1000 - offset, steady)
                target.learned.append(RequestRecord(answered, rest.endswith("/1"), ""))
                found.append((now - (steady - answered), rest.endswith("/1")))
        return found

    def _count(self, target: Target, requests: Collection[tuple[float, bool]]) -> None:
        if requests:
            with suppress(KeyError):  # the lane has not started
                self._lanes.take_over(self._targets.names(target)[0], None, (), requests)

    async def _give_back(self, target: Target) -> None:
        target.lose()
        target.is_left = False
        for name in self._targets.names(target):
            returned = await self._journal.run(
                shared.return_foreign, self._store.here(target, name), self._clock.steady()
            )
            await self._journal.run(leftovers.release_held, self._store.here(target, name), self._clock.steady())
            self._lanes.leave(name)
            self._store.wakeups.refresh(name)
            self._emit(LeaseLost(name, target.holder, returned))

    async def _compare_epochs(self, target: Target, tended: Tended) -> bool:
        """In a new epoch of the engine, hand everything over again and give this host's account. Returns whether the epoch is new."""
        known = target.epoch
        if known == tended.epoch:
            return False
        now = self._clock.now()
        followed = bool(known) and now - target.heard_at < FOLLOWED_SECONDS
        account = partial(epochs.account, epoch=tended.epoch, followed=followed)
        since = self._clock.steady() - 2 * FOLLOWED_SECONDS
        in_flight, doubtful = await self._journal.run(account, self._store.host, target.name, since)
        self._exchange.handed.clear()
        target.places.clear()
        await self._store.reports.send(target, at_once=True)
        told = Account(
            tended.epoch,
            known if followed else "",
            target.sent_since(now - SENDERS_SECONDS),
            target.token or f"{self._store.host}:0",
            in_flight,
            doubtful,
        )
        await self.report(target)
        await self._engine.account(target.name, self._store.host, told)
        target.epoch = tended.epoch
        target.sends_alone |= tended.token == target.token != ""
        if known:
            has_memory = known.partition(".")[0] == tended.epoch.partition(".")[0]
            for name in self._targets.names(target):
                self._emit(EngineRestarted(name) if has_memory else EngineForgot(name))
            if not has_memory:
                self.forgot_at = now
                await self._journal.run(shared_view.note_loss, self._store.host, target.name)
        return True

    async def report(self, target: Target) -> None:
        """Report the requests of this host, which an engine that lost its memory, or was away, does not know."""
        since, offset = self._clock.steady() - LONGEST_WINDOW, self._targets.offset
        known = await self._journal.run(shared.requests, "", self._targets.names(target), since)
        requests = {
            name_of(self._store.host, number, expedited=expedited): int((at + offset) * 1000)
            for number, at, expedited in known
            if at is not None
        }
        await self._engine.report(target.name, requests)
