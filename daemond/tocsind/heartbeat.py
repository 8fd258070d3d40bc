"""The heartbeat: somebody else is told that deliveries work, and raises the alarm when he is not. It tells of what we cannot: our death.

It is told while the proof of progress holds and no destination stalls (`policy.heartbeat`); a destination that the configuration leaves
out is none of ours. It goes its own way: a task and a connection of its own, a deadline for each request, and neither lanes nor journal
know of it. That it was not heard is counted and shown in `status`, and is no alarm: whoever should have heard it is the one who tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio

from .clock import Clock
from .config import HeartbeatOptions
from .destinations.http import Answer, HttpClient
from .events import Emit, Fact, HeartbeatBack, HeartbeatFailed, HeartbeatWithheld
from .journal import Journal, reading
from .lane import Lane
from .metrics import Metrics
from .policy.heartbeat import is_stalled
from .secret import Secret

DEADLINE = 10.0  # seconds for one request, everything included
UNHEARD = 3  # failures in a row before people should know: the way there has its hiccups

Prove = Callable[[], Awaitable[str | None]]


class Work:
    """Whether deliveries work. `prove` is the proof of progress."""

    def __init__(self, journal: Journal, lanes: Iterable[Lane], metrics: Metrics, clock: Clock, prove: Prove) -> None:
        self._journal = journal
        self._lanes = lanes
        self._metrics = metrics
        self._clock = clock
        self._prove = prove
        self._since = clock.now()

    async def trouble(self, patience: float) -> str | None:
        """Why they do not; None when they do."""
        return await self._prove() or await self._stalled(patience)

    async def _stalled(self, patience: float) -> str | None:
        ages = await self._journal.run(reading.ages)
        for lane in self._lanes:
            accepted = reading.oldest_of(lane.name, ages)
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

    def __init__(self, work: Work, client: HttpClient, clock: Clock, emit: Emit) -> None:
        self._work = work
        self._client = client
        self._clock = clock
        self._emit = emit
        self._options = HeartbeatOptions()
        self._following = trio.CancelScope()  # the time between two changes of the options
        self._start_anew()

    def _start_anew(self) -> None:
        self._beats = self._failures = self._withheld = self._in_a_row = 0
        self._heard: float | None = None
        self._error: str | None = None
        self._trouble: str | None = None  # why it is withheld
        self._said: type[Fact] = HeartbeatBack

    def follow(self, options: HeartbeatOptions) -> None:
        """The configuration may be another."""
        if options != self._options:
            self._options = options
            self._start_anew()
            self._following.cancel()

    async def run(self) -> None:
        """Beat, from now on."""
        while True:
            with trio.CancelScope() as self._following:
                await self._beat_on(self._options)

    def look(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The `heartbeat` of the status (null without one), and what is wrong with it."""
        if self._options.url is None and self._options.absent is None:
            return None, []
        told = {
            "every_seconds": self._options.every,
            "beats": self._beats,
            "failures": self._failures,
            "withheld": self._withheld,
            "last_success_seconds": None if self._heard is None else self._clock.now() - self._heard,
            "last_error": self._error,
            "reason": self._options.absent or self._trouble,
        }
        return told, self._problems()

    def _problems(self) -> list[str]:
        if self._options.absent:
            return [f"there is no heartbeat: {self._options.absent}"]
        if self._trouble:
            return [f"the heartbeat is withheld: {self._trouble}"]
        return [f"the heartbeat is not heard: {self._error}"] if self._in_a_row >= UNHEARD else []

    async def _beat_on(self, options: HeartbeatOptions) -> None:
        while options.url is not None:
            next_beat = self._clock.now() + options.every
            await self._beat(options.url)
            await trio.sleep_until(next_beat)
        await trio.sleep_forever()

    async def _beat(self, url: Secret) -> None:
        self._trouble = await self._work.trouble(self._options.patience)
        if self._trouble:
            self._withheld += 1
            self._say(HeartbeatWithheld(self._trouble))
            return
        answer = await self._client.request("GET", url, deadline=DEADLINE)
        if isinstance(answer, Answer) and 200 <= answer.status < 300:
            self._hear()
        else:
            self._fail(f"{answer.status} was the answer" if isinstance(answer, Answer) else answer.reason)

    def _hear(self) -> None:
        self._beats += 1
        self._heard, self._in_a_row = self._clock.now(), 0
        self._say(HeartbeatBack())

    def _fail(self, why: str) -> None:
        self._failures += 1
        self._in_a_row += 1
        self._error = why
        self._say(HeartbeatFailed(why))

    def _say(self, fact: Fact) -> None:
        """Once, however long it stays so."""
        if type(fact) is not self._said:
            self._said = type(fact)
            self._emit(fact)
