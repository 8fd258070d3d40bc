"""What happens at an instant: quiet hours begin and end, the delay of a route is over, an alert is due to be posted again.

One task sleeps until the nearest of these instants, or until something is held or scheduled that was not before; then `tick` does all that
is due. What is due is in the journal, so a tick that was interrupted is done by the next one, and a second tick does nothing.

    the quiet begins        what waits is held (`JournalStore.hold_back`)
    the configuration or    what is held is held under the present rules: until another time, or not any more
    the wall clock changes
    the quiet ends          one digest for each destination
    a delay is over         queued; superseded if the story has ended; or held by the quiet
    a repetition is due     queued once more; the fallback after the last one
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from math import inf

import trio

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.config import Config
from tocsind.errors import StorageFull
from tocsind.events import Emit, QuietEnded, Released, Repeated, Superseded, Unacknowledged
from tocsind.journal import FIRST, Journal, held, queries, queue, repeats
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.quiet import Hold, QuietHours, QuietRule
from tocsind.policy.quiet_digest import QuietDigest
from tocsind.policy.repeat import Step, step
from tocsind.policy.routes import chain
from tocsind.rendering.quiet_digest import quiet_digest

from .active_config import ActiveConfig
from .operator import Operator
from .quiet import Quiet
from .saved_state import RETRY_INTERVAL
from .settle import JournalStore
from .waiters import Waiters
from .wakeups import Wakeups

LONGEST_SLEEP = 600.0  # s; the machine may be suspended meanwhile
QUIET_SLEEP = 60.0  # s, with quiet hours: an operator may set the wall clock
CLOCK_STEP = 1.0  # s; a change of the wall clock by less moves no end of quiet hours


class Timekeeper:
    """`run` runs until cancelled; `tick` does what is due now."""

    def __init__(
        self,
        journal: Journal,
        config: ActiveConfig,
        quiet: Quiet,
        *,
        store: JournalStore,
        operator: Operator,
        waiters: Waiters,
        wakeups: Wakeups,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._journal = journal
        self._config = config
        self._quiet = quiet
        self._store = store
        self._operator = operator
        self._waiters = waiters
        self._wakeups = wakeups
        self._clock = clock
        self._emit = emit
        self._swept: tuple[QuietHours, float] | None = None  # the hours under which the queue was looked through
        self._reviewed: tuple[tuple[QuietRule, ...], float] | None = None  # as `_swept`, for what is held: rules, clock
        self._delays_reviewed: Config | None = None  # the configuration whose delays hold what is delayed

    async def run(self) -> None:
        """Sleep and tick. On a full disk the next tick does what this one could not write."""
        while True:
            changed = self._wakeups.schedule_changed
            try:
                await self.tick()
                wait = await self.seconds_to_next()
            except StorageFull:
                wait = RETRY_INTERVAL
            with trio.move_on_after(wait):
                await changed.wait()

    async def tick(self) -> None:
        """Do all that is due. Raises StorageFull."""
        await self._review()
        await self._hold_queued()
        await self._review_delays()
        await self._end_delays()
        await self._end_quiet()
        await self._repeat()

    async def seconds_to_next(self) -> float:
        """How long until something is due, or until the clock is looked at again."""
        next_ = await self._journal.run(held.next_instants)
        wall, steady = self._clock.wall(), self._clock.steady()
        waits = [
            at - now
            for at, now in ((next_.quiet, wall), (next_.delay, steady), (next_.repeat, steady))
            if at is not None
        ]
        longest = QUIET_SLEEP if self._config.current.quiet else LONGEST_SLEEP
        return max(0.0, min(longest, self._quiet.hours.next_change(wall) - wall, *waits, inf))

    # --- quiet hours ------------------------------------------------------------------------------------------------------

    async def _review(self) -> None:
        """Hold what is held until another time, or no longer, if the rules or the wall clock are not those of the last review."""
        rules, ahead = self._config.current.quiet, self._clock.steady() - self._clock.wall()
        known = self._reviewed
        if known is not None and known[0] == rules and abs(known[1] - ahead) < CLOCK_STEP:
            return
        after = FIRST
        while found := await self._journal.run(held.feed, after):
            await self._journal.run(held.hold_until, self._present_holds(found), self._clock.wall())
            after = found[-1].number
        self._reviewed = rules, ahead

    def _present_holds(self, deliveries: Sequence[Delivery]) -> dict[int, Hold | None]:
        return {each.number: self._quiet.hold(each.signal, each.priority) for each in deliveries}

    async def _hold_queued(self) -> None:
        """Hold what waits, once after the quiet has begun."""
        hours, wall = self._quiet.hours, self._clock.wall()
        period = hours, hours.next_change(wall)
        if self._swept == period:
            return
        if hours.is_on(wall):
            counts = await self._journal.run(queries.counts)
            for each in counts:
                if each.state == "queued":
                    await self._hold_queue(each.destination, each.priority)
        self._swept = period

    async def _hold_queue(self, destination: str, priority: Priority) -> None:
        after, most = FIRST, held.CHUNK
        while found := await self._journal.run(queue.feed, destination, priority, after, most):
            await self._store.hold_back(found)
            after = found[-1].number

    async def _end_quiet(self) -> None:
        while found := await self._journal.run(held.due, self._clock.wall()):
            holds = self._quiet.holds(found)  # by rules that follow, or have changed
            await self._journal.run(held.hold, holds, self._clock.steady())
            released = [each for each in found if each.number not in holds]
            await self._gather(released)
            await self._wake({each.destination for each in released})  # live messages, raw ones and digests are queued
        await self._journal.run(held.gather_expired, self._clock.wall(), self._clock.steady())
        for destination, digest in await self._journal.run(held.unfinished):
            await self._finish(destination, digest)

    async def _gather(self, deliveries: Iterable[Delivery]) -> None:
        by_destination = sorted(deliveries, key=lambda each: each.destination)
        for destination, group in groupby(by_destination, key=lambda each: each.destination):
            lane = self._wakeups.lanes.get(destination)
            about, numbers = lane.edits_at if lane else None, [each.number for each in group]
            await self._journal.run(held.gather, destination, numbers, about, self._clock.steady())

    async def _finish(self, destination: str, digest: int) -> None:
        """Queue a digest that has collected everything, and what was queued beside it."""
        collected, after = QuietDigest(), FIRST
        while found := await self._journal.run(held.members, digest, after):
            for delivery, has_expired, was_known in found:
                collected.add(delivery, has_expired=has_expired, was_known=was_known)
            after = found[-1][0].number
        id_ = await self._journal.run(held.id_of, digest)
        signal = Signal(**quiet_digest(collected, id_))
        await self._journal.run(held.finish, signal, collected.priority(), collected.signals, self._clock.steady())
        self._emit(QuietEnded(id_, destination, collected.signals))
        await self._wake([destination])

    # --- delays and repetitions -------------------------------------------------------------------------------------------

    async def _review_delays(self) -> None:
        """Hold what routes delay until another time, or no longer, once after the configuration has changed."""
        config, after = self._config.current, FIRST
        if self._delays_reviewed is config:
            return
        while found := await self._journal.run(held.feed_delayed, after):
            await self._journal.run(held.delay_until, self._quiet.delays(found), self._clock.steady())
            after = found[-1].number
        self._delays_reviewed = config

    async def _end_delays(self) -> None:
        while found := await self._journal.run(held.due_delays, self._clock.steady()):
            numbers, holds = [each.number for each in found], self._quiet.holds(found)
            ended = await self._journal.run(held.release_delayed, numbers, holds, self._clock.steady())
            for id_ in ended:
                self._emit(Superseded(id_))
                self._waiters.release(id_)
            for each in found:
                if each.id not in ended:
                    self._emit(Released(each.id, each.destination))
            await self._wake({each.destination for each in found})

    async def _repeat(self) -> None:
        while found := await self._journal.run(repeats.due, self._clock.steady(), held.CHUNK):
            later = self._quiet.holds(found)
            ahead = self._clock.steady() - self._clock.wall()
            await self._journal.run(repeats.postpone, {number: each.until + ahead for number, each in later.items()})
            found = [each for each in found if each.number not in later]
            steps = {each.number: self._step(each) for each in found}
            await self._journal.run(repeats.stop, [number for number, next_ in steps.items() if next_ is Step.STOP])
            again = [each for each in found if steps[each.number] is Step.AGAIN]
            await self._journal.run(repeats.again, [each.number for each in again], self._clock.steady())
            for each in again:
                self._emit(Repeated(each.id, each.destination, each.repeats + 1))
            await self._wake({each.destination for each in again})
            for each in found:
                if steps[each.number] is Step.FALLBACK:
                    await self._tell_fallback(each)

    def _step(self, delivery: Delivery) -> Step:
        options = self._config.current.destinations.get(delivery.destination)
        repeat = options.repeat if options else None
        return step(repeat, delivery.priority, delivery.repeats, delivery.deadline, self._clock.steady())

    async def _tell_fallback(self, delivery: Delivery) -> None:
        fallbacks = chain(delivery.destination, self._config.current.fallbacks)
        fallback = await self._journal.run(repeats.tell_fallback, delivery.number, fallbacks, self._clock.steady())
        self._emit(Unacknowledged(delivery.id, delivery.destination, delivery.repeats, fallback))
        if fallback:
            self._wakeups.wake(fallback)

    async def _wake(self, destinations: Collection[str]) -> None:
        """Deliveries of these destinations are queued; one that the configuration has lost sends them where the routes lead."""
        self._wakeups.rewind(destinations)
        self._wakeups.notify_deadline()
        if not set(destinations) <= self._config.current.destinations.keys():
            await self._operator.requeue_orphans()
