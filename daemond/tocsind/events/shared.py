"""Events of destinations that several hosts share."""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class SharesNothing(Event, frozen=True):
    """The daemon started with [shared] and cannot take part: `reason` says what is lacking. A configuration-warning has it in the log."""

    level: ClassVar[str] = "debug"
    reason: str


class EngineLost(Event, frozen=True):
    """The engine cannot be used: `cause` is a word of `tocsind.shared.engine.Cause`, `reason` a sentence. What this host accepts stays in
    its journal; `then` says what happens to it.
    """

    level: ClassVar[str] = "warning"
    engine: str
    cause: str
    reason: str
    then: str


class EngineStillLost(Event, frozen=True):
    """The engine cannot be used for another cause than before: it was killed, and refuses the password since it is there again."""

    level: ClassVar[str] = "warning"
    engine: str
    cause: str
    reason: str


class EngineMissing(Event, frozen=True):
    """The engine could not be used for so long that people have to know. `says` is the cause as people read it after the engine's name;
    `detail` is what the engine or the system said; `then` as in EngineLost.
    """

    level: ClassVar[str] = "error"
    engine: str
    cause: str
    says: str
    detail: str
    then: str
    seconds: float


class WakeupsRefused(Event, frozen=True):
    """The engine refuses to announce news to this host, which asks for them every second."""

    level: ClassVar[str] = "warning"
    engine: str
    reason: str


class EngineFound(Event, frozen=True):
    """The engine can be used again, or for the first time."""

    engine: str


class EngineUnsafe(Event, frozen=True):
    """A setting of the engine, or its version, may lose what waits or refuse a step. `reports`: this host tells people, for all hosts."""

    level: ClassVar[str] = "warning"
    engine: str
    reason: str
    reports: bool = False


class EngineForgot(Event, frozen=True):
    """The engine has lost its memory. What waits is handed over again."""

    level: ClassVar[str] = "warning"
    destination: str


class EngineRestarted(Event, frozen=True):
    """The engine is another process than before: restarted, or a replica in its place. It may have lost its last steps, so all hosts say
    again what they know.
    """

    destination: str


class LeaseTaken(Event, frozen=True):
    """This host sends for a destination from now on. `before` is the host that did."""

    destination: str
    before: str


class LeaseLost(Event, frozen=True):
    """This host does not send for a destination any more. So many deliveries of other hosts were given back."""

    destination: str
    holder: str
    returned: int


class LeaseLeft(Event, frozen=True):
    """This host does not get through to a destination, and lets another one send."""

    level: ClassVar[str] = "warning"
    destination: str
    reason: str


class ItemQuarantined(Event, frozen=True):
    """The engine holds something that is no delivery. It was put aside there."""

    level: ClassVar[str] = "error"
    destination: str
    item: str
    reason: str


class FolderCopied(Event, frozen=True):
    """Two daemons have one state folder, or copies of it. This one was called `before`, and is `host` from now on. `waiting` deliveries may
    be sent by both; those of this one are marked.
    """

    level: ClassVar[str] = "error"
    before: str
    host: str
    reason: str
    waiting: int


class HostMissing(Event, frozen=True):
    """Another host has said nothing for so long. It held `queued` deliveries, of which `kept` are in its journal alone."""

    level: ClassVar[str] = "error"
    host: str
    seconds: float
    kept: int
    queued: int


class HostFound(Event, frozen=True):
    """A host that was missing is there again, or has stopped as it should."""

    host: str


class HostForgotten(Event, frozen=True):
    """A host has been missing for a day: it is not looked for any more."""

    level: ClassVar[str] = "warning"
    host: str
