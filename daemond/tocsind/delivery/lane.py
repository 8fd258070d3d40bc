"""A lane: the queue of one destination, and the tasks that send it. Four senders share one limiter, one breaker and one turn queue.

                    .-- sender URGENT --.
      journal ----->|-- sender HIGH   --|--> turn queue --> turn --> one batch of what the senders offer --> destination
                    |-- sender NORMAL --|
                    '-- sender LOW    --'

The parts: `condition` says how the lane is, `attempt` makes the requests of a turn, `feedback` applies the responses, `discovery` asks for
the channel, `rerouting` watches the outage. The lane's task runs one of them after the other: divert while disabled, discover when that is
wanted, else serve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.destinations import Destination
from tocsind.events import Disabled, Emit, Enabled
from tocsind.journal import LaneState
from tocsind.policy.breaker import Breaker, Phase
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.limiter import is_expedited
from tocsind.policy.live_message import Editing
from tocsind.policy.patience import Fitness

from .attempt import Attempts
from .batcher import Batcher
from .condition import Condition, condition_of
from .discovery import Discovery
from .feedback import Feedback
from .lane_view import LaneView, LimitsView, RefusalsView
from .limiters import LimiterRegistry
from .rerouting import Rerouting
from .sender import Sender
from .senders import Senders
from .store import DeliveryStore
from .turns import TurnQueue


class Lane:
    """One destination's lane. Call `restore` before `run`."""

    def __init__(  # noqa: PLR0917 - constructed in one place, `supervisor`
        self,
        options: DestinationOptions,
        destination: Destination,
        store: DeliveryStore,
        limiters: LimiterRegistry,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self.name = options.name
        self.options = options
        self.destination = destination
        self.clock = clock
        self.breaker = Breaker(options.breaker)
        self.disabled = options.disabled
        self.in_flight_since: float | None = None  # monotonic; None: no request is in flight
        self.request_began = 0.0  # monotonic; when the last request left
        self._store = store
        self._limiters = limiters
        self._emit = emit
        self.rerouting = Rerouting(self, store)
        self.feedback = Feedback(self, store, emit)
        self._discovery = Discovery(self)
        self._attempts = Attempts(self, store, limiters)
        self.batcher = Batcher(destination, self.breaker)
        self.senders = Senders()
        self._changed = trio.Event()  # replaced each time it is set; a disabled lane waits for it
        self._serving = trio.CancelScope()

    @property
    def edits_at(self) -> str | None:
        """Fingerprint of the destination at which live messages can be edited; None where they cannot."""
        return None if self.destination.editing is Editing.NONE else self.options.fingerprint

    def __repr__(self) -> str:
        return f"<Lane {self.name} {self.condition().word}>"

    # --- lifecycle ----------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Load what the last run saved. A new webhook under an old name starts without a past."""
        saved = await self._store.load_lane(self.name)
        if saved.about != self.options.fingerprint:
            saved = LaneState(self.name)
        self.limiter = await self._limiters.limiter(self.options)
        self.disabled = self.options.disabled or saved.disabled
        self._discovery.channel = saved.channel
        self.feedback.restore(saved)
        await self._join_turn_queue()

    async def run(self) -> None:
        """Serve until cancelled, then finish what is in flight and close the destination."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.rerouting.run)
                await self._run()
        finally:
            with trio.CancelScope(shield=True):
                await self.destination.aclose()

    async def _run(self) -> None:
        while True:
            if self.disabled is not None:
                await self._divert(self.disabled)
            elif self._discovery.wanted:
                await self._discover()
            else:
                await self._serve()

    async def _discover(self) -> None:
        before = self.state()
        await self._discovery.discover()
        await self._join_turn_queue()
        after, learned = self.state(), self._limiters.changed_limits()
        if after != before or learned:
            await self._store.save(after, learned)

    async def _join_turn_queue(self) -> None:
        self.turns: TurnQueue = await self._limiters.turn_queue(self.options, self._discovery.channel)
        self.limiter.channel = self.turns.limit

    async def _serve(self) -> None:
        self.senders = Senders(Sender(self, priority) for priority in Priority)
        self.batcher = Batcher(self.destination, self.breaker)
        with trio.CancelScope() as self._serving:
            # Each sender reads before the first one sends, or a LOW delivery could be sent before an URGENT one.
            for sender in self.senders:
                await sender.read_window()
            async with trio.open_nursery() as nursery:
                for sender in self.senders:
                    nursery.start_soon(sender.feed)
                    nursery.start_soon(sender.send)
        self.senders = Senders()

    async def _divert(self, reason: str) -> None:
        changed = self._changed
        if not await self._store.divert(self.name, reason):
            await changed.wait()

    def adopt_channel(self, channel: str | None) -> None:
        """Another host knows this channel: use it, unless the server says otherwise now."""
        if channel is not None and channel != self._discovery.channel:
            self._discovery.channel = channel
            self.rediscover()

    def rediscover(self) -> None:
        """Ask for the channel again; what is in flight finishes first."""
        self._discovery.wanted = True
        self._serving.cancel()

    def refresh(self) -> None:
        """Deliveries that wait have changed: read all windows again; what is in flight finishes first."""
        self._serving.cancel()

    def wake(self, priority: Priority) -> None:
        """The journal has a new delivery of this priority."""
        self.rerouting.arrived()
        if self.senders:
            self.senders[priority].wake()
        else:
            self._notify_change()

    def rewind(self) -> None:
        """The journal queued deliveries again: read it from the beginning."""
        self.rerouting.arrived()
        self.senders.rewind()
        self._notify_change()

    def recheck_fallbacks(self) -> None:
        """The fitness of another destination has changed: deliveries that wait for a fallback may move now."""
        self.rerouting.recheck()
        self._notify_change()

    def abandon(self) -> None:
        """Do not wait for the request in flight: its attempt stays open in the journal."""
        self._attempts.abandon()

    async def enable(self) -> None:
        """The operator says that the destination works. A destination that the configuration disables stays disabled."""
        self.disabled, self._discovery.wanted = self.options.disabled, True
        self.feedback.reset()
        self.limiter.unblock()
        await self.save()
        self._emit(Enabled(self.name))
        self._notify_change()
        self._limiters.notify_all()
        self._store.notify_lanes()

    def _notify_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- for senders --------------------------------------------------------------------------------------------------

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next queued deliveries of this priority, at most `most`, after this number."""
        return await self._store.feed(self.name, priority, after, most)

    def on_arrival(self, delivery: Delivery) -> None:
        """A sender has read a delivery. One that it reads again is no second demand, so the demand has the instant since when it waits."""
        if is_expedited(delivery.priority):
            self.limiter.note_demand(self.clock.now() - self._waited(delivery))
        self.turns.notify()

    def on_window_read(self) -> None:
        """A sender has read its window, or found the journal's queue empty."""
        self.turns.notify()
        self.rerouting.arrived()

    async def acquire_turn(self, sender: Sender) -> bool:
        """Wait for the turn of this sender; False when other senders' batches took all that it had."""
        return await self.turns.acquire(sender)

    def ready_at(self, now: float, priority: Priority) -> float:
        """As `opens_at`; infinity while a higher priority still reads the journal, or while these deliveries are about to move."""
        if self.rerouting.is_rerouting(now, priority) or self.senders.expects_more_above(priority):
            return inf
        return self.opens_at(now, priority)

    def opens_at(self, now: float, priority: Priority) -> float:
        """When limiter and breaker allow a batch whose first delivery has this priority."""
        full = self._is_full(priority)
        opens = max(self.limiter.ready_at(now, priority, full=full), self.breaker.ready_at(now))
        return opens if full else max(opens, self._gathered_at(now))

    def _gathered_at(self, now: float) -> float:
        """When a message that is not full has waited long enough for alerts that other hosts accepted at the same time."""
        seconds = self._store.gathering_seconds(self.name)
        offers = [each for sender in self._senders_in_batch() for each in sender.offers(1)] if seconds else []
        return now + min((seconds - self._waited(each) for each in offers), default=0.0)

    def _waited(self, delivery: Delivery) -> float:
        """Seconds since when a delivery could be sent."""
        return max(0.0, self.clock.steady() - delivery.waits_since)

    def _is_full(self, priority: Priority) -> bool:
        return is_expedited(priority) or self.batcher.is_full(self._senders_in_batch())

    def _senders_in_batch(self) -> list[Sender]:
        """The senders whose deliveries may be part of the next batch."""
        now = self.clock.now()
        return [sender for sender in self.senders if not self.rerouting.is_rerouting(now, sender.priority)]

    async def attempt(self) -> None:
        """Make the requests of one turn, then release the turn."""
        try:
            await self._attempts.run()
        finally:
            self.breaker.release(self.clock.now())
            self.turns.release()
            self.rerouting.arrived()  # deliveries that failed may have to move

    async def send_unrecorded(self, delivery: Delivery) -> bool:
        """Send one alarm for which the journal has no room; whether it arrived. False at once when no request may leave now."""
        now = self.clock.now()
        if self.disabled is not None or self.opens_at(now, delivery.priority) > now:
            return False
        return await self._attempts.send_unrecorded(delivery)

    @contextmanager
    def in_flight_timer(self) -> Iterator[None]:
        """Measure how long a request is in flight."""
        self.in_flight_since = self.request_began = self.clock.now()
        try:
            yield
        finally:
            self.in_flight_since = None

    def load_batch(self) -> list[Delivery]:
        """Take the next batch from the senders; empty when all of it is about to move to a fallback."""
        return self.batcher.load(self._senders_in_batch())

    def measure_batch(self) -> None:
        """Measure what would be the next batch, so that it can be formed at once."""
        self.batcher.is_full(self._senders_in_batch())

    def may_continue(self) -> bool:
        """Whether the turn stays here for another request: the limiter allows it, and no other sender could have the turn."""
        if self._serving.cancel_called:
            return False
        now = self.clock.now()
        lead = self.senders.lead()
        return lead is not None and self.ready_at(now, lead) <= now and self.turns.stays()

    def on_arrived(self) -> None:
        """All or part of a batch arrived: the destination works, so ask for its channel again if that is due."""
        if self._discovery.is_due():
            self.rediscover()

    def retry_deferred_now(self) -> None:
        """Make all deferred deliveries due: the destination answers again."""
        self.senders.retry_deferred_now()

    async def probe_by_query(self) -> None:
        """Send a query in place of a delivery; a failure counts as a failed probe."""
        if await self._discovery.probe():
            await self.save()

    def disable(self, reason: str) -> None:
        """Send nothing more until an operator enables the lane; what is in flight finishes."""
        self.disabled = reason
        self._emit(Disabled(self.name, reason))
        self._serving.cancel()

    async def save(self) -> None:
        """Save what the next run of the daemon must know."""
        await self._store.save(self.state(), self._limiters.changed_limits())

    def state(self) -> LaneState:
        """What the next run of the daemon must know."""
        return msgspec.structs.replace(
            self.feedback.state(),
            about=self.options.fingerprint,
            disabled=None if self.options.disabled else self.disabled,
            channel=self._discovery.channel,
        )

    # --- for observers ------------------------------------------------------------------------------------------------

    def is_idle(self) -> bool:
        """Whether no request is in flight and no delivery waits: then no delivery will show whether the destination works."""
        return self.in_flight_since is None and self.senders.is_idle()

    def moved(self, numbers: Collection[int]) -> None:
        """These deliveries moved to a fallback."""
        self.senders.remove(numbers)

    def notify(self) -> None:
        """Let all waiting senders check again whether they may send."""
        self.turns.notify()

    def fitness(self) -> Fitness:
        """Whether the destination can take over for another one."""
        if self.disabled is not None:
            return Fitness.DISABLED
        return Fitness.WORKING if self.rerouting.works() else Fitness.FAILS

    def drain_rate(self) -> float:
        """Deliveries per second that NORMAL and LOW can expect, if each batch is as large as the last full one."""
        return self.limiter.rate(self.clock.now()) * self.batcher.max_items

    def snapshot(self) -> LaneView:
        """The lane at this instant, for observers."""
        refusals = self.feedback.refusals
        return LaneView(
            name=self.name,
            kind=self.options.kind,
            condition=self.condition(),
            disabled=self.disabled,
            excluded=self.options.disabled,
            fallbacks=self.options.fallback,
            fitness=self.fitness(),
            failing_for=self.feedback.failing_for(),
            breaker_ready=self.breaker.phase is Phase.READY,
            outage=self.rerouting.snapshot(),
            limits=self._limits_view(),
            refusals=RefusalsView(refusals.alerts, refusals.reason, refusals.is_all),
            trips=self.feedback.trips,
            note=self.feedback.note,
            edits_at=self.edits_at,
            editing=self.destination.editing,
            turn_queue=self.turns.name,
            turns=self.turns.turns,
            turn_taken=self.turns.busy,
            in_flight_for=None if self.in_flight_since is None else self.clock.now() - self.in_flight_since,
            deadline=self.options.deadline,
            senders=tuple(sender.snapshot() for sender in self.senders),
        )

    def preview(self, delivery: Delivery) -> dict[str, Any]:
        """The request that would carry this delivery alone, for people; nothing is sent."""
        return self.destination.preview([delivery])

    def _limits_view(self) -> LimitsView:
        now, address = self.clock.now(), self.limiter.address
        return LimitsView(
            windows=tuple(self.limiter.windows(now)),
            ready_in={each: self.opens_at(now, each) - now for each in Priority},
            waits_for={each: self.limiter.wait_reason(now, each, full=self._is_full(each)) for each in Priority},
            blocked_for=self.limiter.blocked_for(now),
            host_block=address.blocked_because if address.block_ends(now) > now else None,
        )

    def condition(self) -> Condition:
        """The lane's state in one word."""
        lead = self.senders.lead() or Priority.URGENT
        outage = self.rerouting.reason if self.rerouting.is_over() else None
        now = self.clock.now()
        return condition_of(now, self.disabled, self.breaker, self.limiter, lead=lead, rerouted_for=outage)
