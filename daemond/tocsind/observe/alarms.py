"""Alarms about ourselves, told by another road: what a destination cannot tell because it is the one that is gone.

A trouble is a fact (`troubles` knows which), or a state that lasts: a breaker that stays open, a queue that grows old. It raises a
signal of its own, from `tocsin`, for the nearest destination that works and that a person reads (`roads`). How often is policy's: once
while it lasts, once in ten minutes at most.

What only a file was told, because nothing that a person reads worked, is told once more as soon as something does, unless it is over.

What was told and ends is followed by an all-clear, with how long it lasted and what still waits, on the road that told the alarm where that
works and a person reads it. Which alarms are still open is kept in the journal, so an alarm of one run gets its all-clear from the next.
What a person switched off in the configuration, or a trouble that became another one (a failing destination that is disabled), needs none.

Signals that nobody saw are told by `reports`, in the same task and under the same limits.

No alarm raises an alarm. It never travels the road that it is about; where nothing waits but alarms of ours, their waiting is no
trouble; and that one cannot be delivered is no fact that asks for another. What an alarm finds out about its road (that it is gone,
too) is told on the next, and when none is left there is nobody to tell: the log and `status` say it in any case.

That a destination is disabled outlives us, and so must its alarm, though we may be killed between the two. So it is raised again at each
start, under an id that is made of what happened: the journal takes it once.

An alarm may use the disk that is kept in reserve: that the disk is full is what it may have to tell. When not even that is left, it is sent
straight from memory (`Lane.post_unrecorded`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
from tocsind.core.disk_guard import DiskGuard
from tocsind.delivery.lane import Lane
from tocsind.errors import StorageFull
from tocsind.events import AlarmRaised, AlarmUndeliverable, AllClear, Emit
from tocsind.journal import Count, Journal, OpenAlarm, limiter_state, loss_reports, queries
from tocsind.policy.alarm_throttle import AlarmHistory
from tocsind.policy.breaker import Phase
from tocsind.policy.delivery import OPEN, Delivery, Priority, State
from tocsind.policy.sources import DAEMON_SOURCE

from .alarm_routes import AlarmRoutes
from .conditions import Condition, Tracker, all_clear, disabled, failing, late, limited
from .loss_reports import LossReports

ROUND = 15.0  # seconds between two looks at what lasts: people's patience counts in minutes
_ENDS = frozenset({"breaker", "age", "limited", "disabled", "disk", "spool", "socket"})  # kinds of trouble that end
_SETTLED_IN = 60.0  # seconds after the start in which a trouble of the last run must have shown itself, if it lasts
_LAST = frozenset({"breaker", "age"})


class Alarms:
    """Raises what was noticed, and what lasts; runs until cancelled."""

    def __init__(
        self,
        noticed: Tracker,
        journal: Journal,
        acceptor: Acceptor,
        lanes: Iterable[Lane],
        *,
        config: ActiveConfig,
        disk_guard: DiskGuard,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._tracker = noticed
        self._journal = journal
        self._acceptor = acceptor
        self._config = config
        self._disk_guard = disk_guard
        self._lanes = lanes
        self._clock = clock
        self._emit = emit
        self._first_seen = clock.now()
        self._throttle = AlarmHistory()
        self._open: dict[tuple[str, str], OpenAlarm] = {}
        self._routes = AlarmRoutes(config, lanes)
        self._reports = LossReports(journal, self._routes, self._throttle, clock, emit)
        self._undeliverable: set[tuple[str, str]] = set()
        self._unread: dict[tuple[str, str], Condition] = {}  # told where no person reads

    async def run(self) -> None:
        """What an earlier run may have been killed over comes first."""
        await self.load()
        for lane in self._lanes:
            if lane.disabled is not None and lane.options.disabled is None:
                self._tracker.observe(disabled(lane.name, lane.disabled))
        while True:
            something = self._tracker.changed
            wait = await self.raise_due()
            with trio.move_on_after(min(ROUND, wait)):
                await something.wait()

    async def load(self) -> None:
        """What an earlier run told, and what has not ended since."""
        for alarm in await self._journal.run(loss_reports.open_alarms):
            self._open[alarm.kind, alarm.about] = alarm
            ago = max(0.0, self._clock.steady() - alarm.raised)
            self._throttle.on_raised((alarm.kind, alarm.about), self._clock.now() - ago, lasts=alarm.kind in _LAST)

    async def raise_due(self) -> float:
        """All that is to be told now; in how many seconds there may be more, infinity for not before something happens."""
        await self.raise_noticed()
        await self.raise_lasting()
        await self.send_all_clears()
        await self.repeat_unread()
        self._reports.is_waiting |= self._tracker.missed
        self._tracker.missed = False
        wait = await self._reports.send_due(self._submit)
        self._tracker.reports_wait = self._reports.is_waiting
        return wait

    async def raise_noticed(self) -> None:
        """What happened. What cannot be told yet stays noticed; what was told lately is dropped, if it does not add up."""
        for trouble in list(self._tracker.pending.values()):
            if not self._throttle.is_news(trouble.name, self._clock.now()):
                self._recall_unread(trouble)
                if not trouble.adds_up:
                    self._tracker.acknowledge(trouble)
            elif await self._raise(trouble):
                self._tracker.acknowledge(trouble)

    async def raise_lasting(self) -> None:
        """What has lasted for longer than patience has."""
        # an idle daemon is woken for one look, not for two: counts matter only beside alarms of ours
        counts = await self._journal.run(queries.counts) if self._tracker.waiting() else []
        ages = await self._journal.run(queries.ages)
        for trouble, lasted, patience in list(self._lasting_conditions(counts, ages)):
            if lasted == 0.0:
                self._throttle.on_over(trouble.name)
            elif self._throttle.is_news(trouble.name, self._clock.now(), lasted=lasted, patience=patience):
                await self._raise(trouble, lasted=lasted)
            else:
                self._recall_unread(trouble)

    def _lasting_conditions(
        self, counts: Iterable[Count], ages: queries.Ages
    ) -> Iterator[tuple[Condition, float, float | None]]:
        """Each, for how many seconds (0: it is over), and what patience there is."""
        options, ours = self._config.current.alarms, self._tracker.waiting()
        for lane in self._lanes:
            name = lane.name
            only_ours = 0 < _waiting(name, counts) <= ours[name]
            fails, waits = lane.failing_for(), 0.0 if lane.disabled else self._wait_reason(name, ages)
            yield failing(name, lane.condition().reason, fails), 0.0 if only_ours else fails, options.breaker
            yield late(name, waits), 0.0 if only_ours else waits, options.age
            blocked = lane.blocked_for()  # an event raises this alarm; it is listed here for what an earlier run told
            yield limited(name, lane.condition().reason, blocked), blocked, None

    def _wait_reason(self, name: str, ages: queries.Ages) -> float:
        accepted = queries.oldest_of(name, ages)
        return 0.0 if accepted is None else max(0.0, self._clock.steady() - accepted)

    # --- what ends ------------------------------------------------------------------------------------------------------

    async def send_all_clears(self) -> None:
        """The all-clear for what was told and is over."""
        if not self._open:
            return
        ages = await self._journal.run(queries.ages)
        for alarm in list(self._open.values()):
            over = self._is_over(alarm, ages)
            if over is None or (over and await self._clear(alarm)):
                await self._close(alarm)

    def _is_over(self, alarm: OpenAlarm, ages: queries.Ages) -> bool | None:
        """Whether a trouble has ended; None when it needs no all-clear any more."""
        if alarm.kind == "disk":
            return self._disk_guard.closed is None
        if alarm.kind in {"spool", "socket"}:
            known = alarm.kind in self._tracker.recovered or self._clock.now() - self._first_seen > _SETTLED_IN
            return known and alarm.kind not in self._tracker.lasting
        lane = next((lane for lane in self._lanes if lane.name == alarm.about), None)
        if lane is None or lane.options.disabled is not None:
            return None
        if alarm.kind == "disabled":
            return lane.disabled is None
        if lane.disabled is not None:
            return None
        return self._works_again(alarm.kind, lane, ages)

    def _works_again(self, kind: str, lane: Lane, ages: queries.Ages) -> bool:
        if kind == "age":
            longest = self._config.current.alarms.age
            return longest is None or self._wait_reason(lane.name, ages) < longest
        return lane.breaker.phase is Phase.READY and not lane.rerouting.outage.is_on and lane.blocked_for() == 0

    async def _clear(self, alarm: OpenAlarm) -> bool:
        road = self._route_of_clear(alarm.route)
        if road is None:
            return False
        lasted = max(0.0, self._clock.steady() - alarm.since)
        waiting = _waiting(alarm.about, await self._journal.run(queries.counts))
        title, body = all_clear(alarm.kind, alarm.about, lasted, waiting)
        id_ = _id_of(f"over {alarm.kind} {alarm.about} {alarm.raised}")
        signal = Signal(title, body=body, priority="normal", source=DAEMON_SOURCE, to=road, id=id_)
        handed = await self._submit(signal, road)
        if handed:
            self._emit(AllClear(signal.id, alarm.kind, alarm.about, road, lasted))
        return handed

    def _route_of_clear(self, told: str) -> str | None:
        """The road that told the alarm, unless it is gone, or no person reads it and another one is read."""
        other = self._routes.working(None)
        stays = self._routes.is_up(told) and (self._routes.is_read(told) or not self._routes.is_read(other))
        return told if stays else other

    async def _close(self, alarm: OpenAlarm) -> None:
        del self._open[alarm.kind, alarm.about]
        self._unread.pop((alarm.kind, alarm.about), None)
        with suppress(StorageFull):  # the next run tells it once more, under the same id
            await self._journal.run(loss_reports.alarm_over, alarm.kind, alarm.about)

    # --- what only a file was told ------------------------------------------------------------------------------------------

    def _recall_unread(self, trouble: Condition) -> None:
        """Note what lasts and was told already, perhaps by an earlier run, if no person has read it."""
        told = self._open.get(trouble.name)
        if told is not None and not self._routes.is_read(told.route):
            self._unread[trouble.name] = trouble

    async def repeat_unread(self) -> None:
        """What no person has read, by a road that one reads."""
        for name, trouble in list(self._unread.items()):
            road = self._routes.working(trouble.unreachable)
            if road is not None and self._routes.is_read(road) and await self._repeat(trouble, road):
                self._unread.pop(name, None)

    async def _repeat(self, trouble: Condition, road: str) -> bool:
        """Hand a trouble over anew, under an id of its own; False when not even the reserve is left."""
        signal = _signal(trouble, road, new_id())
        if not await self._submit(signal, road):
            return False
        self._emit(AlarmRaised(signal.id, trouble.kind, trouble.about, road))
        if alarm := self._open.get(trouble.name):
            self._open[trouble.name] = msgspec.structs.replace(alarm, route=road)
            with suppress(StorageFull):
                await self._journal.run(loss_reports.alarm_raised, self._open[trouble.name])
        return True

    # --- telling ----------------------------------------------------------------------------------------------------------

    async def _raise(self, trouble: Condition, *, lasted: float = 0.0) -> bool:
        """Tell people of a trouble; False when that is not possible now."""
        road = self._routes.working(trouble.unreachable)
        if road is None:
            if trouble.name not in self._undeliverable:
                self._undeliverable.add(trouble.name)
                self._emit(AlarmUndeliverable(trouble.kind, trouble.about))
            return False
        signal = _signal(trouble, road, await self._id(trouble))
        known = signal.id in self._tracker.known
        if not await self._submit(signal, road):
            road = await self._send_unrecorded(trouble, signal)
        if road is None:
            return False
        self._throttle.on_raised(trouble.name, self._clock.now(), lasts=trouble.kind in _LAST)
        self._undeliverable.discard(trouble.name)
        if trouble.kind in _ENDS:
            await self._save_open(trouble, lasted, road)
        is_new = not known and signal.id in self._tracker.known
        self._note_route(trouble, road, is_new=is_new)
        if is_new:
            self._emit(AlarmRaised(signal.id, trouble.kind, trouble.about, road))
        return True

    def _note_route(self, trouble: Condition, road: str, *, is_new: bool) -> None:
        """Whether a person reads what was told; what the journal had already was told where the alarm says."""
        told = self._open.get(trouble.name)
        if not self._routes.is_read(told.route if told and not is_new else road):
            self._unread[trouble.name] = trouble
        else:
            self._unread.pop(trouble.name, None)

    async def _submit(self, signal: Signal, road: str) -> bool:
        """Store a signal of our own; False when not even the reserve is left."""
        try:
            (receipt,) = await self._acceptor.accept([signal], Peer(os.getuid(), os.getgid(), os.getpid()), ours=True)
        except StorageFull:
            return False
        if receipt.state == "stored":
            self._tracker.raised(signal.id, road)
        return True

    async def _save_open(self, trouble: Condition, lasted: float, road: str) -> None:
        """Until its all-clear; one of an earlier run that is told again keeps its beginning."""
        now = self._clock.steady()
        alarm = self._open.setdefault(trouble.name, OpenAlarm(*trouble.name, now - lasted, now, road))
        with suppress(StorageFull):
            await self._journal.run(loss_reports.alarm_raised, alarm)

    async def _send_unrecorded(self, trouble: Condition, signal: Signal) -> str | None:
        """The last alarm of a full disk needs no disk: the first destination that takes it now has it, and nothing is written down."""
        for name in self._routes.all(trouble.unreachable):
            delivery = Delivery(0, signal, name, Priority.HIGH, self._clock.wall())
            lane = next((lane for lane in self._lanes if lane.name == name), None)
            if lane and await lane.send_unrecorded(delivery):
                self._emit(AlarmRaised(signal.id, trouble.kind, trouble.about, name))
                return name
        return None

    async def _id(self, trouble: Condition) -> str:
        """A fresh one; but always the same for what is told once, and for a destination that is disabled until it asks once more: it has no
        request after that.
        """
        if trouble.once:
            return id_of(0, blake2s(f"{trouble.name} {trouble.body}".encode(), digest_size=10).digest())
        if trouble.kind != "disabled":
            return new_id()
        last = await self._journal.run(limiter_state.last_request, trouble.about)
        options = self._config.current.destinations.get(trouble.about)
        return _id_of(f"{trouble.about} {options and options.fingerprint} {trouble.body} {last}")


def _signal(trouble: Condition, road: str, id_: str) -> Signal:
    return Signal(trouble.title, body=trouble.body, priority=trouble.priority, source=DAEMON_SOURCE, to=road, id=id_)


def _id_of(what: str) -> str:
    return id_of(0, blake2s(what.encode(), digest_size=10).digest())


def _waiting(destination: str, counts: Iterable[Count]) -> int:
    return sum(each.n for each in counts if each.destination == destination and State(each.state) in OPEN)
