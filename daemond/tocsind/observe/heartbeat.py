"""The heartbeat: somebody else is told that deliveries work, and raises the alarm when he is not. It tells of what we cannot: our death.

It is told while the proof of progress holds and no destination stalls (`policy.heartbeat`); a destination that the configuration leaves
out is none of ours. It goes its own way: a task and a connection of its own, a deadline for each request, and neither lanes nor journal
know of it. That it was not heard is counted and shown in `status`, and is no alarm: whoever should have heard it is the one who tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio

from tocsind.clock import Clock
from tocsind.config import HeartbeatOptions
from tocsind.delivery.lane import Lane
from tocsind.destinations.http import Answer, HttpClient
from tocsind.events import Emit, Event, HeartbeatFailed, HeartbeatResumed, HeartbeatWithheld
from tocsind.journal import Journal, queries
from tocsind.policy.heartbeat import is_stalled
from tocsind.secret import Secret

from .metrics import Metrics

DEADLINE = 10.0  # seconds for one request, everything included
FAILURES_BEFORE_EVENT = 3  # failures in a row before people should know: the way there has its hiccups

CheckLiveness = Callable[[], Awaitable[str | None]]


class DeliveryHealth:
    """Whether deliveries work. `prove` is the proof of progress."""

    def __init__(
        self, journal: Journal, lanes: Iterable[Lane], metrics: Metrics, clock: Clock, prove: CheckLiveness
    ) -> None:
        self._journal = journal
        self._lanes = lanes
        self._metrics = metrics
        self._clock = clock
        self._check = prove
        self._since = clock.now()

    async def problem(self, patience: float) -> str | None:
        """Why they do not; None when they do."""
        return await self._check() or await self._stalled(patience)

    async def _stalled(self, patience: float) -> str | None:
        ages = await self._journal.run(queries.ages)
        for lane in self._lanes:
            accepted = queries.oldest_of(lane.name, ages)
            waiting = None if accepted is None else self._clock.steady() - accepted
            if lane.options.disabled is None and self._is_stalled(lane, waiting, patience):
                return f"nothing got through to {lane.name} for {patience:g} s, and something is due there"
        return None

    def _is_stalled(self, lane: Lane, waiting: float | None, patience: float) -> bool:
        paced = lane.condition().word == "limited" and lane.blocked_for() == 0
        success = self._metrics.of(lane.name).last_success
        without = self._clock.now() - (self._since if success is None else success)
        return is_stalled(waiting, without, paced=paced, patience=patience)


class Heartbeat:
    """Tells until cancelled; `follow` takes other options over."""

    def __init__(self, work: DeliveryHealth, client: HttpClient, clock: Clock, emit: Emit) -> None:
        self._work = work
        self._client = client
        self._clock = clock
        self._emit = emit
        self._options = HeartbeatOptions()
        self._following = trio.CancelScope()  # the time between two changes of the options
        self._reset()

    def _reset(self) -> None:
        self._beats = self._failures = self._withheld = self._in_a_row = 0
        self._last_success: float | None = None
        self._error: str | None = None
        self._problem: str | None = None  # why it is withheld
        self._reported: type[Event] = HeartbeatResumed

    def apply(self, options: HeartbeatOptions) -> None:
        """The configuration may be another."""
        if options != self._options:
            self._options = options
            self._reset()
            self._following.cancel()

    async def run(self) -> None:
        """Beat, from now on."""
        while True:
            with trio.CancelScope() as self._following:
                await self._beat_forever(self._options)

    def view(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The `heartbeat` of the status (null without one), and what is wrong with it."""
        if self._options.url is None and self._options.absent is None:
            return None, []
        told = {
            "every_seconds": self._options.every,
            "beats": self._beats,
            "failures": self._failures,
            "withheld": self._withheld,
            "last_success_seconds": None if self._last_success is None else self._clock.now() - self._last_success,
            "last_error": self._error,
            "reason": self._options.absent or self._problem,
        }
        return told, self._problems()

    def _problems(self) -> list[str]:
        if self._options.absent:
            return [f"there is no heartbeat: {self._options.absent}"]
        if self._problem:
            return [f"the heartbeat is withheld: {self._problem}"]
        return [f"the heartbeat is not heard: {self._error}"] if self._in_a_row >= FAILURES_BEFORE_EVENT else []

    async def _beat_forever(self, options: HeartbeatOptions) -> None:
        while options.url is not None:
            next_beat = self._clock.now() + options.every
            await self._beat(options.url)
            await trio.sleep_until(next_beat)
        await trio.sleep_forever()

    async def _beat(self, url: Secret) -> None:
        self._problem = await self._work.problem(self._options.patience)
        if self._problem:
            self._withheld += 1
            self._emit_once(HeartbeatWithheld(self._problem))
            return
        answer = await self._client.request("GET", url, deadline=DEADLINE)
        if isinstance(answer, Answer) and 200 <= answer.status < 300:
            self._on_success()
        else:
            self._on_failure(f"{answer.status} was the answer" if isinstance(answer, Answer) else answer.reason)

    def _on_success(self) -> None:
        self._beats += 1
        self._last_success, self._in_a_row = self._clock.now(), 0
        self._emit_once(HeartbeatResumed())

    def _on_failure(self, why: str) -> None:
        self._failures += 1
        self._in_a_row += 1
        self._error = why
        self._emit_once(HeartbeatFailed(why))

    def _emit_once(self, fact: Event) -> None:
        """Once, however long it stays so."""
        if type(fact) is not self._reported:
            self._reported = type(fact)
            self._emit(fact)
