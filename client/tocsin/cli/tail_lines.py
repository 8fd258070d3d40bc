"""An event as a line for people: time of day, event, what it is about, and the rest in words.

    02:13:07 ! deferred       Backup failed -> ops: 503 from Discord, next attempt in 2s  01J9Z3NDEKTSV4RRFFQ69G5FAV

`!` marks a warning and `!!` an error. The id is at the end: `tocsin why` takes it.
"""

from __future__ import annotations

import time

from .output import format_age, paint, plain

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from typing import Any

_COLOUR = {"warning": "yellow", "error": "red", "debug": "dim"}
_MARK = {"warning": "!", "error": "!!"}
_SHOWN_BEFORE = frozenset({"event", "at", "level", "id", "title", "destination", "destinations", "reason"})
_LONGEST_TITLE = 60
_DURATIONS = {  # fields in seconds, and how they are said
    "wait": "next attempt in {}",
    "rest": "next attempt in {}",
    "interval": "every {}",
    "stalled": "for {}",
}


def event_line(event: dict[str, Any], now: float) -> str:
    """The line. `now` is the wall clock: an event of another day has its date."""
    name, level = plain(event.get("event")), str(event.get("level"))
    mark = f"{_MARK.get(level, ''):<2}"
    about, reason = _about(event), plain(event.get("reason") or "")
    details = [word for word in (reason, *_details(event)) if word]
    text = ": ".join(part for part in (about, ", ".join(details)) if part)
    head = f"{_time(event.get('at') or 0, now)} {paint(mark, _COLOUR.get(level))} {paint(f'{name:<15}', _COLOUR.get(level))}"
    id_ = f"  {paint(plain(event['id']), 'dim')}" if event.get("id") else ""
    return f"{head} {text}{id_}".rstrip()


def _time(at: float, now: float) -> str:
    moment, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M:%S" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", moment)


def _about(event: dict[str, Any]) -> str:
    """The signal's title and the destinations."""
    title = plain(event.get("title") or "")
    if len(title) > _LONGEST_TITLE:
        title = f"{title[: _LONGEST_TITLE - 1]}…"
    named = [event["destination"]] if event.get("destination") else event.get("destinations") or []
    where = ", ".join(map(plain, named))
    if not (title or event.get("id")):
        return where
    return f"{paint(title, 'bold')} -> {where}".strip() if where else paint(title, "bold")


def _details(event: dict[str, Any]) -> list[str]:
    hidden = _SHOWN_BEFORE | ({"uid", "pid"} if event.get("event") == "accepted" else set())
    shown = ((key, value) for key, value in event.items() if key not in hidden and value not in (None, [], ""))
    return [_detail(str(event.get("event")), key, value) for key, value in shown]


def _detail(name: str, key: str, value: Any) -> str:
    if key in _DURATIONS and isinstance(value, (int, float)):
        return _DURATIONS[key].format(format_age(value))
    if key == "seconds" and isinstance(value, (int, float)):
        return f"{'after' if name == 'sent' else 'for'} {format_age(value)}"
    if key == "attempts":
        return "" if value == 1 else f"{value} attempts"
    return plain(value).upper() if key == "priority" else f"{key} {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else plain(value)
