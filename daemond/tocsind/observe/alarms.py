"""Alarms: signals of the daemon, from `tocsin`, about itself and its destinations.

An alarm comes from an event (`alarm_tracker`), or from a condition that lasts (`health`: a breaker that stays open, a queue that grows
old). It goes to the nearest destination that works and that people read (`alarm_routes`). `policy.alarm_throttle` limits how often: once
while the condition lasts, and at most once in ten minutes.

An alarm that went to a file, because no destination that people read worked, is repeated once as soon as one works, unless its condition
is over.

When the condition of an alarm ends, an all-clear follows, with its duration and the number of deliveries that still wait. It goes where
the alarm went, if that destination works and people read it. The journal keeps the open alarms, so the next run sends the all-clear for an
alarm of this one. No all-clear follows when an operator excludes the destination, or when the condition became another one (a failing
destination is disabled).

`loss_reports` reports signals that no person saw, in the same task and under the same limits.

No alarm raises an alarm. An alarm never goes to the destination that it is about; a queue in which only alarms wait raises none; and an
alarm that cannot be delivered raises none. An alarm about the destination of an earlier alarm goes to the next one, and when none is left,
the log and `status` have it in any case.

A destination stays disabled over a restart, and a kill may come before its alarm. So the alarm is raised again at each start, with an id
that is derived from what happened: the journal stores it once.

An alarm may use the disk's reserve, because its subject may be that the disk is full. When not even the reserve is left, a lane sends it
from memory (`Lane.send_unrecorded`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2s

import msgspec
import trio

from tocsin.ids import id_of, new_id
from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.core.accept import Acceptor
from tocsind.core.active_config import ActiveConfig
from tocsind.core.admission import Peer
from tocsind.delivery.lane import Lane
from tocsind.errors import StorageFull
from tocsind.events import AlarmRaised, AlarmUndeliverable, AllClear, Emit
from tocsind.journal import Journal, OpenAlarm, limiter_state, loss_reports
from tocsind.policy.alarm_throttle import AlarmHistory
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.sources import DAEMON_SOURCE

from .alarm_routes import AlarmRoutes
from .alarm_texts import Alarm, all_clear, disabled, failing, late, limited
from .alarm_tracker import AlarmTracker
from .health import Condition, Health
from .health_readings import HealthCheck
from .loss_reports import LossReports

INTERVAL = 15.0  # seconds between two evaluations of the conditions that last, which are counted in minutes
_ENDING = frozenset(
    {"breaker", "age", "limited", "disabled", "disk", "spool", "socket", "engine", "host"}
)  # kinds with an all-clear
_LASTING = frozenset({"breaker", "age"})  # kinds whose alarms come from the evaluation, once while they last
_FROM_EVALUATION = _LASTING | {"limited"}  # an event raises `limited`; the evaluation knows whether it lasts
_OUTAGES = frozenset({"breaker", "limited"})  # an all-clear for one of them waits until neither is on
_OF_EVENTS = {"spool": 60.0, "socket": 60.0, "engine": 180.0, "host": 180.0}
"""Kinds whose beginning and end are events; a problem of the last run that still lasts shows within so many seconds after the start."""


class Alarms:
    """Raises alarms from events and from conditions that last; `run` until cancelled."""

    def __init__(
        self,
        tracker: AlarmTracker,
        health: HealthCheck,
        journal: Journal,
        acceptor: Acceptor,
        lanes: Iterable[Lane],
        *,
        config: ActiveConfig,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._tracker = tracker
        self._health = health
        self._journal = journal
        self._acceptor = acceptor
        self._config = config
        self._lanes = lanes
        self._clock = clock
        self._emit = emit
        self._started = clock.now()
        self._throttle = AlarmHistory()
        self._open: dict[tuple[str, str], OpenAlarm] = {}
        self._routes = AlarmRoutes(config, lanes)
        self._reports = LossReports(journal, self._routes, self._throttle, clock, emit)
        self._undeliverable: set[tuple[str, str]] = set()
        self._unread: dict[tuple[str, str], Alarm] = {}  # raised where people do not read

    async def run(self) -> None:
        """First the alarms that an earlier run was perhaps killed over, then those that are due, as they come."""
        await self.load()
        for view in [lane.snapshot() for lane in self._lanes]:
            if view.disabled is not None and view.excluded is None:
                self._tracker.observe(disabled(view.name, view.disabled))
        while True:
            changed = self._tracker.changed
            wait = await self.raise_due()
            with trio.move_on_after(min(INTERVAL, wait)):
                await changed.wait()

    async def load(self) -> None:
        """Load the alarms of an earlier run that had no all-clear."""
        for alarm in await self._journal.run(loss_reports.open_alarms):
            self._open[alarm.kind, alarm.about] = alarm
            ago = max(0.0, self._clock.steady() - alarm.raised)
            self._throttle.on_raised((alarm.kind, alarm.about), self._clock.now() - ago, lasts=alarm.kind in _LASTING)

    async def raise_due(self) -> float:
        """Submit all that is due; in how many seconds more may be due, infinity when only an event can bring more."""
        await self._raise_pending()
        health = await self._health.check(own_alarms=self._tracker.waiting())
        await self._raise_lasting(health)
        await self._send_all_clears(health)
        await self._repeat_unread()
        self._reports.is_waiting |= self._tracker.losses_possible
        self._tracker.losses_possible = False
        wait = await self._reports.send_due(self._submit)
        self._tracker.reports_wait = self._reports.is_waiting
        return wait

    async def _raise_pending(self) -> None:
        """Alarms from events. One that no destination takes stays pending; one that was raised lately is dropped, or accumulates."""
        for alarm in list(self._tracker.pending.values()):
            if not self._throttle.is_news(alarm.name, self._clock.now()):
                self._recall_unread(alarm)
                if not alarm.accumulates:
                    self._tracker.acknowledge(alarm)
            elif await self._raise(alarm):
                self._tracker.acknowledge(alarm)

    async def _raise_lasting(self, health: Health) -> None:
        """Alarms from the evaluation."""
        due = {each.name for each in health.conditions if each.alarm_after is not None}
        for view in health.readings.lanes:
            for kind in _LASTING:
                if (kind, view.name) not in due:
                    self._throttle.on_over((kind, view.name))
        for condition in health.conditions:
            if condition.kind in _FROM_EVALUATION:
                await self._raise_or_recall(condition, _alarm_of(condition, health))

    async def _raise_or_recall(self, condition: Condition, alarm: Alarm) -> None:
        now, lasted = self._clock.now(), condition.lasted
        if self._throttle.is_news(alarm.name, now, lasted=lasted, patience=condition.alarm_after):
            await self._raise(alarm, lasted=lasted)
        else:
            self._recall_unread(alarm)

    # --- all-clears -----------------------------------------------------------------------------------------------------

    async def _send_all_clears(self, health: Health) -> None:
        for alarm in list(self._open.values()):
            over = self._is_over(alarm, health)
            if over is None or (over and await self._clear(alarm, health)):
                await self._close(alarm)

    def _is_over(self, alarm: OpenAlarm, health: Health) -> bool | None:
        """Whether the condition of an alarm has ended; None when it needs no all-clear any more."""
        if alarm.kind == "disk":
            return health.get("disk", alarm.about) is None
        if alarm.kind in _OF_EVENTS:
            return self._is_event_over(alarm.kind, alarm.about)
        view = next((view for view in health.readings.lanes if view.name == alarm.about), None)
        if view is None or view.excluded is not None or (view.disabled is not None and alarm.kind != "disabled"):
            return None
        kinds = _OUTAGES if alarm.kind in _OUTAGES else {alarm.kind}
        return all(health.get(kind, alarm.about) is None for kind in kinds)

    def _is_event_over(self, kind: str, about: str) -> bool | None:
        name = kind, about
        if name in self._tracker.given_up:
            return None
        settled = self._clock.now() - self._started > _OF_EVENTS[kind]
        return (name in self._tracker.recovered or settled) and name not in self._tracker.lasting

    async def _clear(self, alarm: OpenAlarm, health: Health) -> bool:
        """Submit the all-clear; False when that is not possible now."""
        route = self._route_of_clear(alarm.route)
        if route is None:
            return False
        lasted = max(0.0, self._clock.steady() - alarm.since)
        title, body = all_clear(alarm.kind, alarm.about, lasted, health.readings.open_deliveries(alarm.about))
        id_ = _derived_id(f"over {alarm.kind} {alarm.about} {alarm.raised}")
        signal = Signal(title, body=body, priority="normal", source=DAEMON_SOURCE, to=route, done=True, id=id_)
        submitted = await self._submit(signal, route)
        if submitted:
            self._emit(AllClear(signal.id, alarm.kind, alarm.about, route, lasted))
        return submitted

    def _route_of_clear(self, route: str) -> str | None:
        """The route of the alarm, unless it does not work, or people do not read it and they read another one."""
        other = self._routes.working(None)
        stays = self._routes.is_up(route) and (self._routes.is_read(route) or not self._routes.is_read(other))
        return route if stays else other

    async def _close(self, alarm: OpenAlarm) -> None:
        del self._open[alarm.kind, alarm.about]
        self._unread.pop((alarm.kind, alarm.about), None)
        with suppress(StorageFull):  # the next run sends the all-clear again, under the same id
            await self._journal.run(loss_reports.alarm_over, alarm.kind, alarm.about)

    # --- alarms that went to a file -------------------------------------------------------------------------------------

    def _recall_unread(self, alarm: Alarm) -> None:
        """Note an alarm that was raised before, perhaps by an earlier run, while no person has read it and its condition lasts."""
        open_ = self._open.get(alarm.name)
        if open_ is not None and not self._routes.is_read(open_.route):
            self._unread[alarm.name] = alarm

    async def _repeat_unread(self) -> None:
        for name, alarm in list(self._unread.items()):
            route = self._routes.working(alarm.unreachable)
            if route is not None and self._routes.is_read(route) and await self._repeat(alarm, route):
                self._unread.pop(name, None)

    async def _repeat(self, alarm: Alarm, route: str) -> bool:
        """Submit an alarm again under another id; False when not even the reserve of the disk is left."""
        signal = self._signal(alarm, route, new_id())
        if not await self._submit(signal, route):
            return False
        self._emit(AlarmRaised(signal.id, alarm.kind, alarm.about, route))
        if open_ := self._open.get(alarm.name):
            self._open[alarm.name] = msgspec.structs.replace(open_, route=route)
            with suppress(StorageFull):
                await self._journal.run(loss_reports.alarm_raised, self._open[alarm.name])
        return True

    # --- one alarm ------------------------------------------------------------------------------------------------------

    async def _raise(self, alarm: Alarm, *, lasted: float = 0.0) -> bool:
        """Submit an alarm; False when that is not possible now."""
        route = self._routes.working(alarm.unreachable)
        if route is None:
            self._note_undeliverable(alarm)
            return False
        signal = self._signal(alarm, route, await self._id(alarm))
        known = signal.id in self._tracker.known
        if not await self._submit(signal, route):
            route = await self._send_unrecorded(alarm, signal)
        if route is None:
            return False
        is_new = not known and signal.id in self._tracker.known
        await self._on_raised(alarm, route, lasted, is_new=is_new)
        if is_new:
            self._emit(AlarmRaised(signal.id, alarm.kind, alarm.about, route))
        return True

    def _signal(self, alarm: Alarm, route: str, id_: str) -> Signal:
        body = alarm.text(self._routes.fallback(alarm.unreachable))
        return Signal(alarm.title, body=body, priority=alarm.priority, source=DAEMON_SOURCE, to=route, id=id_)

    async def _on_raised(self, alarm: Alarm, route: str, lasted: float, *, is_new: bool) -> None:
        self._throttle.on_raised(alarm.name, self._clock.now(), lasts=alarm.kind in _LASTING)
        self._undeliverable.discard(alarm.name)
        if alarm.kind in _ENDING:
            await self._save_open(alarm, lasted, route)
        self._note_route(alarm, route, is_new=is_new)

    def _note_undeliverable(self, alarm: Alarm) -> None:
        if alarm.name not in self._undeliverable:
            self._undeliverable.add(alarm.name)
            self._emit(AlarmUndeliverable(alarm.kind, alarm.about))

    def _note_route(self, alarm: Alarm, route: str, *, is_new: bool) -> None:
        """Note whether people read the alarm. An alarm that the journal had already went where the open alarm says."""
        open_ = self._open.get(alarm.name)
        if not self._routes.is_read(open_.route if open_ and not is_new else route):
            self._unread[alarm.name] = alarm
        else:
            self._unread.pop(alarm.name, None)

    async def _submit(self, signal: Signal, route: str) -> bool:
        """Store a signal of the daemon; False when not even the reserve of the disk is left."""
        try:
            (receipt,) = await self._acceptor.accept(
                [signal], Peer(os.getuid(), os.getgid(), os.getpid()), from_daemon=True
            )
        except StorageFull:
            return False
        if receipt.state == "stored":
            self._tracker.submitted(signal.id, route)
        return True

    async def _save_open(self, alarm: Alarm, lasted: float, route: str) -> None:
        """Save an alarm until its all-clear; one of an earlier run that is raised again keeps its beginning."""
        now = self._clock.steady()
        open_ = self._open.setdefault(alarm.name, OpenAlarm(*alarm.name, now - lasted, now, route))
        with suppress(StorageFull):
            await self._journal.run(loss_reports.alarm_raised, open_)

    async def _send_unrecorded(self, alarm: Alarm, signal: Signal) -> str | None:
        """Without a journal: the first destination that takes the alarm now gets it, and nothing is recorded."""
        for name in self._routes.all(alarm.unreachable):
            delivery = Delivery(0, signal, name, Priority.HIGH, self._clock.wall())
            lane = next((lane for lane in self._lanes if lane.name == name), None)
            if lane and await lane.send_unrecorded(delivery):
                self._emit(AlarmRaised(signal.id, alarm.kind, alarm.about, name))
                return name
        return None

    async def _id(self, alarm: Alarm) -> str:
        """A new id. But an alarm that is raised once has one id forever, and the alarm of a disabled destination has one until the
        destination sends a request again: a disabled one sends none.
        """
        if alarm.once:
            return _derived_id(f"{alarm.name} {alarm.body}")
        if alarm.kind != "disabled":
            return new_id()
        last = await self._journal.run(limiter_state.last_request, alarm.about)
        options = self._config.current.destinations.get(alarm.about)
        return _derived_id(f"{alarm.about} {options and options.fingerprint} {alarm.body} {last}")


def _alarm_of(condition: Condition, health: Health) -> Alarm:
    if condition.kind == "age":
        return late(condition.about, condition.lasted)
    view = next(view for view in health.readings.lanes if view.name == condition.about)
    if condition.kind == "limited":
        return limited(view.name, view.condition.reason, view.limits.blocked_for)
    return failing(view.name, view.condition.reason, condition.lasted)


def _derived_id(text: str) -> str:
    return id_of(0, blake2s(text.encode(), digest_size=10).digest())
