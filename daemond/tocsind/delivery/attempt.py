"""One turn of a lane: claim a batch, deliver it, learn from the report, settle.

    claim      the journal records the attempt before the request leaves; only deliveries that the journal still has queued are sent
    deliver    bounded by the destination's deadline
    learn      breaker, limiter, outage, refusals (`feedback`)
    settle     the journal records the outcomes, and in the same commit what the lane learned

A turn is one request, from the claim to the settlement. Another request follows in the same turn when all of the first one arrived, the
limiter allows it, and no other sender that waits could send now: then one commit holds the settlement and the next claim.

Claim and settlement are shielded from cancellation: a lane that stops finishes what it has begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from math import inf
from typing import Final, Protocol

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.destinations import Destination
from tocsind.journal import LaneState, LimitState, RequestStart
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import Breaker
from tocsind.policy.delivery import Delivery, Priority, Settlement
from tocsind.policy.limiter import Limiter, is_expedited
from tocsind.policy.live_message import unambiguous
from tocsind.policy.outcomes import Delivered, Outcome, Report
from tocsind.secret import redacted_struct

from .batcher import Batcher
from .feedback import Feedback
from .limiters import LimiterRegistry
from .senders import Senders
from .store import DeliveryStore
from .turns import TurnQueue

_WRITTEN: Final = 0.002  # s; by then a request is written, and the event loop has nothing to do for it until the answer


REPEATABLE: Final = "it can be sent again without a copy"


class Lane(Protocol):
    """What an attempt needs of its lane."""

    name: str
    options: DestinationOptions
    clock: Clock
    destination: Destination
    breaker: Breaker
    limiter: Limiter
    turns: TurnQueue
    feedback: Feedback
    senders: Senders
    batcher: Batcher

    @property
    def edits_at(self) -> str | None:
        """Fingerprint of the destination at which live messages can be edited."""

    def load_batch(self) -> list[Delivery]:
        """Take the next batch from the senders; empty when there is nothing to send here."""

    def measure_batch(self) -> None:
        """Measure what would be the next batch, so that it can be formed at once."""

    def may_continue(self) -> bool:
        """Whether the turn stays here for another request."""

    def in_flight_timer(self) -> AbstractContextManager[None]:
        """Measure how long the request takes."""

    def on_arrived(self) -> None:
        """All or part of a batch arrived."""

    def state(self) -> LaneState:
        """What the next run of the daemon must know of this lane."""


_Ended = tuple[
    Sequence[Delivery], Sequence[Outcome], Retry, LaneState | None, list[LimitState]
]  # what `settle` records


class Attempts:
    """Makes the requests of one lane, one at a time."""

    def __init__(self, lane: Lane, store: DeliveryStore, limiters: LimiterRegistry) -> None:
        self._lane = lane
        self._store = store
        self._limiters = limiters
        self._shield = trio.CancelScope()  # around the step under way
        self._lead = Priority.LOW  # of the batch that was claimed last

    async def run(self) -> None:
        """Send one batch, and further ones while the turn stays here. The caller has the turn."""
        claimed = await self._claim_first()
        while claimed:
            claimed = await self._send(claimed)

    def abandon(self) -> None:
        """Stop the step under way, shielded or not: its attempt stays open in the journal."""
        self._shield.cancel()

    async def send_unrecorded(self, delivery: Delivery) -> bool:
        """Send one alarm for which the journal has no room; whether it arrived.

        This is the one request that the journal does not record before it leaves: a crash may deliver the alarm twice.
        """
        limiter, clock = self._lane.limiter, self._lane.clock
        limiter.acquire(clock.now(), delivery.priority)
        report = self._known(await self._lane.destination.deliver([delivery]))
        limiter.on_response(clock.now(), delivery.priority, report)
        return isinstance(report.outcomes[0], Delivered)

    async def _claim_first(self) -> list[Delivery]:
        with trio.CancelScope(shield=True) as self._shield:
            if batch := self._lane.load_batch():
                return self._claimed(batch, await self._store.begin(batch, self._start_request(batch)))
        return []

    async def _send(self, claimed: Sequence[Delivery]) -> list[Delivery]:
        """Send a claimed batch and settle it. Returns the batch that was claimed to follow it."""
        report: Report | None = None
        with trio.CancelScope(shield=True) as self._shield, self._lane.in_flight_timer():
            report = self._known(await self._deliver(claimed))
        if report is None:  # abandoned
            return []
        is_stopping = trio.current_effective_deadline() == -inf
        with trio.CancelScope(shield=True) as self._shield:
            return await self._settle(claimed, report, may_continue=not is_stopping)
        return []

    async def _deliver(self, claimed: Sequence[Delivery]) -> Report:
        """Send a claimed batch. While the answer is awaited, the next batch is measured."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._measure_following)
            report = await self._lane.destination.deliver(claimed)
            nursery.cancel_scope.cancel()
        return report

    async def _measure_following(self) -> None:
        await trio.sleep(_WRITTEN)
        self._lane.measure_batch()

    def _known(self, report: Report) -> Report:
        """The report without secrets, and without doubt where a request can be repeated."""
        report = redacted_struct(report)
        if not self._lane.destination.repeatable:
            return report
        outcomes = (unambiguous(outcome, REPEATABLE) for outcome in report.outcomes)
        return msgspec.structs.replace(report, outcomes=tuple(outcomes))

    def _start_request(self, batch: Sequence[Delivery]) -> RequestStart:
        """Count the request before the claim: while the journal works, other lanes would use up limits that they share with this one."""
        self._lead = batch[0].priority
        self._lane.limiter.acquire(self._lane.clock.now(), self._lead)
        lane, destination = self._lane, self._lane.destination
        return RequestStart(
            lane.name,
            lane.turns.name,
            is_expedited(self._lead),
            lane.edits_at,
            destination.editing,
            destination.repeatable,
        )

    def _claimed(self, batch: Sequence[Delivery], claimed: list[Delivery]) -> list[Delivery]:
        """What may be sent of a batch; the senders forget the rest."""
        numbers = {delivery.number for delivery in claimed}
        for delivery in batch:
            if delivery.number not in numbers:
                self._lane.senders[delivery.priority].forget(delivery)
        if claimed:
            self._lane.breaker.acquire()
        else:
            self._lane.limiter.cancel(self._lead)
        return claimed

    async def _settle(self, batch: Sequence[Delivery], report: Report, *, may_continue: bool) -> list[Delivery]:
        """Learn from the report, record the outcomes, requeue what is deferred. Returns the batch that was claimed to follow."""
        ended = self._learn(batch, report)
        settlements, claimed = await self._record(ended, self._load_following(report) if may_continue else [])
        for delivery, settlement in zip(batch, settlements, strict=True):
            self._lane.batcher.forget(delivery.number)
            self._lane.senders[delivery.priority].requeue(delivery, settlement)
        return claimed

    def _learn(self, batch: Sequence[Delivery], report: Report) -> _Ended:
        lane, before = self._lane, self._lane.state()
        lane.limiter.on_response(lane.clock.now(), self._lead, report)
        lane.feedback.on_report(batch, report)
        if any(isinstance(outcome, Delivered) for outcome in report.outcomes):
            lane.on_arrived()
        after = lane.state()
        return (
            batch,
            report.outcomes,
            lane.options.retry,
            after if after != before else None,
            self._limiters.changed_limits(),
        )

    def _load_following(self, report: Report) -> list[Delivery]:
        """The next batch, if the turn stays here: a batch that did not arrive in full ends the turn."""
        arrived = all(isinstance(outcome, Delivered) for outcome in report.outcomes)
        return self._lane.load_batch() if arrived and self._lane.may_continue() else []

    async def _record(
        self, ended: _Ended, following: Sequence[Delivery]
    ) -> tuple[Sequence[Settlement], list[Delivery]]:
        if not following:
            return await self._store.settle(*ended), []
        start = self._start_request(following)
        settlements, found = await self._store.settle_and_begin(*ended, following=following, asking=start)
        return settlements, self._claimed(following, found)
