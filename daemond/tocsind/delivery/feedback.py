"""What a lane learns from the responses of its destination.

A response changes the breaker, the limiter, the outage, the count of refusals, or disables the lane. One request teaches once, however many
deliveries it carried. Nothing here blocks; the lane saves its state afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tocsind.clock import Clock
from tocsind.events import BreakerOpened, DestinationNote, Emit, ProbeFailed, RateLimited, Recovered
from tocsind.journal import LaneState
from tocsind.policy.breaker import Breaker, Phase, SavedBreaker
from tocsind.policy.delivery import Delivery
from tocsind.policy.limiter import Limiter
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach, Refused, Report, Unknown
from tocsind.policy.refusals import Refusals

from .rerouting import Rerouting
from .store import DeliveryStore


class Lane(Protocol):
    """What the feedback changes in its lane."""

    name: str
    clock: Clock
    breaker: Breaker
    limiter: Limiter
    rerouting: Rerouting
    request_began: float

    def disable(self, reason: str) -> None:
        """Send nothing more until an operator enables the lane."""

    def retry_deferred_now(self) -> None:
        """Make all deferred deliveries due."""


class Feedback:
    """Applies responses to a lane. `trips` counts how often the breaker opened; it and `refusals` survive a restart."""

    def __init__(self, lane: Lane, store: DeliveryStore, emit: Emit) -> None:
        self.trips = 0
        self.refusals = Refusals()
        self.note: str | None = None
        self._has_problem = False  # the note is one that people were told of
        self._lane = lane
        self._store = store
        self._emit = emit

    def restore(self, saved: LaneState) -> None:
        """Continue with what the last run learned."""
        now, steady = self._lane.clock.now(), self._lane.clock.steady()
        self.trips, self.refusals = saved.trips, Refusals(saved.strikes)
        rest_left = None if saved.rest_until is None else saved.rest_until - steady
        self._lane.breaker.restore(SavedBreaker(saved.failures, saved.rests, rest_left, saved.reason), now)
        if saved.failing_since is not None:
            since = now - max(0.0, steady - saved.failing_since)
            reason, fails = saved.failing_because or "as before the restart", saved.failures + saved.rests > 0
            self._lane.rerouting.outage.restore(since, reason, fails=fails)

    def adopt(self, saved: LaneState) -> None:
        """Continue with the state of another host. This one may get through where that one failed, so it tries at once."""
        rest_until = None if saved.rest_until is None else self._lane.clock.steady()
        self.restore(msgspec.structs.replace(saved, rest_until=rest_until))
        self._lane.rerouting.outage.on_recovery(self._lane.clock.now())

    def leave(self) -> None:
        """Another host sends from now on; forget failures of this one."""
        self._lane.breaker.succeeded()
        self._lane.rerouting.outage.on_answer()

    def state(self) -> LaneState:
        """What the next run must know; the lane adds what it knows itself."""
        now, steady = self._lane.clock.now(), self._lane.clock.steady()
        breaker, outage = self._lane.breaker.saved(now), self._lane.rerouting.outage
        return LaneState(
            destination=self._lane.name,
            failures=breaker.failures,
            rests=breaker.rests,
            rest_until=None if breaker.rest_left is None else steady + breaker.rest_left,
            reason=breaker.reason,
            trips=self.trips,
            strikes=self.refusals.strikes,
            failing_since=steady - outage.duration(now) if outage.is_on else None,
            failing_because=outage.reason if outage.is_on else None,
        )

    def reset(self) -> None:
        """The operator says that the destination works."""
        self.refusals.on_delivered()
        self._lane.breaker.succeeded()
        self._lane.rerouting.outage.on_answer()

    def failing_for(self) -> float:
        """Seconds since the first failure in a row, while the breaker is not ready; else 0."""
        since = self._lane.rerouting.outage.since
        return 0.0 if since is None or self._lane.breaker.phase is Phase.READY else self._lane.clock.now() - since

    def on_report(self, batch: Sequence[Delivery], report: Report) -> None:
        """A batch was answered."""
        self._on_note(report.note, is_problem=report.is_problem)
        for outcome in dict.fromkeys(report.outcomes):
            both = zip(batch, report.outcomes, strict=True)
            self._on_outcome(outcome, [_alert_of(delivery) for delivery, each in both if each == outcome])

    def on_probe(self, found: ChannelInfo) -> None:
        """A query that was sent in place of a delivery has ended. A query that cannot be answered leaves the probe to the next delivery."""
        outage = self._lane.rerouting.outage
        match found.problem:
            case None if found.answered:
                if outage.is_on:
                    outage.on_recovery(self._lane.clock.now())
                    self._on_answer()
            case None:
                outage.on_recovery(self._lane.clock.now())
            case Deferred(cause=Cause.LIMITED) | Refused(disable=True):
                self.on_discovery(found)
            case Deferred(reason=reason) | Refused(reason=reason) | Unknown(reason=reason):
                self._on_failure(reason)

    def on_discovery(self, found: ChannelInfo) -> None:
        """A query for the channel has ended. Only a limit and a refusal of the whole destination count against it; a failure is the
        beginning of an outage if the next delivery fails, too.
        """
        failed = isinstance(found.problem, Unknown) or (
            isinstance(found.problem, Deferred) and found.problem.cause is Cause.FAILED
        )
        self._lane.rerouting.outage.on_query(self._lane.clock.now(), self._lane.request_began, failed=failed)
        match found.problem:
            case Refused(reason=reason, disable=True):
                self._lane.disable(reason)
            case Deferred(cause=Cause.LIMITED):
                self._on_limited(found.problem)

    def _on_outcome(self, outcome: Outcome, alerts: Sequence[str]) -> None:
        match outcome:
            case Deferred(reason=reason, cause=Cause.FAILED) | Unknown(reason=reason):
                self._on_failure(reason, doubt=isinstance(outcome, Unknown) or outcome.ambiguous)
            case Deferred(cause=Cause.LIMITED):
                self._on_limited(outcome)
            case Refused(reason=reason):
                self._on_delivery_answered()
                if why := reason if outcome.disable else self.refusals.on_refused(outcome, alerts):
                    self._lane.disable(why)
            case Deferred() | Delivered():
                self._on_delivery_answered()
        if isinstance(outcome, Delivered):
            self.refusals.on_delivered()

    def _on_note(self, note: str | None, *, is_problem: bool) -> None:
        """Keep a note for `status`. A problem is new to people once, until a note takes it back: its words may differ each time."""
        if note is None or note == (self.note or ""):
            return
        is_new = is_problem and not self._has_problem
        self.note, self._has_problem = note or None, is_problem
        if note:
            self._emit(DestinationNote(self._lane.name, note, is_new))

    def _on_delivery_answered(self) -> None:
        self._lane.rerouting.answered()
        self._on_answer()

    def _on_answer(self) -> None:
        if self._lane.breaker.succeeded():
            self._emit(Recovered(self._lane.name))
            self._lane.retry_deferred_now()  # else an urgent delivery would wait for its backoff while new ones are sent

    def _on_failure(self, reason: str, *, doubt: bool = False) -> None:
        now, breaker = self._lane.clock.now(), self._lane.breaker
        was_probing = breaker.phase is Phase.PROBING
        self._lane.rerouting.outage.on_failure(now, reason, self._lane.request_began)
        if breaker.failed(now, reason, doubt=doubt):
            self.trips += 1
            self._emit(BreakerOpened(self._lane.name, reason, breaker.until - now))
        elif was_probing:
            self._emit(ProbeFailed(self._lane.name, reason, breaker.until - now))

    def _on_limited(self, outcome: Deferred) -> None:
        now = self._lane.clock.now()
        self._lane.rerouting.outage.on_block(now, outcome.reason)
        self._emit(RateLimited(self._lane.name, outcome.reason, self._lane.limiter.on_limited(now, outcome)))
        if outcome.reach in {Reach.CHANNEL, Reach.KIND}:
            self._store.notify_lanes()


def _alert_of(delivery: Delivery) -> str:
    """The alert as a reader counts it: all states of one key are one alert."""
    return delivery.update.key if delivery.update else delivery.id
