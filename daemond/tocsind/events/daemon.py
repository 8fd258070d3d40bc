"""Events of the daemon itself: start, stop, configuration, requests of clients and operators."""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class Started(Event, frozen=True):
    """The daemon serves. `queued` deliveries wait; `ambiguous` of them were in flight when the last run ended."""

    version: str
    pid: int
    socket: str
    state: str
    queued: int
    ambiguous: int


class Stopping(Event, frozen=True):
    """The daemon began to stop: it starts no new work, and requests in flight finish."""

    reason: str


class Stopped(Event, frozen=True):
    """The daemon stopped. `queued` deliveries wait in the journal for the next start."""

    queued: int


class Reloaded(Event, frozen=True):
    """A new configuration is in force. It has so many destinations."""

    destinations: int


class ReloadRefused(Event, frozen=True):
    """The new configuration has errors. The old one stays in force."""

    level: ClassVar[str] = "error"
    problems: tuple[str, ...]


class ConfigurationWarning(Event, frozen=True):
    """The configuration is valid, but a setting in it is probably a mistake."""

    level: ClassVar[str] = "warning"
    problem: str


class WebhookAdded(Event, frozen=True):
    """A client supplied a webhook. It is a destination from now on."""

    destination: str
    uid: int
    pid: int


class WebhookRejected(Event, frozen=True):
    """A client supplied a webhook, and the daemon did not accept it."""

    level: ClassVar[str] = "warning"
    reason: str
    uid: int
    pid: int


class ConnectionRefused(Event, frozen=True):
    """A listener refused a client: it closed the connection, or answered an HTTP request with 401, 403 or 413, or with 404 or 405 what may
    have been an alert. `uid` is None over TCP. The log and the event feed get one event per uid and kind in a minute
    (`observe.refusal_limit`); `omitted` counts those of that uid and kind that were left out since the one before.
    """

    level: ClassVar[str] = "warning"
    uid: int | None
    kind: str
    reason: str
    omitted: int = 0


class RequestNotPermitted(Event, frozen=True):
    """A user requested an operation that is reserved for the sender, root or the daemon's own user."""

    level: ClassVar[str] = "warning"
    operation: str
    uid: int
    pid: int


class DroppedByOperator(Event, frozen=True):
    """An operator dropped the waiting deliveries of the signal `id`."""

    id: str
    deliveries: int


class AcknowledgedBy(Event, frozen=True):
    """A user acknowledged a signal (`id`) or the story of a `key`; it ended so many repetitions."""

    id: str | None
    key: str | None
    stopped: int
    uid: int
    pid: int


class Requeued(Event, frozen=True):
    """An operator requeued so many dead deliveries."""

    deliveries: int
