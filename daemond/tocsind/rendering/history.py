"""What a living message said before: one line a state, with its time, the latest first; and how many there were before those.

It stands in a field at the end, where a reader looks for what is past. An embed that has all its fields (or is in plain form, and has
none) gets it at the end of its text. When there is no room the text yields to it; where that is not enough, its oldest lines are counted
instead of shown. In plain form all are: it was made because something in the message was refused, and that may have been another's words.
"""

from __future__ import annotations

from typing import Any, Final

from tocsind.policy.delivery import LiveUpdate
from tocsind.policy.live_message import Line

from .embed import length
from .limits import DESCRIPTION, FIELDS, MOST_ROOM, VALUE
from .numbers import iso, number
from .text import cut, one_line, shown

NAME: Final = "History (UTC)"
_TITLE: Final = 100  # code points of a state's title
_BREAK: Final = "\n\n"

Embed = dict[str, Any]


def with_history(made: Embed, update: LiveUpdate) -> Embed:
    """An embed with the history of its living message, if there is any."""
    lines, earlier = [_line(line, update.then.lines[-1]) for line in reversed(update.history)], update.then.earlier
    if not lines and not earlier:
        return made
    if update.message.plain_format:
        return _in_text(made, [], earlier + len(lines))
    if len(made.get("fields", ())) >= FIELDS:
        return _in_text(made, lines, earlier)
    made = _yielding(made, len(NAME) + len(_fitted(lines, earlier, VALUE)), DESCRIPTION)
    value = _fitted(lines, earlier, min(VALUE, MOST_ROOM - length(made) - len(NAME)))
    field = {"name": NAME, "value": value, "inline": False}
    return made | {"fields": [*made.get("fields", ()), field]} if value else made


def _in_text(made: Embed, lines: list[str], earlier: int) -> Embed:
    wanted = len(f"{_BREAK}{NAME}\n") + len(_fitted(lines, earlier, VALUE))
    made = _yielding(made, wanted, DESCRIPTION - wanted)
    body = made.get("description", "")
    head = f"{body}{_BREAK}{NAME}\n" if body else f"{NAME}\n"
    text = _fitted(lines, earlier, min(DESCRIPTION - len(head), MOST_ROOM - length(made) - len(head) + len(body)))
    return made | {"description": head + text} if text else made


def _yielding(made: Embed, wanted: int, most: int) -> Embed:
    """The embed with a text so short that it leaves the room that is wanted, as far as a text can."""
    body = made.get("description", "")
    most = min(most, len(body) + MOST_ROOM - length(made) - wanted)
    return made if len(body) <= most else made | {"description": cut(body, max(1, most))}


def _fitted(lines: list[str], earlier: int, room: int) -> str:
    """As much of it as `room` takes; empty when not even its number fits."""
    for kept in range(len(lines), -1, -1):
        hidden = earlier + len(lines) - kept
        text = "\n".join([*lines[:kept], *([f"… and {hidden:,} earlier"] if hidden else [])])
        if len(text) <= room:
            return text
    return ""


def _line(line: Line, last: Line) -> str:
    price = "" if line.price is None else f" · {number(line.price)}"
    return f"{_time(line.at, last.at)} {shown(cut(one_line(line.title), _TITLE), 2 * _TITLE)}{price}"


def _time(at: float, last: float) -> str:
    """The time of day; with its date, when that is not the date of the state that is shown."""
    then, now = iso(at) or "", iso(last) or ""
    return then[11:19] if then[:10] == now[:10] else f"{then[:10]} {then[11:19]}"
