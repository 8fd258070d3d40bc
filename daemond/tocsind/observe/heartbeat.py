"""The heartbeat: pings an external monitor while deliveries succeed; the monitor alerts when the pings stop, also after a crash.

The heartbeat is withheld while the liveness check finds something stuck, or a destination is stalled (`health`). Destinations that the
configuration excludes do not count. It has a task and an HTTP connection of its own and a deadline for each request, and uses neither lanes
nor journal to send. A ping that fails is counted and shown in `status`, and raises no alarm: the external monitor does that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from tocsind.clock import Clock
from tocsind.config import HeartbeatOptions
from tocsind.destinations.http import Answer, HttpClient
from tocsind.events import Emit, Event, HeartbeatFailed, HeartbeatResumed, HeartbeatWithheld
from tocsind.secret import Secret

from .health_readings import HealthCheck

DEADLINE = 10.0  # seconds for one request, everything included
FAILURES_BEFORE_EVENT = 3  # failures in a row before `status` shows a problem: single pings do get lost

CheckLiveness = Callable[[], Awaitable[str | None]]


class Heartbeat:
    """Pings until cancelled; `apply` changes the options."""

    def __init__(
        self, health: HealthCheck, check_liveness: CheckLiveness, client: HttpClient, clock: Clock, emit: Emit
    ) -> None:
        self._health = health
        self._check_liveness = check_liveness
        self._client = client
        self._clock = clock
        self._emit = emit
        self._options = HeartbeatOptions()
        self._unchanged = trio.CancelScope()  # cancelled when the options change
        self._reset()

    def _reset(self) -> None:
        self._beats = self._failures = self._withheld = self._in_a_row = 0
        self._last_success: float | None = None
        self._error: str | None = None
        self._problem: str | None = None  # why it is withheld
        self._reported: type[Event] = HeartbeatResumed

    def apply(self, options: HeartbeatOptions) -> None:
        """Use these options from now on; the counts start again when they differ."""
        if options != self._options:
            self._options = options
            self._reset()
            self._unchanged.cancel()

    async def run(self) -> None:
        """Send the first ping at once."""
        while True:
            with trio.CancelScope() as self._unchanged:
                await self._beat_forever(self._options)

    def view(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The `heartbeat` of the status (null without one), and its problems."""
        if self._options.url is None and self._options.absent is None:
            return None, []
        view = {
            "every_seconds": self._options.every,
            "beats": self._beats,
            "failures": self._failures,
            "withheld": self._withheld,
            "last_success_seconds": None if self._last_success is None else self._clock.now() - self._last_success,
            "last_error": self._error,
            "reason": self._options.absent or self._problem,
        }
        return view, self._problems()

    def _problems(self) -> list[str]:
        if self._options.absent:
            return [f"there is no heartbeat: {self._options.absent}"]
        if self._problem:
            return [f"the heartbeat is withheld: {self._problem}"]
        return (
            [f"the heartbeat does not reach the monitor: {self._error}"]
            if self._in_a_row >= FAILURES_BEFORE_EVENT
            else []
        )

    async def _beat_forever(self, options: HeartbeatOptions) -> None:
        while options.url is not None:
            next_beat = self._clock.now() + options.every
            await self._beat(options.url)
            await trio.sleep_until(next_beat)
        await trio.sleep_forever()

    async def _beat(self, url: Secret) -> None:
        patience = self._options.patience
        self._problem = await self._check_liveness() or await self._health.stalled(patience)
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

    def _on_failure(self, reason: str) -> None:
        self._failures += 1
        self._in_a_row += 1
        self._error = reason
        self._emit_once(HeartbeatFailed(reason))

    def _emit_once(self, event: Event) -> None:
        """Emit at a change only."""
        if type(event) is not self._reported:
            self._reported = type(event)
            self._emit(event)
