"""Reports about signals that nobody saw: expired, dead or dropped. No alert ends in silence.

One report for each destination and kind, which counts them and names the most pressing, once in ten minutes at most. What expired is told
where it should have been posted, as soon as that destination works again; while it does not, after ten minutes by another road. What is
dead (refused, or given up, and no fallback delivered it) is told by another road first, because its own has just failed. What the
journal keeps is enough to tell it once: also what expired while the daemon was not running, or before it was killed.

Reports are signals of our own and raise none themselves.
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

GATHER_SECONDS = 5.0  # s from the first of them to the report, so that it tells of more than one
RETRY_SECONDS = 2.0  # s until the next look for a destination that can tell
QUIET_SECONDS = 1.0  # s between two looks at what is untold, however much happens
LONGEST_TITLE = 100  # code points of a signal's title in a report

Submit = Callable[
    [Signal, str], Awaitable[bool]
]  # hands a signal of our own over, for a destination; False when that is not possible now


class LossReports:
    """Told by the alarms' task. `changed` says that there may be something new."""

    def __init__(self, journal: Journal, roads: AlarmRoutes, told: AlarmHistory, clock: Clock, emit: Emit) -> None:
        self._journal = journal
        self._routes = roads
        self._throttle = told
        self._clock = clock
        self._emit = emit
        self.is_waiting = True  # something may be untold: at the start nobody knows
        self._next_look = -inf

    async def send_due(self, hand: Submit) -> float:
        """Report what is due; in how many seconds to look again, infinity when nothing is left."""
        now = self._clock.now()
        if not self.is_waiting or now < self._next_look:
            return self._next_look - now if self.is_waiting else inf
        self._next_look = now + QUIET_SECONDS
        found = await self._journal.run(loss_reports.unseen)
        self.is_waiting = bool(found)
        return min([await self._send_one(each, hand) for each in found], default=inf)

    async def _send_one(self, missed: UnseenSignals, hand: Submit) -> float:
        age = self._clock.steady() - missed.since
        if age < GATHER_SECONDS:
            return GATHER_SECONDS - age
        road = self._route(missed, age)
        name = (missed.state, missed.destination)
        if not self._throttle.is_news(name, self._clock.now()):
            return inf
        if road is None:
            return RETRY_SECONDS
        signal = self._report(missed, road)
        if await hand(signal, road):
            self._throttle.on_raised(name, self._clock.now())
            await self._journal.run(loss_reports.reported, missed.destination, missed.state, missed.last)
            self._emit(LossReported(signal.id, missed.destination, missed.state, missed.signals, road))
        return inf

    def _route(self, missed: UnseenSignals, age: float) -> str | None:
        own = missed.destination if self._routes.is_up(missed.destination) else None
        if missed.state == "dead":
            return self._routes.working(None if missed.destination == UNROUTED else missed.destination) or own
        return own or (self._routes.working(missed.destination) if age >= MIN_INTERVAL else None)

    def _report(self, missed: UnseenSignals, road: str) -> Signal:
        identity = f"{missed.state} {missed.destination} {missed.last} {missed.signals} {missed.since}"
        pressing = missed.priority <= Priority.HIGH and missed.state != "dropped"
        return Signal(
            _title(missed),
            body="\n".join(self._lines(missed)),
            priority="high" if pressing else "normal",
            source=DAEMON_SOURCE,
            to=road,
            id=id_of(0, blake2s(identity.encode(), digest_size=10).digest()),
        )

    def _lines(self, missed: UnseenSignals) -> list[str]:
        lines = [_WHY[missed.state]]
        for id_, title, priority, since in missed.shown:
            at = datetime.fromtimestamp(steady_to_wall(self._clock, since), UTC)
            lines.append(f"{priority.label} {title[:LONGEST_TITLE]} ({id_}, {at:%H:%M:%S} UTC)")
        left = missed.signals - len(missed.shown)
        if left > 0:
            lines.append(f"and {left} more: `tocsin queue --state {missed.state} --destination {missed.destination}`")
        return lines


_WHY = {
    "expired": "Their time had passed before they could be posted, so they never will be.",
    "dead": "They reached nobody. `tocsin why ID` tells why, `tocsin retry ID` puts one back.",
    "dropped": "An operator dropped them before they were posted.",
}


def _title(missed: UnseenSignals) -> str:
    what = "1 signal" if missed.signals == 1 else f"{missed.signals:,} signals"
    if missed.destination == UNROUTED:
        return f"{what} taken by no route"
    return f"{what} missed by {missed.destination}: {missed.state}"
