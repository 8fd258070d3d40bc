"""Events of the observers: alarms, heartbeat, HTTP endpoints, log and event feed."""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class AlarmRaised(Event, frozen=True):
    """The journal has the alarm, the signal `id`. `about` is the subject of the condition, `route` the destination of the alarm."""

    level: ClassVar[str] = "warning"
    id: str
    condition: str
    about: str
    route: str


class AllClear(Event, frozen=True):
    """A condition for which an alarm was raised ended after so many seconds. The signal `id` reports it."""

    id: str
    condition: str
    about: str
    route: str
    seconds: float


class LossReported(Event, frozen=True):
    """The signal `id` reports signals that ended as `state` at this destination and did not arrive."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    state: str
    signals: int
    route: str


class AlarmUndeliverable(Event, frozen=True):
    """An alarm is due, and no working destination is left for it."""

    level: ClassVar[str] = "error"
    condition: str
    about: str


class HttpOpened(Event, frozen=True):
    """HTTP requests are answered on this address."""

    listen: str


class HttpProblem(Event, frozen=True):
    """This address cannot be listened on at present. The daemon tries again."""

    level: ClassVar[str] = "error"
    listen: str
    reason: str


class HeartbeatWithheld(Event, frozen=True):
    """Deliveries do not work, so the daemon sends no heartbeat. The external monitor alerts when it misses one."""

    level: ClassVar[str] = "error"
    reason: str


class HeartbeatFailed(Event, frozen=True):
    """A heartbeat did not reach the external monitor. The daemon tries again."""

    level: ClassVar[str] = "warning"
    reason: str


class HeartbeatResumed(Event, frozen=True):
    """A heartbeat reached the external monitor again."""


class LogLinesDropped(Event, frozen=True):
    """So many lines are missing at this place of the log: its reader was too slow, or the write failed."""

    level: ClassVar[str] = "warning"
    lines: int


class EventsDropped(Event, frozen=True):
    """A reader of the event feed was too slow: so many events are missing here. Only that reader receives this event."""

    events: int
