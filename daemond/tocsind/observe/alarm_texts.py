"""The alarms about the daemon and its destinations: titles and bodies, for the people who read them."""

from __future__ import annotations

from enum import Enum
from math import ceil

import msgspec

from tocsin.durations import format_duration
from tocsind.events import (
    EngineMissing,
    EngineUnsafe,
    FolderCopied,
    HostMissing,
    IntakeClosed,
    ItemQuarantined,
    LossesReported,
    Quarantined,
    SharesNothing,
    SignalRefused,
    SignalsLost,
    SocketProblem,
    SpoolProblem,
)
from tocsind.host.damaged_files import Finding

_TRIED_AGAIN = "tocsin tries again by itself."
_SEE = "To see what waits, run: tocsin status"
_NOWHERE = "No other destination takes its alerts: they wait."


class Moves(Enum):
    """Which alerts of a destination that does not work go to its fallback; a text that names it."""

    ALL = "Its alerts go to {} now."
    LATE = "Alerts that wait too long for it go to {}."


class Alarm(msgspec.Struct, frozen=True):
    """A condition as people read it."""

    kind: str
    about: str
    title: str
    body: str
    command: str = ""
    """The last line: what to do, or where to look."""

    moves: Moves | None = None
    unreachable: str | None = None
    """The destination that the condition concerns: the alarm does not go there."""

    priority: str = "high"
    once: bool = False
    """Whether it is raised once only, restarts included."""

    accumulates: bool = False
    """Whether it counts what has happened since the last alarm of its name, and waits until it may be raised again."""

    @property
    def name(self) -> tuple[str, str]:
        """Kind and subject. An alarm of one name is raised once while its condition lasts."""
        return self.kind, self.about

    def text(self, fallback: str | None) -> str:
        """The body as people read it. `fallback`: the destination that now takes the alerts of the one concerned, as they know it."""
        moved = "" if self.moves is None else self.moves.value.format(fallback) if fallback else _NOWHERE
        return "\n".join(filter(None, (" ".join(filter(None, (self.body, moved))), self.command)))


def disabled(name: str, reason: str) -> Alarm:
    """The destination is out of service."""
    title = f"No alerts reach {name}: it is disabled"
    body, command = f"{reason}. tocsin sends nothing there any more.", f"When it is mended, run: tocsin enable {name}"
    return Alarm("disabled", name, title, body, command, Moves.ALL, unreachable=name)


def failing(name: str, reason: str | None, seconds: float) -> Alarm:
    """The destination's breaker has been open for so long."""
    title = f"No alerts reach {name}: failing for {format_duration(seconds)}"
    return Alarm("breaker", name, title, f"{reason or 'It fails'}. {_TRIED_AGAIN}", _SEE, Moves.LATE, unreachable=name)


def partly(name: str, note: str) -> Alarm:
    """What the destination sends arrives only in part."""
    return Alarm(
        "note", name, f"Alerts of {name} arrive only in part", f"{note}.", "To see its state, run: tocsin status"
    )


def late(name: str, seconds: float) -> Alarm:
    """A delivery has waited longer than `[alarms] age`."""
    title = f"Alerts have been waiting for {name} for {format_duration(seconds)}"
    body = "If a limit of yours causes such waits, raise age in [alarms].\nTo see why they wait, run: tocsin status"
    return Alarm("age", name, title, body, unreachable=name)


def limited(name: str, reason: str | None, seconds: float) -> Alarm:
    """The server of the destination blocks it for so much longer."""
    title = f"No alerts reach {name}: shut out for {_wait(seconds)}"
    return Alarm(
        "limited", name, title, f"{reason or 'It is blocked'}. {_TRIED_AGAIN}", _SEE, Moves.LATE, unreachable=name
    )


def _wait(seconds: float) -> str:
    """A remaining time, in whole minutes from one minute on: it goes on while people read of it."""
    return format_duration(60 * ceil(seconds / 60) if seconds > 60 else round(seconds))


def damaged(finding: Finding) -> Alarm:
    """Files of the daemon were damaged, and put aside."""
    outcome = f" {finding.outcome[:1].upper()}{finding.outcome[1:]}." if finding.outcome else ""
    body = f"{finding.reason[:1].upper()}{finding.reason[1:]}.{outcome} The files as they were found lie in {finding.folder}."
    return Alarm("damage", finding.folder.name, "Stored signals were damaged", body, priority="urgent", once=True)


def disk_full(fact: IntakeClosed) -> Alarm:
    """The daemon accepts no signals."""
    body = f"{fact.reason}. Stored signals are still delivered; clients keep new ones in the spool, as far as there is room."
    return Alarm("disk", "the disk", "No signals are taken: the disk is full", body)


def quarantined(fact: Quarantined) -> Alarm:
    """A file of the spool could not be read."""
    body = f"{fact.file}: {fact.reason}. It lies in the spool's quarantine, perhaps with others.\nWhere: tocsin status"
    return Alarm("quarantine", "the spool", "Signals of the spool could not be read", body)


def spool_unread(fact: SpoolProblem) -> Alarm:
    """The daemon cannot read the spool."""
    return Alarm("spool", "the spool", "The daemon does not read the spool", f"{fact.reason}. Signals in it wait.")


def socket_gone(fact: SocketProblem) -> Alarm:
    """Programs cannot connect."""
    body = f"{fact.reason}. Clients keep new signals in the spool, which the daemon reads; commands do not reach the daemon."
    return Alarm("socket", fact.socket, f"Programs cannot connect to {fact.socket}", body)


def engine_missing(fact: EngineMissing) -> Alarm:
    """The engine that several hosts share could not be used for so long."""
    title = f"The engine {fact.engine} {fact.says}, for {format_duration(round(fact.seconds))} now"
    said = f"{_sentence(fact.detail.removesuffix('.'))}. " if fact.detail else ""
    return Alarm("engine", fact.engine, title, f"{said}Until it can be used again, {fact.then}.")


def shares_nothing(fact: SharesNothing) -> Alarm:
    """[shared] is without effect. Once for each reason: a host may be meant to be alone."""
    body = f"{fact.reason}. It paces alone, and other hosts do not send what it accepts when it dies."
    command = "When that is mended, restart the daemon."
    return Alarm(
        "shares-nothing", "[shared]", "This host shares no channel, though [shared] is set", body, command, once=True
    )


def engine_unsafe(fact: EngineUnsafe) -> Alarm | None:
    """The engine may lose what waits, or refuse a step. Once, by one of the hosts."""
    if not fact.reports:
        return None
    title = f"The engine {fact.engine} needs other settings"
    return Alarm("engine-settings", fact.engine, title, f"{_sentence(fact.reason)}.", priority="normal", once=True)


def item_put_aside(fact: ItemQuarantined, items: int) -> Alarm:
    """The engine held something that is no delivery."""
    title = "1 entry in the engine was no alert" if items == 1 else f"{items:,} entries in the engine were no alerts"
    body = (
        f"The last: {fact.item}: {fact.reason}. It was put aside there, and is not sent.\n"
        "A program that can write to the engine can have alerts posted in your name: see who can."
    )
    return Alarm("item", "the engine", title, body, accumulates=True)


def host_missing(fact: HostMissing) -> Alarm:
    """Another host has said nothing for so long."""
    title = f"The host {fact.host} has been missing for {format_duration(round(fact.seconds))}"
    kept = "1 alert waits" if fact.kept == 1 else f"{fact.kept:,} alerts wait"
    body = f"It has died, or does not reach the engine. What it had handed over, other hosts send. {kept} in its journal alone."
    return Alarm("host", fact.host, title, f"{body}\nTo see all hosts, run: tocsin status --all-hosts")


def folder_copied(fact: FolderCopied) -> Alarm:
    """Two daemons have one state folder."""
    waiting = "1 alert that waited" if fact.waiting == 1 else f"{fact.waiting:,} alerts that waited"
    body = (
        f"Hosts need names of their own, and {fact.reason}. So this one is {fact.host} from now on.\n"
        f"{waiting} here may come twice, marked as possible duplicates."
    )
    return Alarm("copied", fact.host, f"The state folder of {fact.before} was copied", body, once=True)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def lost(fact: SignalsLost) -> Alarm:
    """Signals that were not on disk could not be stored."""
    body = f"{fact.reason}. Their senders chose not to wait for the disk; no other signals were lost."
    return Alarm("lost", "the disk", f"{fact.signals} signals were lost", body)


def not_accepted(kind: str, signals: int, fact: SignalRefused | LossesReported, reason: str) -> Alarm:
    """Signals were `refused`, or `dropped` by the programs that raised them."""
    title = f"1 signal was {kind}" if signals == 1 else f"{signals:,} signals were {kind}"
    body = f"The last, of uid {fact.uid}, pid {fact.pid}: {reason}. Its sender got the reason."
    priority = "normal" if kind == "refused" else "high"
    return Alarm(kind, "senders", title, body, priority=priority, accumulates=True)


def all_clear(kind: str, about: str, seconds: float, waiting: int) -> tuple[str, str]:
    """Title and body of the signal that follows an alarm when its condition is over; so many deliveries wait for the destination."""
    title = _OVER[kind].format(about)
    lasted = f"It lasted {format_duration(max(1, round(seconds)))}."
    if kind in {"disk", "spool", "socket", "engine", "host"}:
        return title, lasted
    if not waiting:
        return title, f"{lasted} Nothing waits for it."
    return title, f"{lasted} {'1 alert follows' if waiting == 1 else f'{waiting:,} alerts follow'} now."


_OVER = {
    "breaker": "Alerts reach {} again: it is no longer failing",
    "limited": "Alerts go to {} again: it is no longer shut out",
    "disabled": "Alerts go to {} again: it is enabled",
    "age": "Alerts no longer wait too long for {}",
    "disk": "Signals are taken again: the disk has room",
    "spool": "The daemon reads the spool again",
    "engine": "The engine {} can be used again",
    "host": "The host {} is there again",
    "socket": "Programs can connect to {} again",
}
