"""The one way out: lanes claim deliveries from the journal, and report how each attempt ended.

Law 3, settled before forgotten: `begin` returns after the commit that opens the attempt, and a lane may send only what it returns;
`settle` returns after the commit that closes the attempt, and repeats that commit for as long as the disk is full; `settle_and_begin`
does both in one commit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.errors import StorageFailed
from tocsind.events import (
    Ambiguous,
    Dead,
    Deferred,
    Digested,
    Edited,
    Emit,
    Expired,
    Held,
    Rerouted,
    Sent,
)
from tocsind.journal import (
    Connection,
    Journal,
    LaneState,
    LimitState,
    RequestStart,
    Reroute,
    SettledAttempt,
    attempts,
    digests,
    held,
    maintenance,
    queue,
    repeats,
    rerouting,
)
from tocsind.policy import delivery as law
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement, State
from tocsind.policy.outcomes import Outcome, is_unsent
from tocsind.policy.patience import Fitness, ranked
from tocsind.policy.quiet import Hold
from tocsind.policy.routes import chain
from tocsind.policy.sources import DAEMON_SOURCE
from tocsind.policy.story import ends_story
from tocsind.rendering.digest import digest

from .active_config import ActiveConfig
from .disk_guard import DiskGuard
from .quiet import Quiet
from .saved_state import SavedState
from .waiters import Waiters
from .wakeups import Wakeups

Withdrawn = Callable[[Mapping[int, str]], AbstractAsyncContextManager[Collection[int]]]  # `JournalStore.withdrawn`


class JournalStore(SavedState):
    """The lanes' store (`delivery.store.DeliveryStore`) in the journal. `jitter` draws from [0, 1) for the backoff."""

    def __init__(
        self,
        journal: Journal,
        config: ActiveConfig,
        *,
        disk_guard: DiskGuard,
        waiters: Waiters,
        wakeups: Wakeups,
        quiet: Quiet,
        clock: Clock,
        emit: Emit,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(journal, disk_guard, emit)
        self._config = config
        self._waiters = waiters
        self._wakeups = wakeups
        self._quiet = quiet
        self._clock = clock
        self._jitter = jitter

    # --- attempts -----------------------------------------------------------------------------------------------------

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next queued deliveries of a lane's priority, from number `after` on, at most so many."""
        return await self._journal.run(queue.feed, destination, priority, after, most)

    def gathering_seconds(self, destination: str) -> float:
        """None: no other host accepts deliveries of these lanes."""
        del destination
        return 0.0

    async def begin(self, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        """Claim deliveries and open an attempt for each. Only what is returned may be sent."""
        batch = await self.hold_back(batch)
        # each try reads the clock again: a deadline may pass while the disk is full
        return await self._retry_while_full(
            lambda: self._journal.run(attempts.begin, batch, asking, self._clock.steady())
        )

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        lane: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> list[Settlement]:
        """Record how attempts ended, with the state of lane and limits; the settlement of each delivery."""
        now = self._clock.steady()
        return await self._record(self._settled_attempts(batch, outcomes, retry, now), now, lane, scopes)

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
        """`settle` a batch and `begin` the following one in the same commit; the results of both.

        A claim that cannot read a row raises, and that ends the daemon. The outcomes are recorded all the same: without them the next run
        would send the batch again.
        """
        following = await self.hold_back(following)
        now = self._clock.steady()
        settled = self._settled_attempts(batch, outcomes, retry, now)
        job = partial(attempts.settle_and_begin, following=following, request=asking)
        try:
            moved, claimed = await self._retry_while_full(
                lambda: self._journal.run(job, settled, lane, scopes, now=self._clock.steady())
            )
        except StorageFailed:
            raise
        except Exception:
            await self._record(settled, now, lane, scopes)
            raise
        return self._announce(settled, moved, now), claimed

    async def _record(
        self, settled: Sequence[SettledAttempt], now: float, lane: LaneState | None, scopes: Sequence[LimitState]
    ) -> list[Settlement]:
        moved = await self._retry_while_full(lambda: self._journal.run(attempts.settle, settled, now, lane, scopes))
        return self._announce(settled, moved, now)

    async def hold_back(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Hold those of these queued deliveries that may not be posted in quiet hours; the others.

        A repetition is not held: it is due again when the quiet ends.
        """
        holds = self._quiet.holds(deliveries)
        if not holds:
            return deliveries
        ahead = self._clock.steady() - self._clock.wall()
        later = {
            each.number: holds.pop(each.number).until + ahead
            for each in deliveries
            if each.repeats > 0 and each.number in holds
        }
        await self._retry_while_full(lambda: self._journal.run(_hold, holds, later, self._clock.steady()))
        for each in deliveries:
            if each.number in holds:
                self._emit(Held(each.id, each.destination, holds[each.number].reason))
        self._wakeups.notify_schedule()
        return [each for each in deliveries if each.number not in holds and each.number not in later]

    async def replay(self) -> int:
        """Requeue what an earlier run left in flight, marked as possibly sent; the number of deliveries."""
        return await self._retry_while_full(lambda: self._journal.run(attempts.replay, self._clock.steady()))

    def _settled_attempts(
        self, batch: Sequence[Delivery], outcomes: Sequence[Outcome], retry: Retry, now: float
    ) -> list[SettledAttempt]:
        return [
            self._settled_attempt(delivery, outcome, retry, now)
            for delivery, outcome in zip(batch, outcomes, strict=True)
        ]

    def _settled_attempt(self, delivery: Delivery, outcome: Outcome, retry: Retry, now: float) -> SettledAttempt:
        settlement = law.settle(delivery, outcome, now=now, retry=retry, jitter=self._jitter())
        fallbacks = self._fallbacks(delivery.destination)
        repeat_at = self._repeat_at(delivery, now) if settlement.state is State.SENT else None
        return SettledAttempt(
            delivery, settlement, type(outcome).__name__.lower(), fallbacks, is_unsent(outcome), repeat_at
        )

    def _repeat_at(self, delivery: Delivery, now: float) -> float | None:
        """When to post this delivery again, unless it is acknowledged; None: its destination does not repeat it."""
        options = self._config.current.destinations.get(delivery.destination)
        if options is None or options.repeat is None or delivery.is_digest or ends_story(delivery.signal):
            return None
        every = options.repeat.every(delivery.priority)
        return None if every is None else now + every

    # --- events and wake-ups, after the commit --------------------------------------------------------------------------

    def _announce(self, settled: Sequence[SettledAttempt], moved: Sequence[Reroute], now: float) -> list[Settlement]:
        for attempt in settled:
            self._announce_outcome(attempt, now)
        self._announce_edit(settled)
        self._announce_moves(moved, "it could not be delivered there")
        if any(
            attempt.delivery.deadline is not None and attempt.settlement.state is not State.SENT for attempt in settled
        ):
            self._wakeups.notify_deadline()
        if any(attempt.repeat_at is not None for attempt in settled):
            self._wakeups.notify_schedule()
        return [attempt.settlement for attempt in settled]

    def _announce_outcome(self, attempt: SettledAttempt, now: float) -> None:
        delivery, settlement = attempt.delivery, attempt.settlement
        id_, destination, reason = delivery.id, delivery.destination, settlement.reason or ""
        origin = self._origin(delivery)
        match settlement.state:
            case State.SENT:
                age = now - delivery.waits_since
                message, shown = settlement.message, settlement.reason
                self._emit(Sent(id_, destination, delivery.attempts, age, message, shown, origin))
            case State.UNKNOWN:
                self._emit(Ambiguous(id_, destination, reason, origin))
            case State.DEAD:
                self._emit(Dead(id_, destination, reason, origin))
            case _:
                self._emit(Deferred(id_, destination, delivery.attempts, settlement.wait, reason))
        if settlement.state in law.SETTLED:
            self._release_waiters(delivery)

    def _origin(self, delivery: Delivery) -> str | None:
        """The host that accepted a delivery that was just settled; None: this one."""
        del delivery
        return None

    def _release_waiters(self, delivery: Delivery) -> None:
        if delivery.signal.source == DAEMON_SOURCE:  # it may be a digest
            self._waiters.release_all()
        else:
            self._waiters.release(delivery.id)

    def _announce_edit(self, settled: Sequence[SettledAttempt]) -> None:
        """One event for all deliveries that one edit of a live message delivered."""
        sent = [attempt.delivery for attempt in settled if attempt.settlement.state is State.SENT]
        if sent and (update := sent[0].update) and update.edits:
            self._emit(Edited(update.message.id, sent[0].destination, update.key, update.edits, len(sent)))

    def _announce_moves(self, moved: Sequence[Reroute], reason: str) -> None:
        for each in moved:
            if each.fallback is None:
                self._emit(Dead(each.id, each.destination, reason))
                self._waiters.release_all()
            else:
                self._emit(Rerouted(each.id, each.destination, each.fallback, reason))
        for name in {each.fallback for each in moved if each.fallback}:
            self._wakeups.wake(name)

    # --- fallbacks ------------------------------------------------------------------------------------------------------

    async def divert(self, destination: str, reason: str, among: Collection[int] | None = None) -> bool:
        """Move a chunk of a disabled destination's queue to its fallbacks, `among` these numbers. False when nothing could be moved."""
        fallbacks = self._fallbacks(destination)
        disabled = [name for name in fallbacks if self._fitness(name) is Fitness.DISABLED]
        if among is None and await self._return_to_origin(destination, reason):
            return True
        if not fallbacks:
            return False
        now = self._clock.steady()
        moved = await self._retry_while_full(
            lambda: self._journal.run(rerouting.divert, destination, fallbacks, reason, now, disabled, among)
        )
        self._announce_moves(moved, reason)
        return bool(moved)

    async def reroute(
        self,
        destination: str,
        over: Collection[Priority],
        reason: str,
        *,
        hurried: bool,
        among: Collection[int] | None = None,
    ) -> list[int]:
        """Move a chunk of a failing destination's queue: priorities in `over` to fallbacks that work, and with `hurried` also
        deliveries that came from another destination, back to it if it works again. The numbers of what was moved.
        """
        working = [name for name in self._fallbacks(destination) if self._fitness(name) is Fitness.WORKING]
        now = self._clock.steady()
        job = partial(rerouting.reroute, hurried=hurried, among=among)
        found = (
            await self._retry_while_full(lambda: self._journal.run(job, destination, over, working, reason, now))
            if working
            else []
        )
        self._announce_moves([moved for _, moved in found], reason)
        if hurried and not found and among is None:
            return await self._return_to_origin(destination, reason)
        return [number for number, _ in found]

    async def _return_to_origin(self, destination: str, reason: str) -> list[int]:
        """Return deliveries that were moved here because of patience to destinations that work again; the numbers of what was moved."""
        config = self._config.current
        origins = [name for name in config.destinations if destination in chain(name, config.fallbacks)]
        working = [name for name in origins if self._fitness(name) is Fitness.WORKING]
        if not working:
            return []
        now = self._clock.steady()
        found = await self._retry_while_full(
            lambda: self._journal.run(rerouting.return_to_origin, destination, working, reason, now)
        )
        self._announce_moves([moved for _, moved in found], reason)
        self._wakeups.rewind(moved.fallback for _, moved in found if moved.fallback)
        return [number for number, _ in found]

    def notify_lanes(self) -> None:
        """The fitness of one destination changed: every lane checks its fallbacks again."""
        self._wakeups.recheck_fallbacks()

    def _fallbacks(self, destination: str) -> tuple[str, ...]:
        """The fallbacks of a destination, the fittest first."""
        return ranked(chain(destination, self._config.current.fallbacks), self._fitness)

    def _fitness(self, destination: str) -> Fitness:
        """The fitness of the lane; before the lane has started, what the configuration says."""
        lane = self._wakeups.lanes.get(destination)
        if lane is not None:
            return lane.fitness()
        return Fitness.DISABLED if self._config.current.destinations[destination].disabled else Fitness.WORKING

    # --- housekeeping ---------------------------------------------------------------------------------------------------

    def withdrawn(self, deliveries: Mapping[int, str]) -> AbstractAsyncContextManager[Collection[int]]:
        """Before waiting deliveries (destination by number) end without an attempt: for the length of the block, those of them that may.
        None of these is in flight, and none leaves before the end of the block unless this host's own lane claims it.
        """
        return nullcontext(deliveries)

    async def expire(self) -> float | None:
        """Settle the deliveries whose deadline has passed; the next deadline, in seconds of the steady clock."""
        while await self._expire():
            pass
        return await self._journal.run(maintenance.next_deadline)

    async def _expire(self, among: Collection[int] | None = None) -> int:
        """Settle a chunk; how many."""
        expired = await self._retry_while_full(
            lambda: self._journal.run(maintenance.expire, self._clock.steady(), among)
        )
        for each in expired:
            self._emit(Expired(each.id, each.destination))
            self._waiters.release(each.id)
        return len(expired)

    async def delete_old(self) -> None:
        """Delete what has been settled for longer than `[daemon] ledger`."""
        before = self._clock.steady() - self._config.current.daemon.ledger
        while await self._retry_while_full(lambda: self._journal.run(maintenance.delete_old, before)):
            pass

    async def make_digest(self, destination: str, priority: Priority, most: int) -> int:
        """Replace the oldest deliveries of a queue, at most so many, by one digest; how many were replaced."""

        def make(deliveries: Sequence[Delivery]) -> Signal:
            return Signal(**digest(deliveries, priority.label))

        now = self._clock.steady()
        lane = self._wakeups.lanes.get(destination)
        about = lane.edits_at if lane else None
        made = await self._retry_while_full(
            lambda: self._journal.run(digests.make_digest, destination, priority, most, now, make, about)
        )
        if made is None:
            return 0
        self._emit(Digested(made.id, destination, priority.label, len(made.originals)))
        if lane:
            lane.refresh()
        return len(made.originals)


def _hold(connection: Connection, holds: Mapping[int, Hold], later: Mapping[int, float], now: float) -> None:
    held.hold(connection, holds, now)
    repeats.postpone(connection, later)
