"""Alarms from events: which event raises one, which one ends its condition, and where the daemon's own alarms wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import trio

from tocsind.delivery.lane_view import LONG_BLOCK_SECONDS
from tocsind.events import (
    Ambiguous,
    Dead,
    DestinationNote,
    Disabled,
    DroppedByOperator,
    Enabled,
    EngineFound,
    EngineMissing,
    EngineUnsafe,
    Event,
    Expired,
    FolderCopied,
    HostForgotten,
    HostFound,
    HostMissing,
    IntakeClosed,
    IntakeOpened,
    ItemQuarantined,
    LossesReported,
    Quarantined,
    RateLimited,
    Recovered,
    Rerouted,
    Sent,
    SharesNothing,
    SignalRefused,
    SignalsLost,
    SocketProblem,
    SocketRestored,
    SpoolProblem,
    SpoolRecovered,
    Unrouted,
)

from . import alarm_texts as texts
from .alarm_texts import Alarm

_SETTLED = (Sent, Ambiguous, Dead, Expired)
_KNOWN_ALARMS = 100  # submitted alarms whose ids are kept; one of each name in ten minutes


class AlarmTracker:
    """An observer of events: the alarms that are due, and the alarms that were submitted."""

    def __init__(self) -> None:
        self.pending: dict[tuple[str, str], Alarm] = {}
        self.changed = trio.Event()  # replaced each time it is set
        self.losses_possible = False  # signals ended that perhaps no person saw
        self.reports_wait = False  # a loss report waits until its destination works
        self.lasting: set[tuple[str, str]] = (
            set()
        )  # kind and subject of conditions that concern no destination and are on
        self.recovered: set[tuple[str, str]] = set()  # and of those that ended
        self.given_up: set[tuple[str, str]] = set()  # and of those that are not watched any more
        self._unreported: Counter[str] = Counter()  # signals refused and dropped since the last alarm
        self._submitted: dict[str, str | None] = {}  # by id: the destination where it waits, if it waits

    @property
    def known(self) -> Collection[str]:
        """The ids of the latest alarms."""
        return self._submitted.keys()

    def __call__(self, event: Event) -> None:
        """Note what an event says about the daemon."""
        if make := _ALARMS.get(type(event)):
            self.observe(make(event))
        elif over := _OVER.get(type(event)):
            self.pending.pop(over(event), None)
        self._count(event)
        self._follow(event)
        if isinstance(event, _NOTIFYING) or (self.reports_wait and isinstance(event, Sent)):
            self._notify()

    def _count(self, event: Event) -> None:
        if isinstance(event, _UNSEEN):
            self.losses_possible = True
        elif isinstance(event, SignalRefused):
            self._count_lost("refused", 1, event, f"{event.field}: {event.reason}")
        elif isinstance(event, LossesReported):
            self._count_lost("refused", event.refused, event, "it said nothing")
            self._count_lost("dropped", event.dropped, event, "neither the daemon nor its spool took it")
        elif isinstance(event, ItemQuarantined):
            self._unreported["item"] += 1
            self.observe(texts.item_put_aside(event, self._unreported["item"]))
        elif begins := _BEGINNINGS.get(type(event)):
            self.lasting.add(begins(event))
        elif ends := _RECOVERIES.get(type(event)):
            self.lasting.discard(ends(event))
            self.recovered.add(ends(event))
        elif isinstance(event, HostForgotten):
            self.given_up.add(("host", event.host))

    def _count_lost(self, kind: str, signals: int, event: SignalRefused | LossesReported, reason: str) -> None:
        if signals:
            self._unreported[kind] += signals
            self.observe(texts.not_accepted(kind, self._unreported[kind], event, reason))

    def _follow(self, event: Event) -> None:
        """Where the submitted alarms are."""
        if isinstance(event, _SETTLED) and event.id in self._submitted:
            self._submitted[event.id] = None
        elif isinstance(event, Rerouted) and event.id in self._submitted:
            self._submitted[event.id] = event.fallback

    def observe(self, alarm: Alarm | None) -> None:
        """An alarm is due."""
        if alarm is not None:
            self.pending[alarm.name] = alarm
            self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def acknowledge(self, alarm: Alarm) -> None:
        """The alarm was raised; a newer one of the same name stays pending."""
        if self.pending.get(alarm.name) is alarm:
            del self.pending[alarm.name]
            self._unreported.pop(alarm.kind, None)

    def submitted(self, id_: str, route: str) -> None:
        """The journal has the alarm with this id, for the destination `route`."""
        self._submitted[id_] = route
        if len(self._submitted) > _KNOWN_ALARMS:
            del self._submitted[next(iter(self._submitted))]

    def waiting(self) -> Counter[str]:
        """How many alarms wait, by destination."""
        return Counter(route for route in self._submitted.values() if route is not None)


def _limited(event: RateLimited) -> Alarm | None:
    is_long = event.seconds >= LONG_BLOCK_SECONDS
    return texts.limited(event.destination, event.reason, event.seconds) if is_long else None


_ALARMS: dict[type[Event], Callable[[Any], Alarm | None]] = {
    Disabled: lambda event: texts.disabled(event.destination, event.reason),
    DestinationNote: lambda event: texts.partly(event.destination, event.note) if event.is_problem else None,
    RateLimited: _limited,
    IntakeClosed: texts.disk_full,
    Quarantined: texts.quarantined,
    SpoolProblem: texts.spool_unread,
    SocketProblem: texts.socket_gone,
    EngineMissing: texts.engine_missing,
    EngineUnsafe: texts.engine_unsafe,
    SharesNothing: texts.shares_nothing,
    FolderCopied: texts.folder_copied,
    HostMissing: texts.host_missing,
    SignalsLost: texts.lost,
}
_RECOVERIES: dict[type[Event], Callable[[Any], tuple[str, str]]] = {
    SpoolRecovered: lambda _: ("spool", "the spool"),
    SocketRestored: lambda event: ("socket", event.socket),
    EngineFound: lambda event: ("engine", event.engine),
    HostFound: lambda event: ("host", event.host),
}
_OVER: dict[type[Event], Callable[[Any], tuple[str, str]]] = {
    IntakeOpened: lambda _: ("disk", "the disk"),
    Enabled: lambda event: ("disabled", event.destination),
    **_RECOVERIES,
    HostForgotten: lambda event: ("host", event.host),
}
_BEGINNINGS: dict[type[Event], Callable[[Any], tuple[str, str]]] = {
    SpoolProblem: lambda _: ("spool", "the spool"),
    SocketProblem: lambda event: ("socket", event.socket),
    EngineMissing: lambda event: ("engine", event.engine),
    HostMissing: lambda event: ("host", event.host),
}
_UNSEEN = (Dead, DroppedByOperator, Expired, Unrouted)
_NOTIFYING: tuple[type[Event], ...] = (*_UNSEEN, *_RECOVERIES, Enabled, HostForgotten, IntakeOpened, Recovered)
