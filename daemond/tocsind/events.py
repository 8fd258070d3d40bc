"""The facts: what happened, once each, frozen. Working code emits a fact in one line; `log` and `metrics` dress it, `tail` streams it.

No fact carries a secret, because nothing that holds one is ever a field here. `level` is how loud the log tells it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

import msgspec


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=_kebab):
    """Something that happened. `InDoubt` is called `ambiguous` in the log and on the wire."""

    level: ClassVar[str] = "info"


class Started(Event, frozen=True):
    """The daemon serves. `queued` deliveries wait; `doubtful` of them were in flight when the last run ended."""

    version: str
    pid: int
    socket: str
    state: str
    queued: int
    doubtful: int


class Stopping(Event, frozen=True):
    """The daemon leaves: no new work, sends in flight finish."""

    reason: str


class Stopped(Event, frozen=True):
    """Everything is settled or on disk."""

    queued: int


class Reloaded(Event, frozen=True):
    """A new configuration is in force."""

    destinations: int


class ReloadRefused(Event, frozen=True):
    """The new configuration is wrong; the old one stays."""

    level: ClassVar[str] = "error"
    problems: tuple[str, ...]


class ConfigurationWarning(Event, frozen=True):
    """Something in the configuration works but is unlikely to be meant."""

    level: ClassVar[str] = "warning"
    problem: str


class WebhookAdded(Event, frozen=True):
    """A program lent its webhook, which is a destination from now on."""

    destination: str
    uid: int
    pid: int


class WebhookRejected(Event, frozen=True):
    """A program's webhook was not taken."""

    level: ClassVar[str] = "warning"
    reason: str
    uid: int
    pid: int


class Accepted(Event, frozen=True):
    """A signal is on disk."""

    level: ClassVar[str] = "debug"
    id: str
    priority: str
    destinations: tuple[str, ...]
    uid: int
    pid: int


class Duplicate(Event, frozen=True):
    """An id came again; it was stored before."""

    level: ClassVar[str] = "debug"
    id: str


class ForeignId(Event, frozen=True):
    """A signal came under an id that a signal of another user has: it was stored under a fresh one."""

    level: ClassVar[str] = "warning"
    id: str
    stored_as: str
    uid: int
    pid: int


class UnknownDestination(Event, frozen=True):
    """A signal from an outbox names destinations that there are not; without them it goes on, by the routes if no other is named."""

    level: ClassVar[str] = "warning"
    id: str
    to: tuple[str, ...]
    uid: int


class Unrouted(Event, frozen=True):
    """No route takes this signal: it is kept as dead until a person or a new configuration says where it belongs."""

    level: ClassVar[str] = "warning"
    id: str


class SignalRefused(Event, frozen=True):
    """A signal was wrong in itself, and its sender was told."""

    level: ClassVar[str] = "warning"
    field: str
    reason: str
    uid: int
    pid: int


class LossesReported(Event, frozen=True):
    """A program could not hand over signals before: they said nothing (refused), or neither we nor the spool took them (dropped)."""

    level: ClassVar[str] = "warning"
    refused: int
    dropped: int
    uid: int
    pid: int


class SourceReserved(Event, frozen=True):
    """A signal claimed to come from tocsin itself; it is stored with a source that says who sent it."""

    level: ClassVar[str] = "warning"
    id: str
    uid: int
    pid: int


class RequestNotPermitted(Event, frozen=True):
    """A user asked for what only the sender, root or the daemon's own user may do."""

    level: ClassVar[str] = "warning"
    operation: str
    uid: int
    pid: int


class SignalsLost(Event, frozen=True):
    """Signals whose sender chose not to wait for the disk could not be stored."""

    level: ClassVar[str] = "error"
    signals: int
    reason: str


class SpoolImported(Event, frozen=True):
    """Signals that lay in the spool are in the journal. It is how most signals come, so it is no news for the log."""

    level: ClassVar[str] = "debug"
    files: int
    signals: int


class Quarantined(Event, frozen=True):
    """A file of the spool could not be taken, or not all of it; it was put aside for a person."""

    level: ClassVar[str] = "error"
    file: str
    reason: str


class SpoolProblem(Event, frozen=True):
    """The spool cannot be taken in just now; it is tried again."""

    level: ClassVar[str] = "error"
    reason: str


class AttachmentDropped(Event, frozen=True):
    """A signal is on disk without the file that it should have brought."""

    level: ClassVar[str] = "warning"
    id: str
    reason: str


class IntakeClosed(Event, frozen=True):
    """Signals are refused for want of disk; deliveries go on."""

    level: ClassVar[str] = "error"
    reason: str


class IntakeOpened(Event, frozen=True):
    """Signals are taken again."""


class Sent(Event, frozen=True):
    """A delivery arrived. `seconds` is its age at arrival."""

    level: ClassVar[str] = "debug"
    id: str
    destination: str
    attempts: int
    seconds: float
    message: str | None = None
    reason: str | None = None  # of a living message: how it was told


class Edited(Event, frozen=True):
    """A living message shows a new state, that of `id`; so many deliveries were told by this one edit."""

    level: ClassVar[str] = "debug"
    id: str
    destination: str
    key: str
    message: str
    deliveries: int


class Ambiguous(Event, frozen=True):
    """A delivery may have arrived; nobody can say, and it is not sent again here."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    reason: str


class Deferred(Event, frozen=True):
    """An attempt did not succeed; the delivery waits for another."""

    id: str
    destination: str
    attempts: int
    wait: float
    reason: str


class Dead(Event, frozen=True):
    """A delivery is dead: given up on, kept for a person."""

    level: ClassVar[str] = "error"
    id: str
    destination: str
    reason: str


class Expired(Event, frozen=True):
    """A delivery's time passed before it could be sent."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str


class Rerouted(Event, frozen=True):
    """A delivery went to the fallback."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    fallback: str
    reason: str


class Digested(Event, frozen=True):
    """More waited than can be told in time: so many of the oldest are told in sum, by the digest `id`."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    priority: str
    deliveries: int


class OrphansRequeued(Event, frozen=True):
    """Deliveries whose destination is gone from the configuration went where its routes say."""

    level: ClassVar[str] = "warning"
    destination: str
    deliveries: int


class DroppedByOperator(Event, frozen=True):
    """A person dropped a signal's waiting deliveries."""

    id: str
    deliveries: int


class Requeued(Event, frozen=True):
    """A person put dead deliveries back."""

    deliveries: int


class RateLimited(Event, frozen=True):
    """A lane waits because of a rate limit that the far end told."""

    destination: str
    reason: str
    seconds: float


class DestinationNote(Event, frozen=True):
    """Something that a destination's answers show once and for all: deliveries go on."""

    level: ClassVar[str] = "warning"
    destination: str
    note: str


class BreakerOpened(Event, frozen=True):
    """A lane's breaker tripped: the far end failed too often in a row and rests."""

    level: ClassVar[str] = "warning"
    destination: str
    reason: str
    rest: float


class ProbeFailed(Event, frozen=True):
    """The one delivery that was let through failed; the far end rests longer."""

    level: ClassVar[str] = "warning"
    destination: str
    reason: str
    rest: float


class Recovered(Event, frozen=True):
    """A lane's breaker closed again: the far end answers."""

    destination: str


class Disabled(Event, frozen=True):
    """A destination is out of service until a person enables it; its queue goes to the fallback."""

    level: ClassVar[str] = "error"
    destination: str
    reason: str


class Enabled(Event, frozen=True):
    """A person put a destination back into service."""

    destination: str


class StorageProblem(Event, frozen=True):
    """The journal could not be written just now; the writer tries again."""

    level: ClassVar[str] = "error"
    reason: str


class JournalRecovered(Event, frozen=True):
    """The journal was damaged: the old files lie in `folder`, and what could be read out of them goes on."""

    level: ClassVar[str] = "error"
    reason: str
    folder: str
    signals: int
    deliveries: int
    unreadable: int
    owed_again: int


class JournalReplaced(Event, frozen=True):
    """The journal is not the one that was here before: a backup, or another one. What waits in it is marked: it may come twice."""

    level: ClassVar[str] = "warning"
    reason: str
    waiting: int


class ProgressStalled(Event, frozen=True):
    """We do not get on, and the service manager gets no sign of life until we do."""

    level: ClassVar[str] = "error"
    reason: str


class AlarmRaised(Event, frozen=True):
    """An alarm about ourselves is in safe keeping, as the signal `id`: what the trouble is, whom it is about, and where it is told."""

    level: ClassVar[str] = "warning"
    id: str
    trouble: str
    about: str
    road: str


class AllClear(Event, frozen=True):
    """A trouble of which people were told is over, after so many seconds; the signal `id` says so."""

    id: str
    trouble: str
    about: str
    road: str
    seconds: float


class LossReported(Event, frozen=True):
    """The signal `id` tells people of signals that ended at this destination as `state` without an arrival."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    state: str
    signals: int
    road: str


class SpoolRecovered(Event, frozen=True):
    """The spool is taken in again."""


class AlarmUndeliverable(Event, frozen=True):
    """There is an alarm about ourselves, and no road is left on which it could be told."""

    level: ClassVar[str] = "error"
    trouble: str
    about: str


class HttpOpened(Event, frozen=True):
    """`/metrics`, `/healthz` and `/readyz` are answered here."""

    listen: str


class HttpProblem(Event, frozen=True):
    """They cannot be answered there just now; it is tried again."""

    level: ClassVar[str] = "error"
    listen: str
    reason: str


class HeartbeatWithheld(Event, frozen=True):
    """Deliveries do not work: whoever waits for our heartbeat shall miss it."""

    level: ClassVar[str] = "error"
    reason: str


class ProgressResumed(Event, frozen=True):
    """What stood still moves again."""


class HeartbeatFailed(Event, frozen=True):
    """Whoever waits for our heartbeat could not be told; it is tried again."""

    level: ClassVar[str] = "warning"
    reason: str


class HeartbeatResumed(Event, frozen=True):
    """Whoever waits for our heartbeat hears it again."""


class ConnectionRefused(Event, frozen=True):
    """A connection was turned away or closed, and why."""

    level: ClassVar[str] = "warning"
    uid: int
    reason: str


class AcceptFailed(Event, frozen=True):
    """Connections cannot be accepted just now: `times` since the last report of this. They wait in the listener's backlog."""

    level: ClassVar[str] = "error"
    listener: str
    reason: str
    times: int


class SocketProblem(Event, frozen=True):
    """Programs cannot connect any more, because the socket's file is gone and cannot be made again. It is tried again."""

    level: ClassVar[str] = "error"
    socket: str
    reason: str


class SocketRestored(Event, frozen=True):
    """The socket's file was gone, and is there again."""

    level: ClassVar[str] = "warning"
    socket: str


class LogLinesDropped(Event, frozen=True):
    """So many lines are missing at this place of the log: nobody read it, or it could not be written."""

    level: ClassVar[str] = "warning"
    lines: int


class EventsDropped(Event, frozen=True):
    """Whoever watches did not keep up: so many facts are not shown here. Told to that watcher alone."""

    facts: int


Emit = Callable[[Event], None]
