"""Signals and outcomes of the last hour, by minute: an observer of the events, and the journal for the time before the daemon started."""

from __future__ import annotations

from collections import deque
from functools import partial

from tocsind.clock import Clock
from tocsind.events import Accepted, Dead, Event, Expired, Sent
from tocsind.journal import Journal, recent
from tocsind.journal.recent import MINUTE
from tocsind.policy.delivery import State

MINUTES = 60


class _Minute:
    __slots__ = ("accepted", "delivered", "failed")

    def __init__(self) -> None:
        self.accepted = self.delivered = self.failed = 0


class LastHour:
    """Counts accepted signals, and deliveries that arrived or failed (dead and expired ones), in 60 minutes; the last one is under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.steady()
        self._newest = self._minute_of(self._started)
        self._minutes = deque((_Minute() for _ in range(MINUTES)), maxlen=MINUTES)
        self._next_to_load = 0  # a minute
        self.changes = 0
        """Grows with each event: a reader that shows signals learns that there may be new ones."""

    def __call__(self, event: Event) -> None:
        """Count one event."""
        self.changes += 1
        if isinstance(event, Accepted):
            self._current().accepted += 1
        elif isinstance(event, Sent | Dead | Expired) and event.origin is not None:
            return  # the host that accepted it counts it
        elif isinstance(event, Sent):
            self._current().delivered += 1
        elif isinstance(event, Dead | Expired):
            self._current().failed += 1

    def view(self) -> dict[str, list[int]]:
        """Three lists of 60 counts, the oldest minute first."""
        self._advance()
        return {name: [getattr(each, name) for each in self._minutes] for name in ("accepted", "delivered", "failed")}

    async def load(self, journal: Journal) -> None:
        """Add what the journal knows of the time before the daemon started: once, a minute in each job. After a cancellation the next call
        goes on where it stopped.
        """
        origin = self._minute_of(self._clock.steady()) - MINUTES + 1
        job = partial(recent.minutes, origin=origin * MINUTE, until=self._started)
        while (minute := max(self._next_to_load, origin)) <= self._minute_of(self._started):
            end = min((minute + 1) * MINUTE, self._started)
            accepted, ended = await journal.run(job, minute * MINUTE, end)
            self._next_to_load = minute + 1
            self._add(minute, accepted=accepted)
            for (since, state), n in ended.items():
                self._add(origin + since, **{_FIELDS[state]: n})

    def _add(self, minute: int, *, accepted: int = 0, delivered: int = 0, failed: int = 0) -> None:
        self._advance()
        place = MINUTES - 1 - (self._newest - minute)
        if 0 <= place < MINUTES:
            self._minutes[place].accepted += accepted
            self._minutes[place].delivered += delivered
            self._minutes[place].failed += failed

    def _current(self) -> _Minute:
        self._advance()
        return self._minutes[-1]

    def _advance(self) -> None:
        minute = self._minute_of(self._clock.steady())
        for _ in range(min(MINUTES, minute - self._newest)):
            self._minutes.append(_Minute())
        self._newest = max(self._newest, minute)

    @staticmethod
    def _minute_of(instant: float) -> int:
        return int(instant // MINUTE)


_FIELDS = {State.SENT.value: "delivered", State.DEAD.value: "failed", State.EXPIRED.value: "failed"}
