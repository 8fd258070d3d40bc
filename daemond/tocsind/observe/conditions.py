"""What people should know of ourselves: which facts tell of a trouble, and what an alarm says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import msgspec
import trio

from tocsin.durations import format_duration
from tocsind.delivery.lane_view import LONG_BLOCK_SECONDS
from tocsind.events import (
    Ambiguous,
    Dead,
    Disabled,
    DroppedByOperator,
    Enabled,
    Event,
    Expired,
    IntakeClosed,
    IntakeOpened,
    LossesReported,
    Quarantined,
    RateLimited,
    Recovered,
    Rerouted,
    Sent,
    SignalRefused,
    SignalsLost,
    SocketProblem,
    SocketRestored,
    SpoolProblem,
    SpoolRecovered,
    Unrouted,
)
from tocsind.host.damaged_files import Finding

_ENDINGS = (Sent, Ambiguous, Dead, Expired)
_KEPT = 100  # alarms on their way that are known by id; they are told once in ten minutes each


class Condition(msgspec.Struct, frozen=True):
    """`lost` is the destination that cannot tell of it, because it is the one concerned. `once`: told once, over restarts too. What
    `adds_up` counts what has happened since it was told last, and waits for its turn.
    """

    kind: str
    about: str
    title: str
    body: str
    unreachable: str | None = None
    priority: str = "high"
    once: bool = False
    adds_up: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """What is told once."""
        return self.kind, self.about


class Tracker:
    """An observer of facts: the troubles that are to be told, and the alarms that are on their way."""

    def __init__(self) -> None:
        self.pending: dict[tuple[str, str], Condition] = {}
        self.changed = trio.Event()  # replaced each time it is set
        self.missed = False  # signals have ended that perhaps nobody saw
        self.reports_wait = False  # a report waits for its destination to work
        self.lasting: set[str] = set()  # kinds of trouble that concern no destination
        self.recovered: set[str] = set()  # and those that have ended
        self._unreported: Counter[str] = Counter()  # signals refused and dropped, since people were told
        self._alarms: dict[str, str | None] = {}  # by id: where it waits, if it does

    @property
    def known(self) -> Collection[str]:
        """The ids of the latest alarms."""
        return self._alarms.keys()

    def __call__(self, fact: Event) -> None:
        """Note what a fact says of us."""
        if make := _CONDITIONS.get(type(fact)):
            self.observe(make(fact))
        elif over := _OVER.get(type(fact)):
            self.pending.pop(over(fact), None)
        self._count(fact)
        self._follow(fact)
        if isinstance(fact, _NOTIFYING) or (self.reports_wait and isinstance(fact, Sent)):
            self._notify()

    def _count(self, fact: Event) -> None:
        if isinstance(fact, _UNSEEN):
            self.missed = True
        elif isinstance(fact, SignalRefused):
            self._count_lost("refused", 1, fact, f"{fact.field}: {fact.reason}")
        elif isinstance(fact, LossesReported):
            self._count_lost("refused", fact.refused, fact, "it said nothing")
            self._count_lost("dropped", fact.dropped, fact, "neither the daemon nor its spool took it")
        elif kind := _BEGINNINGS.get(type(fact)):
            self.lasting.add(kind)
        elif kind := _RECOVERIES.get(type(fact)):
            self.lasting.discard(kind)
            self.recovered.add(kind)

    def _count_lost(self, kind: str, signals: int, fact: SignalRefused | LossesReported, reason: str) -> None:
        if signals:
            self._unreported[kind] += signals
            self.observe(_lost_before(kind, self._unreported[kind], fact, reason))

    def _follow(self, fact: Event) -> None:
        """Where our own alarms are."""
        if isinstance(fact, _ENDINGS) and fact.id in self._alarms:
            self._alarms[fact.id] = None
        elif isinstance(fact, Rerouted) and fact.id in self._alarms:
            self._alarms[fact.id] = fact.fallback

    def observe(self, trouble: Condition | None) -> None:
        """Something that people should know."""
        if trouble is not None:
            self.pending[trouble.name] = trouble
            self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def acknowledge(self, trouble: Condition) -> None:
        """It was told, unless there is something newer to tell."""
        if self.pending.get(trouble.name) is trouble:
            del self.pending[trouble.name]
            self._unreported.pop(trouble.kind, None)

    def raised(self, alarm: str, road: str) -> None:
        """An alarm is on its way."""
        self._alarms[alarm] = road
        if len(self._alarms) > _KEPT:
            del self._alarms[next(iter(self._alarms))]

    def waiting(self) -> Counter[str]:
        """How many alarms wait, by destination."""
        return Counter(road for road in self._alarms.values() if road is not None)


def disabled(name: str, reason: str) -> Condition:
    """A destination is out of service."""
    body = f"{reason}. What waits for it goes to its fallback; `tocsin enable {name}` puts it back."
    return Condition("disabled", name, f"{name} is disabled", body, unreachable=name)


def damaged(finding: Finding) -> Condition:
    """Files of the daemon were damaged, and put aside."""
    where = finding.folder.name
    outcome = f" {finding.outcome[:1].upper()}{finding.outcome[1:]}." if finding.outcome else ""
    body = f"{finding.reason[:1].upper()}{finding.reason[1:]}.{outcome} The files as they were found lie in {finding.folder}."
    return Condition("damage", where, "Stored signals were damaged", body, priority="urgent", once=True)


def failing(name: str, reason: str | None, seconds: float) -> Condition:
    """A destination's breaker has been open for so long."""
    body = f"{reason or 'it fails'}. What waits longer than its patience goes to a fallback, if one works; it is tried again and again."
    return Condition("breaker", name, f"{name} has been failing for {format_duration(seconds)}", body, unreachable=name)


def limited(name: str, reason: str | None, seconds: float) -> Condition:
    """The server of a destination has told it to wait for so long."""
    reason = reason or "it is blocked"
    body = f"{reason}. What waits longer than its patience goes to a fallback, if one works; `tocsin status` tells how long it lasts."
    return Condition(
        "limited", name, f"{name} is shut out for {format_duration(round(seconds))}", body, unreachable=name
    )


def late(name: str, seconds: float) -> Condition:
    """Something waits for longer than anybody should."""
    body = "`tocsin status` tells what they wait for; where a limit of yours is that low, `[alarms] age` may be higher."
    title = f"Signals have been waiting for {name} for {format_duration(seconds)}"
    return Condition("age", name, title, body, unreachable=name)


def all_clear(kind: str, about: str, seconds: float, waiting: int) -> tuple[str, str]:
    """Title and body of the signal that follows an alarm when its trouble is over; so many deliveries wait for the destination."""
    titles = {
        "breaker": f"{about} is no longer failing",
        "limited": f"{about} is no longer shut out",
        "disabled": f"{about} is enabled again",
        "age": f"Signals no longer wait too long for {about}",
        "disk": "Signals are taken again: the disk has room",
        "spool": "The spool is taken in again",
        "socket": f"Programs can connect to {about} again",
    }
    lasted = f"It lasted {format_duration(max(1, round(seconds)))}."
    if kind in {"disk", "spool", "socket"}:
        return titles[kind], lasted
    waits = (
        f"{waiting:,} {'signal waits' if waiting == 1 else 'signals wait'} for it"
        if waiting
        else "Nothing waits for it"
    )
    return titles[kind], f"{lasted} {waits}."


def _lost_before(kind: str, signals: int, fact: SignalRefused | LossesReported, reason: str) -> Condition:
    """Signals were refused, or dropped by the programs that raised them."""
    what = f"1 signal was {kind}" if signals == 1 else f"{signals:,} signals were {kind}"
    body = f"The last, of uid {fact.uid}, pid {fact.pid}: {reason}. Its sender was told."
    return Condition(kind, "senders", what, body, priority="normal" if kind == "refused" else "high", adds_up=True)


def _limited(fact: RateLimited) -> Condition | None:
    return limited(fact.destination, fact.reason, fact.seconds) if fact.seconds >= LONG_BLOCK_SECONDS else None


def _closed(fact: IntakeClosed) -> Condition:
    body = f"{fact.reason}. What is here is delivered; clients keep new signals in the spool, as far as there is room."
    return Condition("disk", "the disk", "No signals are taken: the disk is full", body)


def _quarantined(fact: Quarantined) -> Condition:
    body = f"{fact.file}: {fact.reason}. It lies in the spool's quarantine, perhaps with others; `tocsin status` tells where."
    return Condition("quarantine", "the spool", "Signals of the spool could not be read", body)


def _not_taken_in(fact: SpoolProblem) -> Condition:
    return Condition("spool", "the spool", "The spool is not taken in", f"{fact.reason}. What lies there waits.")


def _unreachable(fact: SocketProblem) -> Condition:
    body = f"{fact.reason}. Clients keep new signals in the spool, and those are taken in; commands do not reach the daemon."
    return Condition("socket", fact.socket, f"Programs cannot connect to {fact.socket}", body)


def _lost(fact: SignalsLost) -> Condition:
    body = f"{fact.reason}. Whoever sent them chose not to wait for the disk; nobody else lost any."
    return Condition("lost", "the disk", f"{fact.signals} signals were lost", body)


_CONDITIONS: dict[type[Event], Callable[[Any], Condition | None]] = {
    Disabled: lambda fact: disabled(fact.destination, fact.reason),
    RateLimited: _limited,
    IntakeClosed: _closed,
    Quarantined: _quarantined,
    SpoolProblem: _not_taken_in,
    SocketProblem: _unreachable,
    SignalsLost: _lost,
}
_OVER: dict[type[Event], Callable[[Any], tuple[str, str]]] = {
    IntakeOpened: lambda _: ("disk", "the disk"),
    Enabled: lambda fact: ("disabled", fact.destination),
    SpoolRecovered: lambda _: ("spool", "the spool"),
    SocketRestored: lambda fact: ("socket", fact.socket),
}
_BEGINNINGS: dict[type[Event], str] = {SpoolProblem: "spool", SocketProblem: "socket"}
_RECOVERIES: dict[type[Event], str] = {SpoolRecovered: "spool", SocketRestored: "socket"}
_UNSEEN = (Dead, DroppedByOperator, Expired, Unrouted)
_NOTIFYING = (*_UNSEEN, Enabled, IntakeOpened, Recovered, SocketRestored, SpoolRecovered)
