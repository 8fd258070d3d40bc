"""The status object as text: health, what waits and until when, each destination with the reason for its condition, and its limits."""

from __future__ import annotations

import os
import time

from tocsin.attachments import FOLDER
from tocsin.durations import format_duration
from tocsin.signals import PRIORITIES
from tocsin.spool import QUARANTINE

from .layout import table, wrapped
from .output import by_priority, counted, format_age, paint, plain
from .shared_lines import shared_lines

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_COLOUR = {"ok": "green", "degraded": "yellow", "failing": "red"}
_HEAD = ("DESTINATION", "KIND", "CONDITION", "QUEUED", "SENT", "FAILED", "DEAD")
_CLOCK_TIME_FROM = 60.0  # seconds: an instant that is further away is also shown as a time of day
_NEXT = {"failing": "next attempt", "limited": "next message", "probing": "result"}


def status_lines(status: dict[str, Any], our_spool: str, width: int) -> list[str]:
    """The whole status, in lines of at most `width` columns."""
    destinations, storage = status.get("destinations") or [], status.get("storage") or {}
    return [
        _first_line(status),
        *_configuration_lines(status, width),
        *(line for problem in status.get("problems") or [] for line in _warning(problem, width)),
        "",
        *_queue_lines(status.get("queue") or {}, width),
        *_spool_lines(status.get("spool") or {}, our_spool, width),
        *_held_lines(status.get("held") or [], width),
        *_silence_lines(status.get("silences") or {}),
        *_expectation_lines(status.get("expectations") or {}, width),
        *shared_lines(status.get("shared") or {}, width),
        *_attachment_lines(storage.get("attachments") or {}),
        "",
        *_destination_lines(destinations, width),
        *_storage_lines(storage),
        *_limit_lines(destinations, width),
    ]


def _first_line(status: dict[str, Any]) -> str:
    health, up = str(status.get("health")), status.get("uptime_seconds") or 0
    since = f"up {format_duration(round(up))}" if up >= 1 else "just started"
    return f"tocsind {plain(status.get('version'))} is {paint(plain(health), _COLOUR.get(health))}, {since}, pid {status.get('pid')}"


def _configuration_lines(status: dict[str, Any], width: int) -> list[str]:
    source = status.get("configuration")
    return wrapped(f"configuration: {source}", width, "  ", "    ") if source else []


def _warning(text: str, width: int) -> list[str]:
    first, *more = wrapped(text, width, "  ! ", "    ")
    return [f"  {paint('!', 'yellow')}{first[3:]}", *more]


def _queue_lines(queue: dict[str, Any], width: int) -> list[str]:
    oldest = queue.get("oldest_seconds")
    age = f"  (the oldest for {format_age(oldest)})" if oldest is not None else ""
    line = f"queued  {by_priority(queue.get('by_priority') or {})}"
    return [line + age] if len(line + age) <= width else [line, f"      {age}"]


def _spool_lines(spool: dict[str, Any], own: str, width: int) -> list[str]:
    """The files in the daemon's spool; and those in this user's spool, when the daemon does not read that one."""
    lines = [f"spooled {counted(spool['files'], 'file')} to import"] if spool.get("files") else []
    try:
        waiting = sum(_waits(name) for name in os.listdir(own))  # noqa: PTH208 - as in paths
        is_unread = waiting and not os.path.samefile(own, str(spool.get("path")))  # noqa: PTH121 - as above
    except OSError:
        return lines
    if not is_unread:
        return lines
    what = f"{counted(waiting, 'file')} in {own}, which this daemon does not read: it reads {spool.get('path')}"
    return [*lines, *_warning(f"{what}; set $TOCSIN_SPOOL to it", width)]


def _held_lines(held: list[dict[str, Any]], width: int) -> list[str]:
    """What quiet hours and the delays of routes hold back, and until when."""
    return [line for group in held for line in wrapped(_held(group), width, "held    ", " " * 8)]


def _held(group: dict[str, Any]) -> str:
    reason, seconds = str(group.get("reason")).removeprefix("held "), group.get("until_seconds")
    first = "" if group.get("by") == "quiet" else "the first "
    when = "" if seconds is None else f", {first}in {format_age(seconds)}"
    return f"{group.get('deliveries'):,} for {group.get('destination')} {reason}{when}"


def _silence_lines(silences: dict[str, Any]) -> list[str]:
    return [f"silent  {counted(silences['active'], 'silence')}: `tocsin silences`"] if silences.get("active") else []


def spooled_note(folder: str) -> str:
    """What waits for a daemon while none answers; empty when nothing does."""
    try:
        waiting = sum(_waits(name) for name in os.listdir(folder))  # noqa: PTH208 - as in paths
    except OSError:
        return ""
    return f"; the spool {folder} has {counted(waiting, 'file')} for the next daemon" if waiting else ""


def _expectation_lines(expectations: dict[str, Any], width: int) -> list[str]:
    if not expectations.get("expected"):
        return []
    late = expectations.get("late") or []
    lines = wrapped(f"late: {', '.join(map(plain, late))}", width, "  ! ", "    ") if late else []
    return [f"expects {counted(expectations['expected'], 'program')}: `tocsin expected`", *lines]


def _waits(name: str) -> bool:
    return not name.startswith(".") and name not in (QUARANTINE, FOLDER)


def _attachment_lines(kept: dict[str, Any]) -> list[str]:
    if not kept.get("files"):
        return []
    share = f"{kept['bytes'] / 2**20:,.1f} of {kept['most_bytes'] / 2**20:,.0f} MiB"
    return [f"kept    {counted(kept['files'], 'attachment')}, {share}"]


def _destination_lines(destinations: list[dict[str, Any]], width: int) -> list[str]:
    """The table, without the kinds where only so it fits."""
    if not destinations:
        return ["no destinations"]
    rows, head = [_row(each) for each in destinations], list(_HEAD)
    if any(len(line) > width for line in table(head, rows)):
        head, rows = head[:1] + head[2:], [row[:1] + row[2:] for row in rows]
    return table(head, rows, width, [reason(each) for each in destinations])


def _row(destination: dict[str, Any]) -> list[Any]:
    queued = sum((destination.get("queued") or {}).values())
    first, last = ("name", "kind", "condition"), ("sent", "failed", "dead")
    return [*map(destination.get, first), queued, *map(destination.get, last)]


def reason(destination: Mapping[str, Any]) -> str:
    """Why a destination is not ready and until when, what waits for it, and what did not reach it; empty when all is well."""
    parts = (
        *_condition(destination),
        *_waiting(destination),
        *_missed(destination),
        str(destination.get("note") or ""),
    )
    return "; ".join(filter(None, parts))


def _condition(destination: Mapping[str, Any]) -> list[str]:
    why, until = destination.get("reason"), destination.get("until_seconds")
    if why is None and destination.get("last_error"):
        why = f"last error: {destination['last_error']}"
    failing, word = destination.get("failing_seconds"), str(destination.get("condition"))
    return [
        str(why or ""),
        f"failing for {format_age(failing)}" if failing else "",
        f"{_NEXT.get(word, 'ready')} {_in(until)}" if until is not None else "",
    ]


def _in(seconds: float) -> str:
    """`in 7s`; with the time of day for more than a minute."""
    if seconds < _CLOCK_TIME_FROM:
        return f"in {format_age(seconds)}" if seconds > 0 else "now"
    at = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
    return f"in {format_age(seconds)} (at {at})"


def _waiting(destination: Mapping[str, Any]) -> list[str]:
    """What waits, and when a fallback takes it."""
    queued, moves = destination.get("queued") or {}, destination.get("fallback_in_seconds") or {}
    counts = ", ".join(f"{queued[each]:,} {each}" for each in PRIORITIES if queued.get(each))
    oldest = destination.get("oldest_seconds")
    age = f", the oldest for {format_age(oldest)}" if oldest is not None else ""
    name = next(iter(destination.get("fallback") or []), None)
    taken = [f"{each} {_in(moves[each])}" for each in PRIORITIES if queued.get(each) and moves.get(each) is not None]
    return [
        f"waiting: {counts}{age}" if counts and destination.get("condition") != "ready" else "",
        f"{name} takes {', '.join(taken)}" if name and taken else "",
    ]


def _missed(destination: Mapping[str, Any]) -> list[str]:
    """Deliveries that did not reach this destination, within the retention of the journal."""
    counts = {
        "of those sent may not have arrived": destination.get("in_doubt"),
        "went to a fallback": destination.get("rerouted"),
        "expired and were never posted": destination.get("expired"),
        "ended without a message, still to be reported": destination.get("unreported"),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _limit_lines(destinations: list[dict[str, Any]], width: int) -> list[str]:
    """What is left of each limit, and what a LOW signal would wait for; signals of the other priorities wait for less."""
    found = [(plain(each.get("name")), text) for each in destinations if (text := _limits(each))]
    size = max((len(name) for name, _ in found), default=0) + 4
    if size > width // 3:
        return [
            "",
            "left of each limit",
            *(line for name, text in found for line in (f"  {name}", *wrapped(text, width))),
        ]
    rows = [wrapped(text, width, f"  {name}".ljust(size), " " * size) for name, text in found]
    return ["", "left of each limit", *(line for row in rows for line in row)] if rows else []


def _limits(destination: dict[str, Any]) -> str:
    limits = destination.get("limits") or {}
    windows = limits.get("windows")
    if not windows or destination.get("condition") == "disabled":
        return ""
    seconds = (limits.get("ready_seconds") or {}).get("low")
    why = (limits.get("waits_for") or {}).get("low")
    waits = f"; a LOW signal waits {format_age(seconds)}" + (f" for {why}" if why else "") if seconds else ""
    return budget(windows) + waits


def budget(windows: list[dict[str, Any]]) -> str:
    """What is left of each limit, as `channel 12/30 (4 kept)`: 12 of 30 requests, 4 of them reserved for URGENT and HIGH."""
    return ", ".join(_window(window) for window in windows)


def _window(window: dict[str, Any]) -> str:
    kept = f" ({window['kept']} kept)" if window.get("kept") else ""
    return f"{window.get('name')} {window.get('left')}/{window.get('count')}{kept}"


def _storage_lines(storage: dict[str, Any]) -> list[str]:
    if storage.get("healthy", True):
        return []
    return ["", paint("storage is unhealthy: see the problems above", "red")]
