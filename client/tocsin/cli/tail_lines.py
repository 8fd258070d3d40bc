"""An event as a line for people: time of day, event, what it is about, and the rest in words.

    02:13:07 ! deferred       Backup failed -> ops: 503 from Discord, next attempt in 2s  01J9Z3NDEKTSV4RRFFQ69G5FAV

`!` marks a warning and `!!` an error. The id is at the end: `tocsin why` takes it.
"""

from __future__ import annotations

import time

from .layout import NO_LIMIT, wrapped
from .output import format_age, paint, plain

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from typing import Any

_COLOUR = {"warning": "yellow", "error": "red", "debug": "dim"}
_MARK = {"warning": "!", "error": "!!"}
_SHOWN_BEFORE = frozenset(
    {"event", "at", "level", "id", "title", "destination", "destinations", "reason", "message", "is_problem"}
)
_LONGEST_TITLE = 60
_CONTINUED = " " * 12  # before a second line
_DURATIONS = {  # fields in seconds, and how they are said
    "wait": "next attempt in {}",
    "rest": "next attempt in {}",
    "interval": "every {}",
    "stalled": "for {}",
}


def event_lines(event: dict[str, Any], now: float, width: int = NO_LIMIT) -> list[str]:
    """One line; several where that is wider than `width`. `now` is the wall clock: an event of another day has its date."""
    name, level = plain(event.get("event")), str(event.get("level"))
    at, mark, name = _time(event.get("at") or 0, now), f"{_MARK.get(level, ''):<2}", f"{name:<15}"
    head = f"{at} {paint(mark, _COLOUR.get(level))} {paint(name, _COLOUR.get(level))} "
    size = len(f"{at} {mark} {name} ")
    title, where = _title(event), _where(event)
    details = ", ".join(word for word in (plain(event.get("reason") or ""), *_details(event)) if word)
    id_ = plain(event.get("id") or "")
    text = _joined(title, where, details, id_)
    if size + len(text) <= width:
        return [
            f"{head}{_joined(paint(title, 'bold') if title else '', where, details, paint(id_, 'dim') if id_ else '')}".rstrip()
        ]
    first, *more = wrapped(text, width, " " * size, _CONTINUED)
    return [f"{head}{first[size:]}", *more]


def _joined(title: str, where: str, details: str, id_: str) -> str:
    about = f"{title} -> {where}" if title and where else title or where
    text = ": ".join(part for part in (about, details) if part)
    return f"{text}  {id_}" if id_ else text


def _time(at: float, now: float) -> str:
    moment, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M:%S" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", moment)


def _title(event: dict[str, Any]) -> str:
    title = plain(event.get("title") or "")
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"


def _where(event: dict[str, Any]) -> str:
    named = event.get("destinations")
    if event.get("destination"):
        return plain(event["destination"])
    return ", ".join(map(plain, named)) if isinstance(named, list) else ""


def _details(event: dict[str, Any]) -> list[str]:
    before = _SHOWN_BEFORE if isinstance(event.get("destinations", []), list) else _SHOWN_BEFORE - {"destinations"}
    hidden = before | ({"uid", "pid"} if event.get("event") == "accepted" else set())
    shown = ((key, value) for key, value in event.items() if key not in hidden and value not in (None, [], ""))
    return [_detail(str(event.get("event")), key, value) for key, value in shown]


def _detail(name: str, key: str, value: Any) -> str:
    if key in _DURATIONS and isinstance(value, (int, float)):
        return _DURATIONS[key].format(format_age(value))
    if key == "seconds" and isinstance(value, (int, float)):
        return f"{'after' if name == 'sent' else 'for'} {format_age(value)}"
    if key == "attempts":
        return "" if value == 1 else f"{plain(value)} attempts"
    return plain(value).upper() if key == "priority" else f"{plain(key)} {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else plain(value)
