"""A lane: all that waits for one destination. Four senders, one gate, one breaker, one request in flight.

                    .-- sender URGENT --.
      journal ----->|-- sender HIGH   --|--> turn: nobody in flight, nobody more pressing waits, gate and breaker say now --> deliver
                    |-- sender NORMAL --|
                    '-- sender LOW    --'

The conditions, and who says so:

      ready       both gate and breaker answer "now"
      suspended   the gate is closed: we chose to wait (a rate)
      throttled   the breaker is open: they failed
      probing     one delivery is out to see whether they are back
      disabled    told never to come back, or never set up; a person enables it. Meanwhile its queue goes to the fallback; without
                  one it stays where it is

A turn is the right to send one batch. It is taken by `admit` and given back by `leave`, which also returns the breaker's permit when no
verdict used it up. While a turn is out nobody else sends, so outcomes teach gate and breaker in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol, assert_never

import msgspec
import trio

from .clock import Clock
from .config import DestinationOptions
from .destinations import Destination
from .events import Disabled, Emit, Enabled, ProbeFailed, Recovered, Suspended, Throttled
from .journal import LaneMemory
from .policy.backoff import Retry
from .policy.breaker import Breaker, BreakerMemory, Phase
from .policy.delivery import Delivery, Priority, Settlement
from .policy.gate import Gate
from .policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown
from .sender import Sender

UNTOLD_WAIT = 1.0  # seconds, when the far end limits us and does not say for how long
LONGEST_BLOCK = 86400.0  # seconds; the longest wait that a far end may ask for


class Condition(msgspec.Struct, frozen=True):
    """How a lane is, why, and for how many more seconds if that is known."""

    word: str
    reason: str | None = None
    seconds: float | None = None


class Books(Protocol):
    """What a lane needs of the journal's keeper: its queue, and a place to write down what it did and learned."""

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next queued deliveries after number `after`, in order of acceptance."""

    async def begin(self, batch: Sequence[Delivery], channel: str) -> list[Delivery]:
        """Claim deliveries: only what is answered may be sent."""

    async def settle(
        self, batch: Sequence[Delivery], outcomes: Sequence[Outcome], retry: Retry, memory: LaneMemory | None
    ) -> list[Settlement]:
        """Write down how attempts ended, and what the lane learned; answers what follows for each."""

    async def divert(self, destination: str, reason: str) -> bool:
        """Send a chunk of a queue to the fallback. False when nothing was left, or there is no fallback."""

    async def recall(self, destination: str) -> tuple[LaneMemory, list[float]]:
        """What was remembered of a lane, and when its channel was last asked (wall-clock seconds, oldest first)."""

    async def remember(self, memory: LaneMemory) -> None:
        """Keep what a lane must know after a restart."""


class Lane:
    """One destination's lane. `block_kind(kind, until, reason)` is called when the far end blocks us as a whole."""

    def __init__(  # noqa: PLR0917 - put together in one place, by `lanes`
        self,
        options: DestinationOptions,
        destination: Destination,
        books: Books,
        clock: Clock,
        emit: Emit,
        block_kind: Callable[[str, float, str], None],
    ) -> None:
        self.name = options.name
        self.options = options
        self.destination = destination
        self.clock = clock
        self.gate = Gate(options.limit)
        self.breaker = Breaker(options.breaker)
        self.disabled = options.disabled
        self.trips = 0
        self._books = books
        self._emit = emit
        self._block_kind = block_kind
        self._senders: dict[Priority, Sender] = {}
        self._waiting: set[Priority] = set()
        self._busy = False
        self._changed = trio.Event()  # replaced each time it is set
        self._serving = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Lane {self.name} {self.condition().word}>"

    # --- its life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve, or divert while disabled, until cancelled."""
        try:
            while True:
                if self.disabled is None:
                    await self._serve()
                else:
                    await self._divert(self.disabled)
        finally:
            with trio.CancelScope(shield=True):
                await self.destination.aclose()

    async def _serve(self) -> None:
        self._senders = {priority: Sender(self, priority) for priority in Priority}
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

    def wake(self, priority: Priority) -> None:
        """There is something new for this priority."""
        if priority in self._senders:
            self._senders[priority].wake()
        else:
            self._nudge()

    def rewind(self) -> None:
        """Something old was queued again."""
        for sender in self._senders.values():
            sender.rewind()
        self._nudge()

    def abandon(self) -> None:
        """Do not wait for what is in flight: it stays open on record."""
        for sender in self._senders.values():
            sender.abandon()

    async def restore(self) -> None:
        """Go on where the last run stood."""
        memory, times = await self._books.recall(self.name)
        if memory.about != self.options.fingerprint:
            memory = LaneMemory(self.name)
        now, skew = self.clock.now(), self.clock.now() - self.clock.wall()
        # No request lies ahead of us; one that seems to was stamped before the wall clock was set back.
        self.gate.remember(min(at + skew, now) for at in times)
        self.trips = memory.trips
        self.disabled = self.options.disabled or memory.disabled
        rest_left = (
            None if memory.rest_until is None else min(memory.rest_until - self.clock.wall(), self.options.breaker.most)
        )
        self.breaker.restore(BreakerMemory(memory.failures, memory.rests, rest_left, memory.reason), now)
        if memory.blocked_until is not None:
            until = min(memory.blocked_until + skew, now + LONGEST_BLOCK)  # the wall clock may have been set meanwhile
            self.gate.block(until, memory.blocked_because or "as before the restart")

    def memory(self) -> LaneMemory:
        """What the next run must know."""
        breaker = self.breaker.memory(self.clock.now())
        skew = self.clock.wall() - self.clock.now()
        return LaneMemory(
            destination=self.name,
            about=self.options.fingerprint,
            disabled=None if self.options.disabled else self.disabled,
            failures=breaker.failures,
            rests=breaker.rests,
            rest_until=None if breaker.rest_left is None else self.clock.wall() + breaker.rest_left,
            reason=breaker.reason,
            blocked_until=self.gate.blocked_until + skew if self.gate.blocked_because else None,
            blocked_because=self.gate.blocked_because,
            trips=self.trips,
        )

    # --- the turn -------------------------------------------------------------------------------------------------------

    async def admit(self, priority: Priority) -> None:
        """Wait until this priority may send, and take the turn."""
        self._waiting.add(priority)
        try:
            # All who were woken with us are in line before we look who is; and whoever is told to stop while the next try is already due
            # stops here: what follows is shielded, and a disabled lane would go on asking for ever.
            await trio.lowlevel.checkpoint()
            while (when := self._when(priority)) > self.clock.now():
                changed = self._changed
                with trio.move_on_at(when):
                    await changed.wait()
            self._busy = True
        finally:
            self._waiting.discard(priority)
            self._nudge()

    def _when(self, priority: Priority) -> float:
        if self._busy or any(other < priority for other in self._waiting):
            return inf
        now = self.clock.now()
        return max(self.gate.ready_at(now, priority), self.breaker.ready_at(now))

    def leave(self) -> None:
        """Give the turn back; the breaker's permit too, when nothing came of it."""
        self.breaker.give_back(self.clock.now())
        self._busy = False
        self._nudge()

    def block(self, until: float, reason: str) -> None:
        """Close the gate until then, on the monotonic clock."""
        self.gate.block(until, reason)
        self._nudge()

    def _nudge(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- what a sender asks ----------------------------------------------------------------------------------------------

    async def feed(self, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next of this lane's queue."""
        return await self._books.feed(self.name, priority, after, most)

    async def begin(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Claim what may be sent; the request counts from here."""
        claimed = await self._books.begin(batch, self.name)
        if claimed:
            self.gate.take(self.clock.now())
            self.breaker.take()
        return claimed

    async def settle(self, batch: Sequence[Delivery], outcomes: Sequence[Outcome]) -> list[Settlement]:
        """Learn from what came back, then write it down."""
        before = self.memory()
        for outcome in dict.fromkeys(outcomes):  # one request teaches once, however many deliveries it carried
            self._learn(outcome)
        after = self.memory()
        return await self._books.settle(batch, outcomes, self.options.retry, after if after != before else None)

    def _learn(self, outcome: Outcome) -> None:
        match outcome:
            case Delivered(pause=pause):
                self._they_answered()
                if pause > 0:
                    self.gate.block(self.clock.now() + pause, "the far end asked for a pause")
            case Refused(reason=reason, disable=disable):
                self._they_answered()
                if disable:
                    self._disable(reason)
            case Deferred(cause=Cause.LIMITED):
                self._limited(outcome)
            case Deferred(reason=reason) | Unknown(reason=reason):
                self._they_failed(reason)
            case _:
                assert_never(outcome)

    def _they_answered(self) -> None:
        if self.breaker.succeeded():
            self._emit(Recovered(self.name))
            for sender in self._senders.values():
                sender.hurry()  # or what is most pressing would wait out its backoff while the rest goes

    def _they_failed(self, reason: str) -> None:
        now, probing = self.clock.now(), self.breaker.phase is Phase.PROBING
        if self.breaker.failed(now, reason):
            self.trips += 1
            self._emit(Throttled(self.name, reason, self.breaker.until - now))
        elif probing:
            self._emit(ProbeFailed(self.name, reason, self.breaker.until - now))

    def _limited(self, outcome: Deferred) -> None:
        wait = UNTOLD_WAIT if outcome.wait is None else outcome.wait
        until = self.clock.now() + wait
        self._emit(Suspended(self.name, outcome.reason, wait))
        if outcome.reach is Reach.KIND:
            self._block_kind(self.options.kind, until, outcome.reason)
        else:
            self.gate.block(until, outcome.reason)

    def _disable(self, reason: str) -> None:
        self.disabled = reason
        self._emit(Disabled(self.name, reason))
        self._serving.cancel()

    async def enable(self) -> None:
        """A person says that the destination is back. What the configuration switched off stays so."""
        self.disabled = self.options.disabled
        self.breaker.succeeded()
        self.gate.unblock()
        await self._books.remember(self.memory())
        self._emit(Enabled(self.name))
        self._nudge()

    def blocked_for(self) -> float:
        """Seconds that the far end has told us to wait."""
        return self.gate.blocked_for(self.clock.now())

    # --- how it is ----------------------------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """In the glossary's words."""
        now = self.clock.now()
        if self.disabled is not None:
            return Condition("disabled", self.disabled)
        if self.breaker.phase is not Phase.READY:
            return Condition(self.breaker.phase.value, self.breaker.reason, max(0.0, self.breaker.until - now))
        asking = min(self._waiting, default=Priority.URGENT)
        closed = self.gate.why_closed(now, asking)
        return Condition("suspended", closed, self.gate.ready_at(now, asking) - now) if closed else Condition("ready")
