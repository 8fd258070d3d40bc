"""Reports of signals that no person saw: expired, dead or dropped. No alert ends in silence.

There is one report for each destination and kind, at most once in ten minutes. It counts the signals and names those of the highest
priority. A report of expired signals goes to their own destination as soon as that works again, or to another one after ten minutes. A
report of dead signals (refused, or given up, and no fallback delivered them) goes to another destination first, because their own has just
failed. The journal keeps what is unreported, so each signal is reported once, also one that expired while the daemon was not running.

Reports are signals of the daemon, and are never reported themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import blake2s
from math import inf

from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.clock import Clock, steady_to_wall
from tocsind.events import Emit, LossReported
from tocsind.journal import Journal, UnseenSignals, loss_reports
from tocsind.journal.queue import UNROUTED
from tocsind.policy.alarm_throttle import MIN_INTERVAL, AlarmHistory
from tocsind.policy.delivery import Priority
from tocsind.policy.sources import DAEMON_SOURCE

from .alarm_routes import AlarmRoutes

GATHER_SECONDS = 5.0  # s from the first signal to the report, so that one report covers several
RETRY_SECONDS = 2.0  # s until the next attempt to find a destination that works
QUIET_SECONDS = 1.0  # s between two queries of the journal, however many events come
LONGEST_TITLE = 100  # code points of a signal's title in a report

Submit = Callable[
    [Signal, str], Awaitable[bool]
]  # stores a signal of the daemon for a destination; False when it cannot


class LossReports:
    """Called by the task of the alarms, which sets `is_waiting` when an event may bring a new loss."""

    def __init__(self, journal: Journal, routes: AlarmRoutes, throttle: AlarmHistory, clock: Clock, emit: Emit) -> None:
        self._journal = journal
        self._routes = routes
        self._throttle = throttle
        self._clock = clock
        self._emit = emit
        self.is_waiting = True  # the journal may hold unreported losses; so it may at the start
        self._next_query = -inf

    async def send_due(self, submit: Submit) -> float:
        """Submit the reports that are due; in how many seconds to call again, infinity when nothing is left."""
        now = self._clock.now()
        if not self.is_waiting or now < self._next_query:
            return self._next_query - now if self.is_waiting else inf
        self._next_query = now + QUIET_SECONDS
        found = await self._journal.run(loss_reports.unseen)
        self.is_waiting = bool(found)
        return min([await self._send_one(each, submit) for each in found], default=inf)

    async def _send_one(self, missed: UnseenSignals, submit: Submit) -> float:
        age = self._clock.steady() - missed.since
        if age < GATHER_SECONDS:
            return GATHER_SECONDS - age
        route = self._route(missed, age)
        name = (missed.state, missed.destination)
        if not self._throttle.is_news(name, self._clock.now()):
            return inf
        if route is None:
            return RETRY_SECONDS
        signal = self._report(missed, route)
        if await submit(signal, route):
            self._throttle.on_raised(name, self._clock.now())
            await self._journal.run(loss_reports.reported, missed.destination, missed.state, missed.last)
            self._emit(LossReported(signal.id, missed.destination, missed.state, missed.signals, route))
        return inf

    def _route(self, missed: UnseenSignals, age: float) -> str | None:
        own = missed.destination if self._routes.is_up(missed.destination) else None
        if missed.state == "dead":
            return self._routes.working(None if missed.destination == UNROUTED else missed.destination) or own
        return own or (self._routes.working(missed.destination) if age >= MIN_INTERVAL else None)

    def _report(self, missed: UnseenSignals, route: str) -> Signal:
        identity = f"{missed.state} {missed.destination} {missed.last} {missed.signals} {missed.since}"
        is_urgent = missed.priority <= Priority.HIGH and missed.state != "dropped"
        return Signal(
            _title(missed),
            body="\n".join(self._lines(missed)),
            priority="high" if is_urgent else "normal",
            source=DAEMON_SOURCE,
            to=route,
            id=id_of(0, blake2s(identity.encode(), digest_size=10).digest()),
        )

    def _lines(self, missed: UnseenSignals) -> list[str]:
        lines = [_WHY[missed.state]]
        for id_, title, priority, since in missed.shown:
            at = datetime.fromtimestamp(steady_to_wall(self._clock, since), UTC)
            lines.append(f"{priority.label} {title[:LONGEST_TITLE]} ({id_}, {at:%H:%M:%S} UTC)")
        left = missed.signals - len(missed.shown)
        if left > 0:
            lines.append(f"and {left} more: tocsin queue --state {missed.state} --destination {missed.destination}")
        return lines


_WHY = {
    "expired": "Their time passed before they could be posted, so they never will be.",
    "dead": "No destination delivered them. Why: tocsin why ID; once more: tocsin retry ID",
    "dropped": "An operator dropped them before they were posted.",
}


def _title(missed: UnseenSignals) -> str:
    what = "1 signal" if missed.signals == 1 else f"{missed.signals:,} signals"
    if missed.destination == UNROUTED:
        return f"{what} taken by no route"
    return f"{what} missed by {missed.destination}: {missed.state}"
