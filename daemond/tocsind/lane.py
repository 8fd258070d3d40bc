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

import msgspec
import trio

from .batches import Batches
from .books import Books
from .channel import Channel
from .clock import Clock
from .config import DestinationOptions
from .destinations import Destination
from .events import BreakerOpened, DestinationNote, Disabled, Emit, Enabled, ProbeFailed, RateLimited, Recovered
from .gates import Gates
from .journal import Asking, LaneMemory
from .policy.breaker import Breaker, BreakerMemory, Phase
from .policy.delivery import Delivery, Priority
from .policy.gate import presses
from .policy.outcomes import Cause, Deferred, Delivered, Outcome, Place, Reach, Refused, Report, Unknown, is_unsent
from .policy.patience import Fitness
from .policy.refusals import Refusals
from .rerouting import Rerouting
from .secret import cleaned
from .sender import Sender

LONG_BLOCK = 60.0  # seconds that a far end may make us wait before people should know
ASK_AGAIN = 60.0  # seconds between two tries to find the channel


class Condition(msgspec.Struct, frozen=True):
    """How a lane is, why, and for how many more seconds if that is known."""

    word: str
    reason: str | None = None
    seconds: float | None = None


class Turn:
    """A sender in its channel's line."""

    def __init__(self, lane: Lane, sender: Sender) -> None:
        self.priority = sender.priority
        self.wants = sender.wants
        self._lane = lane

    def ready_at(self, now: float) -> float:
        return self._lane.ready_at(now, self.priority)


class Lane:
    """One destination's lane; `restore` before `run`."""

    def __init__(  # noqa: PLR0917 - put together in one place, by `lanes`
        self,
        options: DestinationOptions,
        destination: Destination,
        books: Books,
        gates: Gates,
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
        self.out_since: float | None = None  # when what is with the far end left us, on the monotonic clock
        self.note: str | None = None  # what its answers show and people should know
        self.refusals = Refusals()
        self._found: str | None = None  # the channel, as the far end calls it
        self._must_locate = True
        self._ask_at: float | None = None  # when to ask for it again, if it is not known
        self._books = books
        self._gates = gates
        self._emit = emit
        self.rerouting = Rerouting(self, books)
        self._batches = Batches(destination, self.breaker)
        self._senders: dict[Priority, Sender] = {}
        self._changed = trio.Event()  # replaced each time it is set: for whoever waits while disabled
        self._serving = trio.CancelScope()
        self._in_flight = trio.CancelScope()
        self._lead = Priority.LOW  # of what was claimed last

    @property
    def living(self) -> str | None:
        """Which far end its living messages are at; None: what was told there cannot be edited."""
        return self.options.fingerprint if self.destination.edits else None

    def __repr__(self) -> str:
        return f"<Lane {self.name} {self.condition().word}>"

    # --- its life -----------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Go on where the last run stood."""
        memory = await self._books.recall(self.name)
        if memory.about != self.options.fingerprint:
            memory = LaneMemory(self.name)
        self.gate = await self._gates.gate(self.options)
        self.trips, self.refusals, self._found = memory.trips, Refusals(memory.strikes), memory.channel
        self.disabled = self.options.disabled or memory.disabled
        rest_left = None if memory.rest_until is None else memory.rest_until - self.clock.steady()
        self.breaker.restore(BreakerMemory(memory.failures, memory.rests, rest_left, memory.reason), self.clock.now())
        if memory.failing_since is not None:
            since = self.clock.now() - max(0.0, self.clock.steady() - memory.failing_since)
            reason, fails = memory.failing_because or "as before the restart", memory.failures + memory.rests > 0
            self.rerouting.outage.restore(since, reason, fails=fails)
        await self._join()

    async def run(self) -> None:
        """Serve, or divert while disabled, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.rerouting.run)
                await self._live()
        finally:
            with trio.CancelScope(shield=True):
                await self.destination.aclose()

    async def _live(self) -> None:
        while True:
            if self.disabled is not None:
                await self._divert(self.disabled)
            elif self._must_locate:
                await self._locate()
            else:
                await self._serve()

    async def _locate(self) -> None:
        """Ask where the destination leads, unless the far end has shut us out."""
        before = self.memory()
        self._must_locate, self._ask_at = False, self.clock.now() + ASK_AGAIN
        if await self._may_ask():
            self._learn_of_place(await self._ask())
        await self._join()
        after, learned = self.memory(), self._gates.changed()
        if after != before or learned:
            await self._books.remember(after, learned)

    async def _may_ask(self) -> bool:
        """Wait until this host may ask one more; False when it may ask nothing."""
        address = self.gate.address
        while (when := address.ready_at(self.clock.now())) > self.clock.now():
            if address.is_shut(self.clock.now()):
                return False
            await trio.sleep_until(when)
        return True

    async def _ask(self) -> Place:
        address, place = self.gate.address, Place()
        address.take(self.clock.now(), pressing=True)
        try:
            with self._out():
                place = cleaned(await self.destination.locate())
        finally:
            if is_unsent(place.trouble):
                address.put_back(pressing=True)
            else:
                address.give(self.clock.now(), pressing=True)
        address.hear(self.clock.now(), invalid=place.invalid)
        return place

    def _learn_of_place(self, place: Place) -> None:
        match place.trouble:
            case None:
                self._found, self._ask_at = place.channel, None
            case Refused(reason=reason, disable=True):
                self._disable(reason)
            case Deferred(cause=Cause.LIMITED):
                self._limited(place.trouble)

    async def _join(self) -> None:
        self.channel: Channel = await self._gates.channel(self.options, self._found)
        self.gate.channel = self.channel.scope

    async def _serve(self) -> None:
        self._senders = {priority: Sender(self, priority) for priority in Priority}
        self._batches = Batches(self.destination, self.breaker)
        with trio.CancelScope() as self._serving:
            for sender in self._senders.values():
                await sender.look()  # all of them before the first may send, or it would be anybody's race who does
            async with trio.open_nursery() as nursery:
                for sender in self._senders.values():
                    nursery.start_soon(sender.feed)
                    nursery.start_soon(sender.send)
        self._senders = {}

    async def _divert(self, reason: str) -> None:
        changed = self._changed
        if not await self._books.divert(self.name, reason):
            await changed.wait()

    def relocate(self) -> None:
        """Ask anew where the destination leads; what is in flight finishes first."""
        self._must_locate = True
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
            self._change()

    def rewind(self) -> None:
        """Something old was queued again."""
        self.rerouting.arrived()
        for sender in self._senders.values():
            sender.rewind()
        self._change()

    def look_again(self) -> None:
        """Another destination can do what it could not, or the other way round: what waits for a fallback may move now."""
        self.rerouting.stir()
        self._change()

    def abandon(self) -> None:
        """Do not wait for what is in flight: it stays open on record."""
        self._in_flight.cancel()

    async def enable(self) -> None:
        """A person says that the destination is back. What the configuration switched off stays so."""
        self.disabled, self._must_locate = self.options.disabled, True
        self.refusals.delivered()
        self.breaker.succeeded()
        self.rerouting.outage.answered()
        self.gate.unblock()
        await self.remember()
        self._emit(Enabled(self.name))
        self._change()
        self._gates.nudge()
        self._books.tell_lanes()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- what a sender asks --------------------------------------------------------------------------------------------

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next of this lane's queue."""
        return await self._books.feed(self.name, priority, after, most)

    def arrived(self, priority: Priority) -> None:
        """There is more to send."""
        if presses(priority):
            self.gate.wish(self.clock.now())
        self.channel.nudge()

    def looked(self) -> None:
        """A sender has seen what there is."""
        self.channel.nudge()
        self.rerouting.arrived()  # or that there is nothing

    async def admit(self, sender: Sender) -> bool:
        """Wait for this sender's turn, and take it; False when others took along what it had."""
        return await self.channel.admit(Turn(self, sender))

    def ready_at(self, now: float, priority: Priority) -> float:
        """As `opens_at`, once nothing more pressing is about to be seen, which would lead it, and nothing of it is about to move."""
        if self.rerouting.gives_way(now, priority):
            return inf
        if any(sender.may_have_more() for other, sender in self._senders.items() if other < priority):
            return inf
        return self.opens_at(now, priority)

    def opens_at(self, now: float, priority: Priority) -> float:
        """When gate and breaker open for a message that this priority leads."""
        return max(self.gate.ready_at(now, priority, full=self._is_full(priority)), self.breaker.ready_at(now))

    def why_closed(self, now: float, priority: Priority) -> str | None:
        """Why the gate does not open now, in words for people."""
        return self.gate.why_closed(now, priority, full=self._is_full(priority))

    def _is_full(self, priority: Priority) -> bool:
        return presses(priority) or self._batches.is_full(self._loading())

    def _loading(self) -> list[Sender]:
        """The senders whose deliveries may go into the next message."""
        now = self.clock.now()
        return [each for priority, each in self._senders.items() if not self.rerouting.gives_way(now, priority)]

    async def attempt(self) -> None:
        """One message, and further ones as long as the turn stays here; then the turn is given back."""
        try:
            claimed = await self._begin()
            while claimed:
                claimed = await self._send(claimed)
        finally:
            self.breaker.give_back(self.clock.now())
            self.channel.leave()
            self.rerouting.arrived()  # what failed may have to move

    async def _begin(self) -> list[Delivery]:
        """Claim the first message of a turn."""
        with trio.CancelScope(shield=True) as self._in_flight:
            if batch := self._batches.load(self._loading()):  # else all of it is about to move
                return self._claimed(batch, await self._books.begin(batch, self._asking(batch)))
        return []

    async def _send(self, claimed: Sequence[Delivery]) -> list[Delivery]:
        """Send what was claimed and settle it: leaving finishes both, bounded by the destination's deadline. Answers what was claimed to
        follow it.
        """
        report: Report | None = None
        with trio.CancelScope(shield=True) as self._in_flight, self._out():
            report = cleaned(await self.destination.deliver(claimed))
        if report is None:  # abandoned: it stays open on record
            return []
        is_leaving = trio.current_effective_deadline() == -inf
        with trio.CancelScope(shield=True) as self._in_flight:
            return await self._settle(claimed, report, goes_on=not is_leaving)
        return []

    async def post_unrecorded(self, delivery: Delivery) -> bool:
        """Send one alarm that the journal has no room for; whether it arrived. False at once where it could not leave now.

        This is the one request that is not on record before it leaves: a crash meanwhile may bring the alarm twice.
        """
        now = self.clock.now()
        if self.disabled is not None or self.opens_at(now, delivery.priority) > now:
            return False
        self.gate.take(now, delivery.priority)
        report = cleaned(await self.destination.deliver([delivery]))
        self.gate.hear(self.clock.now(), delivery.priority, report)
        return isinstance(report.outcomes[0], Delivered)

    @contextmanager
    def _out(self) -> Iterator[None]:
        """Meanwhile the far end has something of ours."""
        self.out_since = self.clock.now()
        try:
            yield
        finally:
            self.out_since = None

    def _asking(self, batch: Sequence[Delivery]) -> Asking:
        """The request counts from before the claim: other lanes share our scopes, and would count on it meanwhile."""
        self._lead = batch[0].priority
        self.gate.take(self.clock.now(), self._lead)
        return Asking(self.name, self.channel.name, presses(self._lead), self.living)

    def _claimed(self, batch: Sequence[Delivery], claimed: list[Delivery]) -> list[Delivery]:
        """What may be sent of a batch; the senders forget the rest."""
        numbers = {delivery.number for delivery in claimed}
        for delivery in batch:
            if delivery.number not in numbers:
                self._senders[delivery.priority].forget(delivery)
        if claimed:
            self.breaker.take()
        else:
            self.gate.put_back(self._lead)
        return claimed

    async def _settle(self, batch: Sequence[Delivery], report: Report, *, goes_on: bool) -> list[Delivery]:
        """Learn from what came back, write it down, and tell the senders. Claims what may follow, in the same commit."""
        before = self.memory()
        self.gate.hear(self.clock.now(), self._lead, report)
        self._note(report.note)
        for outcome in dict.fromkeys(report.outcomes):  # one request teaches once, however many deliveries it carried
            both = zip(batch, report.outcomes, strict=True)
            self._learn(outcome, [_alert_of(delivery) for delivery, each in both if each == outcome])
        after = self.memory()
        ended = batch, report.outcomes, self.options.retry, after if after != before else None, self._gates.changed()
        following, claimed = self._following(report) if goes_on else [], list[Delivery]()
        if following:
            asking = self._asking(following)
            settlements, found = await self._books.settle_and_begin(*ended, following=following, asking=asking)
            claimed = self._claimed(following, found)
        else:
            settlements = await self._books.settle(*ended)
        for delivery, settlement in zip(batch, settlements, strict=True):
            self._batches.forget(delivery.number)
            self._senders[delivery.priority].keep(delivery, settlement)
        return claimed

    def _following(self, report: Report) -> list[Delivery]:
        """The next message, if it may go at once: all of the last one arrived, and no other sender could have the turn."""
        if self._serving.cancel_called or not all(isinstance(each, Delivered) for each in report.outcomes):
            return []
        now = self.clock.now()
        lead = min((priority for priority, sender in self._senders.items() if sender.wants()), default=None)
        if lead is None or self.ready_at(now, lead) > now or not self.channel.stays():
            return []
        return self._batches.load(self._loading())

    # --- learning ------------------------------------------------------------------------------------------------------

    def _learn(self, outcome: Outcome, alerts: Sequence[str]) -> None:
        match outcome:
            case Deferred(reason=reason, cause=Cause.FAILED) | Unknown(reason=reason):
                self._they_failed(reason, doubt=isinstance(outcome, Unknown) or outcome.ambiguous)
            case Deferred(cause=Cause.LIMITED):
                self._limited(outcome)
            case Refused(reason=reason):
                self.rerouting.answered()
                self._they_answered()
                if why := reason if outcome.disable else self.refusals.refused(outcome, alerts):
                    self._disable(why)
            case Deferred() | Delivered():
                self.rerouting.answered()
                self._they_answered()
        if isinstance(outcome, Delivered):
            self.refusals.delivered()
            if self._ask_at is not None and self.clock.now() >= self._ask_at:
                self.relocate()

    def _note(self, note: str | None) -> None:
        """Tell people once."""
        if note is not None and note != self.note:
            self.note = note
            self._emit(DestinationNote(self.name, note))

    def _they_answered(self) -> None:
        if self.breaker.succeeded():
            self._emit(Recovered(self.name))
            for sender in self._senders.values():
                sender.hurry()  # or what is most pressing would wait out its backoff while the rest goes

    def _they_failed(self, reason: str, *, doubt: bool = False) -> None:
        now, probing = self.clock.now(), self.breaker.phase is Phase.PROBING
        self.rerouting.outage.failed(now, reason)
        if self.breaker.failed(now, reason, doubt=doubt):
            self.trips += 1
            self._emit(BreakerOpened(self.name, reason, self.breaker.until - now))
        elif probing:
            self._emit(ProbeFailed(self.name, reason, self.breaker.until - now))

    def _limited(self, outcome: Deferred) -> None:
        self.rerouting.outage.blocked(self.clock.now(), outcome.reason)
        self._emit(RateLimited(self.name, outcome.reason, self.gate.limited(self.clock.now(), outcome)))
        if outcome.reach in {Reach.CHANNEL, Reach.KIND}:
            self._books.tell_lanes()

    def _is_back(self) -> None:
        """A question was answered: what waits is tried at once, and the next delivery shows whether it works."""
        if self.rerouting.outage.is_on:
            self.rerouting.outage.back(self.clock.now())
            self._they_answered()

    async def ask_whether_back(self) -> None:
        """Ask the far end a question in place of a delivery; its failure is that of a probe."""
        if not await self._may_ask():
            self.rerouting.outage.put_off(self.clock.now())
            return
        self.breaker.take()
        try:
            self._learn_of_question(await self._ask())
        finally:
            self.breaker.give_back(self.clock.now())
        await self.remember()

    def _learn_of_question(self, place: Place) -> None:
        match place.trouble:
            case None if place.answered:
                self._is_back()
            case None:  # it cannot be asked: the next delivery is the probe
                self.rerouting.outage.back(self.clock.now())
            case Deferred(cause=Cause.LIMITED) | Refused(disable=True):
                self._learn_of_place(place)
            case Deferred(reason=reason) | Refused(reason=reason) | Unknown(reason=reason):
                self._they_failed(reason)

    def _disable(self, reason: str) -> None:
        self.disabled = reason
        self._emit(Disabled(self.name, reason))
        self._serving.cancel()

    async def remember(self) -> None:
        """Keep what must be known after a restart."""
        await self._books.remember(self.memory(), self._gates.changed())

    def memory(self) -> LaneMemory:
        """What the next run must know."""
        breaker, outage = self.breaker.memory(self.clock.now()), self.rerouting.outage
        return LaneMemory(
            destination=self.name,
            about=self.options.fingerprint,
            disabled=None if self.options.disabled else self.disabled,
            failures=breaker.failures,
            rests=breaker.rests,
            rest_until=None if breaker.rest_left is None else self.clock.steady() + breaker.rest_left,
            reason=breaker.reason,
            trips=self.trips,
            strikes=self.refusals.strikes,
            channel=self._found,
            failing_since=self.clock.steady() - outage.lasts(self.clock.now()) if outage.is_on else None,
            failing_because=outage.reason if outage.is_on else None,
        )

    # --- how it is -----------------------------------------------------------------------------------------------------

    @property
    def senders(self) -> Collection[Sender]:
        """Those who serve; none while it is disabled, or finds out where it leads."""
        return self._senders.values()

    def is_idle(self) -> bool:
        """Whether nothing is with the far end, and nothing waits here that could show whether it works."""
        served = bool(self._senders) and self.out_since is None
        return served and all(sender.is_idle() for sender in self._senders.values())

    def moved(self, numbers: Collection[int]) -> None:
        """These deliveries went to a fallback."""
        for sender in self._senders.values() if numbers else ():
            sender.moved(numbers)

    def nudge(self) -> None:
        """Let all in line look again whether they may send."""
        self.channel.nudge()

    def fitness(self) -> Fitness:
        """How fit it is to stand in for another destination."""
        if self.disabled is not None:
            return Fitness.DISABLED
        return Fitness.WORKS if self.rerouting.works() else Fitness.FAILS

    def blocked_for(self) -> float:
        """Seconds that the far end has told us to wait."""
        return self.gate.blocked_for(self.clock.now())

    def failing_for(self) -> float:
        """Seconds since the first failure in a row, while the breaker is open; else 0."""
        if self.breaker.phase is Phase.READY:
            return 0.0
        now, since = self.clock.now(), self.rerouting.outage.since
        return now - (now if since is None else since)

    def drain_rate(self) -> float:
        """Deliveries a second that the less pressing may count on: as many a message as the last full one carried."""
        return self.gate.throughput(self.clock.now()) * self._batches.carried

    def condition(self) -> Condition:
        """In the glossary's words."""
        now, outage = self.clock.now(), self.rerouting.outage
        if self.disabled is not None:
            return Condition("disabled", self.disabled)
        if self.breaker.phase is not Phase.READY:
            return Condition(self.breaker.phase.value, self.breaker.reason, max(0.0, self.breaker.until - now))
        asking = min((each for each, sender in self._senders.items() if sender.wants()), default=Priority.URGENT)
        closed = self.gate.why_closed(now, asking)
        if closed:
            return Condition("limited", closed, self.gate.ready_at(now, asking) - now)
        return Condition("failing", outage.reason) if self.rerouting.is_over() else Condition("ready")


def _alert_of(delivery: Delivery) -> str:
    """What a reader would see as one alert: all states of a key are one."""
    return delivery.telling.key if delivery.telling else delivery.id
