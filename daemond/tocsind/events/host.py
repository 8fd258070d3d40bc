"""Events of the host: journal files, sockets and progress of the process."""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class StorageProblem(Event, frozen=True):
    """The journal could not be written at present. The journal thread tries again."""

    level: ClassVar[str] = "error"
    reason: str


class JournalRecovered(Event, frozen=True):
    """The journal was damaged. The old files are in `folder`; the readable rows were copied to a new journal.

    `owed_again` counts the signals whose deliveries could not be read: they are delivered again.
    """

    level: ClassVar[str] = "error"
    reason: str
    folder: str
    signals: int
    deliveries: int
    unreadable: int
    owed_again: int


class JournalReplaced(Event, frozen=True):
    """The journal file is another one than in the last run, e.g. a backup. Its waiting deliveries are marked as possible duplicates."""

    level: ClassVar[str] = "warning"
    reason: str
    waiting: int


class ProgressStalled(Event, frozen=True):
    """The daemon makes no progress. The watchdog sends the service manager no keep-alive until it does."""

    level: ClassVar[str] = "error"
    reason: str


class ProgressResumed(Event, frozen=True):
    """The daemon makes progress again after a `ProgressStalled`."""


class AcceptFailed(Event, frozen=True):
    """The listener cannot accept connections at present: `times` failures since the last report. Connections wait in its backlog."""

    level: ClassVar[str] = "error"
    listener: str
    reason: str
    times: int


class SocketProblem(Event, frozen=True):
    """The socket file is gone and could not be created again, so clients cannot connect. The daemon tries again."""

    level: ClassVar[str] = "error"
    socket: str
    reason: str


class SocketRestored(Event, frozen=True):
    """The socket file was gone. The daemon created it again."""

    level: ClassVar[str] = "warning"
    socket: str
