"""Events of intake: what happens to a signal until the journal has it, or does not."""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class Accepted(Event, frozen=True):
    """A signal is on disk."""

    level: ClassVar[str] = "debug"
    id: str
    priority: str
    destinations: tuple[str, ...]
    uid: int
    pid: int


class Duplicate(Event, frozen=True):
    """A signal arrived whose id the journal already has. It was not stored again."""

    level: ClassVar[str] = "debug"
    id: str


class ForeignId(Event, frozen=True):
    """A signal arrived with the id of another user's signal. It was stored under the new id `stored_as`."""

    level: ClassVar[str] = "warning"
    id: str
    stored_as: str
    uid: int
    pid: int


class UnknownDestination(Event, frozen=True):
    """A signal from an outbox names destinations `to` that do not exist. They are ignored; if no other is named, the routes decide."""

    level: ClassVar[str] = "warning"
    id: str
    to: tuple[str, ...]
    uid: int


class Unrouted(Event, frozen=True):
    """No route matches this signal. It is kept as dead until an operator or a new configuration gives it a destination."""

    level: ClassVar[str] = "warning"
    id: str


class SignalRefused(Event, frozen=True):
    """A signal was invalid. The receipt gave the reason to its sender."""

    level: ClassVar[str] = "warning"
    field: str
    reason: str
    uid: int
    pid: int


class LossesReported(Event, frozen=True):
    """A client reports earlier losses: `refused` signals were empty, `dropped` signals reached neither daemon nor spool."""

    level: ClassVar[str] = "warning"
    refused: int
    dropped: int
    uid: int
    pid: int


class SourceReserved(Event, frozen=True):
    """A signal claimed a source that is reserved for the daemon. It was stored with a source that names its sender."""

    level: ClassVar[str] = "warning"
    id: str
    uid: int
    pid: int


class SignalsLost(Event, frozen=True):
    """Signals could not be stored, and their sender had chosen not to wait for the disk."""

    level: ClassVar[str] = "error"
    signals: int
    reason: str


class AttachmentDropped(Event, frozen=True):
    """A signal was stored without its attachment."""

    level: ClassVar[str] = "warning"
    id: str
    reason: str


class SpoolImported(Event, frozen=True):
    """Signals from the spool are in the journal. Most signals arrive in this way, hence the level."""

    level: ClassVar[str] = "debug"
    files: int
    signals: int


class Quarantined(Event, frozen=True):
    """A file of the spool could not be imported completely. It was moved to quarantine for the operator."""

    level: ClassVar[str] = "error"
    file: str
    reason: str


class SpoolProblem(Event, frozen=True):
    """The spool cannot be imported at present. The daemon tries again."""

    level: ClassVar[str] = "error"
    reason: str


class SpoolRecovered(Event, frozen=True):
    """The spool is imported again after a `SpoolProblem`."""


class IntakeClosed(Event, frozen=True):
    """The daemon refuses signals because the disk is full. Deliveries continue."""

    level: ClassVar[str] = "error"
    reason: str


class IntakeOpened(Event, frozen=True):
    """The daemon accepts signals again after an `IntakeClosed`."""
