"""A lane: all that waits for one destination. Four senders, one gate, one breaker, one channel in which it takes its turns.

                    .-- sender URGENT --.
      journal ----->|-- sender HIGH   --|--> the channel's line --> turn --> one message of what they offer --> deliver
                    |-- sender NORMAL --|
                    '-- sender LOW    --'

The conditions, and who says so:

      ready       both gate and breaker answer "now"
      limited     the gate is closed: we chose to wait (a rate)
      failing     the breaker is open, or they failed for longer than patience has: signals take the fallback
      probing     one delivery is out to see whether they are back
      disabled    told never to come back, or never set up; a person enables it. Meanwhile its queue goes to the fallback; without
                  one it stays where it is

Before it serves it asks where its destination leads: those who share a channel share its limits, and one that leads nowhere is disabled
before its first alert. When that cannot be asked just now it goes by what it knew, and asks again once something got through.

A turn is taken by `admit` and given back by `attempt`. It brings one request, from the claim to the settlement in one piece; and another
one when all of it arrived, more may go at once, and no other sender waits that could: then one commit holds the settlement and the next
claim.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.destinations import Destination
from tocsind.events import BreakerOpened, DestinationNote, Disabled, Emit, Enabled, ProbeFailed, RateLimited, Recovered
from tocsind.journal import LaneState, RequestStart
from tocsind.policy.breaker import Breaker, Phase, SavedBreaker
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.gate import is_expedited
from tocsind.policy.outcomes import (
    Cause,
    ChannelInfo,
    Deferred,
    Delivered,
    Outcome,
    Reach,
    Refused,
    Report,
    Unknown,
    is_unsent,
)
from tocsind.policy.patience import Fitness
from tocsind.policy.refusals import Refusals
from tocsind.secret import redacted_struct

from .batcher import Batcher
from .lane_view import Condition, LaneView, LimitsView, RefusalsView
from .limiters import LimiterRegistry
from .rerouting import Rerouting
from .sender import Sender
from .store import DeliveryStore
from .turns import TurnQueue

DISCOVER_INTERVAL = 60.0  # seconds between two tries to find the channel


class SenderTurn:
    """A sender in its channel's line."""

    def __init__(self, lane: Lane, sender: Sender) -> None:
        self.priority = sender.priority
        self.wants = sender.has_work
        self._lane = lane

    def ready_at(self, now: float) -> float:
        return self._lane.ready_at(now, self.priority)


class Lane:
    """One destination's lane; `restore` before `run`."""

    def __init__(  # noqa: PLR0917 - put together in one place, by `lanes`
        self,
        options: DestinationOptions,
        destination: Destination,
        books: DeliveryStore,
        gates: LimiterRegistry,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self.name = options.name
        self.options = options
        self.destination = destination
        self.clock = clock
        self.breaker = Breaker(options.breaker)
        self.disabled = options.disabled
        self.trips = 0
        self.in_flight_since: float | None = None  # when what is with the far end left us, on the monotonic clock
        self.note: str | None = None  # what its answers show and people should know
        self.refusals = Refusals()
        self._channel_id: str | None = None  # the channel, as the far end calls it
        self._must_discover = True
        self._discover_at: float | None = None  # when to ask for it again, if it is not known
        self._store = books
        self._limiters = gates
        self._emit = emit
        self.rerouting = Rerouting(self, books)
        self._batcher = Batcher(destination, self.breaker)
        self._senders: dict[Priority, Sender] = {}
        self._changed = trio.Event()  # replaced each time it is set: for whoever waits while disabled
        self._serving = trio.CancelScope()
        self._in_flight = trio.CancelScope()
        self._lead = Priority.LOW  # of what was claimed last

    @property
    def edits_at(self) -> str | None:
        """Which far end its living messages are at; None: what was told there cannot be edited."""
        return self.options.fingerprint if self.destination.edits else None

    def __repr__(self) -> str:
        return f"<Lane {self.name} {self.condition().word}>"

    # --- its life -----------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Go on where the last run stood."""
        memory = await self._store.load_lane(self.name)
        if memory.about != self.options.fingerprint:
            memory = LaneState(self.name)
        self.limiter = await self._limiters.limiter(self.options)
        self.trips, self.refusals, self._channel_id = memory.trips, Refusals(memory.strikes), memory.channel
        self.disabled = self.options.disabled or memory.disabled
        rest_left = None if memory.rest_until is None else memory.rest_until - self.clock.steady()
        self.breaker.restore(SavedBreaker(memory.failures, memory.rests, rest_left, memory.reason), self.clock.now())
        if memory.failing_since is not None:
            since = self.clock.now() - max(0.0, self.clock.steady() - memory.failing_since)
            reason, fails = memory.failing_because or "as before the restart", memory.failures + memory.rests > 0
            self.rerouting.outage.restore(since, reason, fails=fails)
        await self._join_turn_queue()

    async def run(self) -> None:
        """Serve, or divert while disabled, until cancelled."""
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
            elif self._must_discover:
                await self._discover()
            else:
                await self._serve()

    async def _discover(self) -> None:
        """Ask where the destination leads, unless the far end has shut us out."""
        before = self.state()
        self._must_discover, self._discover_at = False, self.clock.now() + DISCOVER_INTERVAL
        if await self._may_query():
            self._on_discovered(await self._query_channel())
        await self._join_turn_queue()
        after, learned = self.state(), self._limiters.changed_limits()
        if after != before or learned:
            await self._store.save(after, learned)

    async def _may_query(self) -> bool:
        """Wait until this host may ask one more; False when it may ask nothing."""
        address = self.limiter.address
        while (when := address.ready_at(self.clock.now())) > self.clock.now():
            if address.is_blocked(self.clock.now()):
                return False
            await trio.sleep_until(when)
        return True

    async def _query_channel(self) -> ChannelInfo:
        address, place = self.limiter.address, ChannelInfo()
        address.acquire(self.clock.now(), pressing=True)
        try:
            with self._in_flight_timer():
                place = redacted_struct(await self.destination.discover())
        finally:
            if is_unsent(place.problem):
                address.cancel(pressing=True)
            else:
                address.release(self.clock.now(), pressing=True)
        address.on_response(self.clock.now(), invalid=place.invalid)
        return place

    def _on_discovered(self, place: ChannelInfo) -> None:
        match place.problem:
            case None:
                self._channel_id, self._discover_at = place.channel, None
            case Refused(reason=reason, disable=True):
                self._disable(reason)
            case Deferred(cause=Cause.LIMITED):
                self._on_limited(place.problem)

    async def _join_turn_queue(self) -> None:
        self.turns: TurnQueue = await self._limiters.turn_queue(self.options, self._channel_id)
        self.limiter.channel = self.turns.scope

    async def _serve(self) -> None:
        self._senders = {priority: Sender(self, priority) for priority in Priority}
        self._batcher = Batcher(self.destination, self.breaker)
        with trio.CancelScope() as self._serving:
            for sender in self._senders.values():
                await (
                    sender.read_window()
                )  # all of them before the first may send, or it would be anybody's race who does
            async with trio.open_nursery() as nursery:
                for sender in self._senders.values():
                    nursery.start_soon(sender.feed)
                    nursery.start_soon(sender.send)
        self._senders = {}

    async def _divert(self, reason: str) -> None:
        changed = self._changed
        if not await self._store.divert(self.name, reason):
            await changed.wait()

    def rediscover(self) -> None:
        """Ask anew where the destination leads; what is in flight finishes first."""
        self._must_discover = True
        self._serving.cancel()

    def refresh(self) -> None:
        """What waits is not what it was: forget the window, and read it anew; what is in flight finishes first."""
        self._serving.cancel()

    def wake(self, priority: Priority) -> None:
        """There is something new for this priority."""
        self.rerouting.arrived()
        if priority in self._senders:
            self._senders[priority].wake()
        else:
            self._notify_change()

    def rewind(self) -> None:
        """Something old was queued again."""
        self.rerouting.arrived()
        for sender in self._senders.values():
            sender.rewind()
        self._notify_change()

    def recheck_fallbacks(self) -> None:
        """Another destination can do what it could not, or the other way round: what waits for a fallback may move now."""
        self.rerouting.recheck()
        self._notify_change()

    def abandon(self) -> None:
        """Do not wait for what is in flight: it stays open on record."""
        self._in_flight.cancel()

    async def enable(self) -> None:
        """A person says that the destination is back. What the configuration switched off stays so."""
        self.disabled, self._must_discover = self.options.disabled, True
        self.refusals.on_delivered()
        self.breaker.succeeded()
        self.rerouting.outage.on_answer()
        self.limiter.unblock()
        await self.save()
        self._emit(Enabled(self.name))
        self._notify_change()
        self._limiters.notify_all()
        self._store.notify_lanes()

    def _notify_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- what a sender asks --------------------------------------------------------------------------------------------

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next of this lane's queue."""
        return await self._store.feed(self.name, priority, after, most)

    def on_arrival(self, priority: Priority) -> None:
        """There is more to send."""
        if is_expedited(priority):
            self.limiter.note_demand(self.clock.now())
        self.turns.notify()

    def on_window_read(self) -> None:
        """A sender has seen what there is."""
        self.turns.notify()
        self.rerouting.arrived()  # or that there is nothing

    async def acquire_turn(self, sender: Sender) -> bool:
        """Wait for this sender's turn, and take it; False when others took along what it had."""
        return await self.turns.acquire(SenderTurn(self, sender))

    def ready_at(self, now: float, priority: Priority) -> float:
        """As `opens_at`, once nothing more pressing is about to be seen, which would lead it, and nothing of it is about to move."""
        if self.rerouting.is_rerouting(now, priority):
            return inf
        if any(sender.may_hold_more() for other, sender in self._senders.items() if other < priority):
            return inf
        return self.opens_at(now, priority)

    def opens_at(self, now: float, priority: Priority) -> float:
        """When gate and breaker open for a message that this priority leads."""
        return max(self.limiter.ready_at(now, priority, full=self._is_full(priority)), self.breaker.ready_at(now))

    def limit_reason(self, now: float, priority: Priority) -> str | None:
        """Why the gate does not open now, in words for people."""
        return self.limiter.wait_reason(now, priority, full=self._is_full(priority))

    def _is_full(self, priority: Priority) -> bool:
        return is_expedited(priority) or self._batcher.is_full(self._senders_in_batch())

    def _senders_in_batch(self) -> list[Sender]:
        """The senders whose deliveries may go into the next message."""
        now = self.clock.now()
        return [each for priority, each in self._senders.items() if not self.rerouting.is_rerouting(now, priority)]

    async def attempt(self) -> None:
        """One message, and further ones as long as the turn stays here; then the turn is given back."""
        try:
            claimed = await self._begin()
            while claimed:
                claimed = await self._send(claimed)
        finally:
            self.breaker.release(self.clock.now())
            self.turns.release()
            self.rerouting.arrived()  # what failed may have to move

    async def _begin(self) -> list[Delivery]:
        """Claim the first message of a turn."""
        with trio.CancelScope(shield=True) as self._in_flight:
            if batch := self._batcher.load(self._senders_in_batch()):  # else all of it is about to move
                return self._claimed(batch, await self._store.begin(batch, self._asking(batch)))
        return []

    async def _send(self, claimed: Sequence[Delivery]) -> list[Delivery]:
        """Send what was claimed and settle it: leaving finishes both, bounded by the destination's deadline. Answers what was claimed to
        follow it.
        """
        report: Report | None = None
        with trio.CancelScope(shield=True) as self._in_flight, self._in_flight_timer():
            report = redacted_struct(await self.destination.deliver(claimed))
        if report is None:  # abandoned: it stays open on record
            return []
        is_leaving = trio.current_effective_deadline() == -inf
        with trio.CancelScope(shield=True) as self._in_flight:
            return await self._settle(claimed, report, goes_on=not is_leaving)
        return []

    async def send_unrecorded(self, delivery: Delivery) -> bool:
        """Send one alarm that the journal has no room for; whether it arrived. False at once where it could not leave now.

        This is the one request that is not on record before it leaves: a crash meanwhile may bring the alarm twice.
        """
        now = self.clock.now()
        if self.disabled is not None or self.opens_at(now, delivery.priority) > now:
            return False
        self.limiter.acquire(now, delivery.priority)
        report = redacted_struct(await self.destination.deliver([delivery]))
        self.limiter.on_response(self.clock.now(), delivery.priority, report)
        return isinstance(report.outcomes[0], Delivered)

    @contextmanager
    def _in_flight_timer(self) -> Iterator[None]:
        """Meanwhile the far end has something of ours."""
        self.in_flight_since = self.clock.now()
        try:
            yield
        finally:
            self.in_flight_since = None

    def _asking(self, batch: Sequence[Delivery]) -> RequestStart:
        """The request counts from before the claim: other lanes share our scopes, and would count on it meanwhile."""
        self._lead = batch[0].priority
        self.limiter.acquire(self.clock.now(), self._lead)
        return RequestStart(self.name, self.turns.name, is_expedited(self._lead), self.edits_at)

    def _claimed(self, batch: Sequence[Delivery], claimed: list[Delivery]) -> list[Delivery]:
        """What may be sent of a batch; the senders forget the rest."""
        numbers = {delivery.number for delivery in claimed}
        for delivery in batch:
            if delivery.number not in numbers:
                self._senders[delivery.priority].forget(delivery)
        if claimed:
            self.breaker.acquire()
        else:
            self.limiter.cancel(self._lead)
        return claimed

    async def _settle(self, batch: Sequence[Delivery], report: Report, *, goes_on: bool) -> list[Delivery]:
        """Learn from what came back, write it down, and tell the senders. Claims what may follow, in the same commit."""
        before = self.state()
        self.limiter.on_response(self.clock.now(), self._lead, report)
        self._on_report(report.note)
        for outcome in dict.fromkeys(report.outcomes):  # one request teaches once, however many deliveries it carried
            both = zip(batch, report.outcomes, strict=True)
            self._apply_report(outcome, [_single_alert(delivery) for delivery, each in both if each == outcome])
        after = self.state()
        ended = (
            batch,
            report.outcomes,
            self.options.retry,
            after if after != before else None,
            self._limiters.changed_limits(),
        )
        following, claimed = self._following(report) if goes_on else [], list[Delivery]()
        if following:
            asking = self._asking(following)
            settlements, found = await self._store.settle_and_begin(*ended, following=following, asking=asking)
            claimed = self._claimed(following, found)
        else:
            settlements = await self._store.settle(*ended)
        for delivery, settlement in zip(batch, settlements, strict=True):
            self._batcher.forget_shares(delivery.number)
            self._senders[delivery.priority].requeue(delivery, settlement)
        return claimed

    def _following(self, report: Report) -> list[Delivery]:
        """The next message, if it may go at once: all of the last one arrived, and no other sender could have the turn."""
        if self._serving.cancel_called or not all(isinstance(each, Delivered) for each in report.outcomes):
            return []
        now = self.clock.now()
        lead = min((priority for priority, sender in self._senders.items() if sender.has_work()), default=None)
        if lead is None or self.ready_at(now, lead) > now or not self.turns.stays():
            return []
        return self._batcher.load(self._senders_in_batch())

    # --- learning ------------------------------------------------------------------------------------------------------

    def _apply_report(self, outcome: Outcome, alerts: Sequence[str]) -> None:
        match outcome:
            case Deferred(reason=reason, cause=Cause.FAILED) | Unknown(reason=reason):
                self._on_failure(reason, doubt=isinstance(outcome, Unknown) or outcome.ambiguous)
            case Deferred(cause=Cause.LIMITED):
                self._on_limited(outcome)
            case Refused(reason=reason):
                self.rerouting.answered()
                self._on_answer()
                if why := reason if outcome.disable else self.refusals.on_refused(outcome, alerts):
                    self._disable(why)
            case Deferred() | Delivered():
                self.rerouting.answered()
                self._on_answer()
        if isinstance(outcome, Delivered):
            self.refusals.on_delivered()
            if self._discover_at is not None and self.clock.now() >= self._discover_at:
                self.rediscover()

    def _on_report(self, note: str | None) -> None:
        """Tell people once."""
        if note is not None and note != self.note:
            self.note = note
            self._emit(DestinationNote(self.name, note))

    def _on_answer(self) -> None:
        if self.breaker.succeeded():
            self._emit(Recovered(self.name))
            for sender in self._senders.values():
                sender.retry_deferred_now()  # or what is most pressing would wait out its backoff while the rest goes

    def _on_failure(self, reason: str, *, doubt: bool = False) -> None:
        now, probing = self.clock.now(), self.breaker.phase is Phase.PROBING
        self.rerouting.outage.on_failure(now, reason)
        if self.breaker.failed(now, reason, doubt=doubt):
            self.trips += 1
            self._emit(BreakerOpened(self.name, reason, self.breaker.until - now))
        elif probing:
            self._emit(ProbeFailed(self.name, reason, self.breaker.until - now))

    def _on_limited(self, outcome: Deferred) -> None:
        self.rerouting.outage.on_block(self.clock.now(), outcome.reason)
        self._emit(RateLimited(self.name, outcome.reason, self.limiter.on_limited(self.clock.now(), outcome)))
        if outcome.reach in {Reach.CHANNEL, Reach.KIND}:
            self._store.notify_lanes()

    def _on_recovery(self) -> None:
        """A question was answered: what waits is tried at once, and the next delivery shows whether it works."""
        if self.rerouting.outage.is_on:
            self.rerouting.outage.on_recovery(self.clock.now())
            self._on_answer()

    async def probe_by_query(self) -> None:
        """Ask the far end a question in place of a delivery; its failure is that of a probe."""
        if not await self._may_query():
            self.rerouting.outage.on_retry_scheduled(self.clock.now())
            return
        self.breaker.acquire()
        try:
            self._on_query_answer(await self._query_channel())
        finally:
            self.breaker.release(self.clock.now())
        await self.save()

    def _on_query_answer(self, place: ChannelInfo) -> None:
        match place.problem:
            case None if place.answered:
                self._on_recovery()
            case None:  # it cannot be asked: the next delivery is the probe
                self.rerouting.outage.on_recovery(self.clock.now())
            case Deferred(cause=Cause.LIMITED) | Refused(disable=True):
                self._on_discovered(place)
            case Deferred(reason=reason) | Refused(reason=reason) | Unknown(reason=reason):
                self._on_failure(reason)

    def _disable(self, reason: str) -> None:
        self.disabled = reason
        self._emit(Disabled(self.name, reason))
        self._serving.cancel()

    async def save(self) -> None:
        """Keep what must be known after a restart."""
        await self._store.save(self.state(), self._limiters.changed_limits())

    def state(self) -> LaneState:
        """What the next run must know."""
        breaker, outage = self.breaker.saved(self.clock.now()), self.rerouting.outage
        return LaneState(
            destination=self.name,
            about=self.options.fingerprint,
            disabled=None if self.options.disabled else self.disabled,
            failures=breaker.failures,
            rests=breaker.rests,
            rest_until=None if breaker.rest_left is None else self.clock.steady() + breaker.rest_left,
            reason=breaker.reason,
            trips=self.trips,
            strikes=self.refusals.strikes,
            channel=self._channel_id,
            failing_since=self.clock.steady() - outage.duration(self.clock.now()) if outage.is_on else None,
            failing_because=outage.reason if outage.is_on else None,
        )

    # --- how it is -----------------------------------------------------------------------------------------------------

    @property
    def senders(self) -> Collection[Sender]:
        """Those who serve; none while it is disabled, or finds out where it leads."""
        return self._senders.values()

    def is_idle(self) -> bool:
        """Whether nothing is with the far end, and nothing waits here that could show whether it works."""
        served = bool(self._senders) and self.in_flight_since is None
        return served and all(sender.is_idle() for sender in self._senders.values())

    def moved(self, numbers: Collection[int]) -> None:
        """These deliveries went to a fallback."""
        for sender in self._senders.values() if numbers else ():
            sender.moved(numbers)

    def notify(self) -> None:
        """Let all in line look again whether they may send."""
        self.turns.notify()

    def fitness(self) -> Fitness:
        """How fit it is to stand in for another destination."""
        if self.disabled is not None:
            return Fitness.DISABLED
        return Fitness.WORKING if self.rerouting.works() else Fitness.FAILS

    def blocked_for(self) -> float:
        """Seconds that the far end has told us to wait."""
        return self.limiter.blocked_for(self.clock.now())

    def failing_for(self) -> float:
        """Seconds since the first failure in a row, while the breaker is open; else 0."""
        if self.breaker.phase is Phase.READY:
            return 0.0
        now, since = self.clock.now(), self.rerouting.outage.since
        return now - (now if since is None else since)

    def drain_rate(self) -> float:
        """Deliveries a second that the less pressing may count on: as many a message as the last full one carried."""
        return self.limiter.rate(self.clock.now()) * self._batcher.max_items

    def snapshot(self) -> LaneView:
        """The lane at this instant, for observers."""
        return LaneView(
            name=self.name,
            kind=self.options.kind,
            condition=self.condition(),
            disabled=self.disabled,
            excluded=self.options.disabled,
            fallbacks=self.options.fallback,
            fitness=self.fitness(),
            failing_for=self.failing_for(),
            breaker_ready=self.breaker.phase is Phase.READY,
            outage=self.rerouting.snapshot(),
            limits=self._limits_view(),
            refusals=RefusalsView(self.refusals.alerts, self.refusals.reason, self.refusals.is_all),
            trips=self.trips,
            note=self.note,
            edits_at=self.edits_at,
            turn_queue=self.turns.name,
            turns=self.turns.turns,
            turn_taken=self.turns.busy,
            in_flight_for=None if self.in_flight_since is None else self.clock.now() - self.in_flight_since,
            deadline=self.options.deadline,
            senders=tuple(sender.snapshot() for sender in self._senders.values()),
        )

    def preview(self, delivery: Delivery) -> dict[str, Any]:
        """The request that would carry this delivery alone, for people; nothing is sent."""
        return self.destination.preview([delivery])

    def _limits_view(self) -> LimitsView:
        now, address = self.clock.now(), self.limiter.address
        return LimitsView(
            windows=tuple(self.limiter.windows(now)),
            ready_in={each: self.opens_at(now, each) - now for each in Priority},
            waits_for={each: self.limit_reason(now, each) for each in Priority},
            blocked_for=self.blocked_for(),
            host_block=address.blocked_because if address.block_ends(now) > now else None,
        )

    def condition(self) -> Condition:
        """In the glossary's words."""
        now, outage = self.clock.now(), self.rerouting.outage
        if self.disabled is not None:
            return Condition("disabled", self.disabled)
        if self.breaker.phase is not Phase.READY:
            return Condition(self.breaker.phase.value, self.breaker.reason, max(0.0, self.breaker.until - now))
        asking = min((each for each, sender in self._senders.items() if sender.has_work()), default=Priority.URGENT)
        closed = self.limiter.wait_reason(now, asking)
        if closed:
            return Condition("limited", closed, self.limiter.ready_at(now, asking) - now)
        return Condition("failing", outage.reason) if self.rerouting.is_over() else Condition("ready")


def _single_alert(delivery: Delivery) -> str:
    """What a reader would see as one alert: all states of a key are one."""
    return delivery.update.key if delivery.update else delivery.id
