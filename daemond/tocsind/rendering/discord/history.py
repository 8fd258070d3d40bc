"""What a living message said before: one line a state, with its time, the latest first; and how many there were before those.

It stands in a field at the end, where a reader looks for what is past. An embed that has all its fields (or is in plain form, and has
none) gets it at the end of its text. When there is no room the text yields to it; where that is not enough, its oldest lines are counted
instead of shown. In plain form all are: it was made because something in the message was refused, and that may have been another's words.
"""

from __future__ import annotations

from typing import Any, Final

from tocsind.rendering.card import Card, PastState
from tocsind.rendering.text import fitted

from . import stamps
from .embed import length
from .limits import DESCRIPTION, FIELDS, MOST_ROOM, VALUE
from .markup import cut, shown

NAME: Final = "History"
_TITLE: Final = 100  # code points of a state's title
_BREAK: Final = "\n\n"

Embed = dict[str, Any]


def with_history(made: Embed, card: Card, *, plainly: bool = False) -> Embed:
    """The embed of `card` with the history of its living message, if there is any."""
    lines, earlier = [_line(state, card.time) for state in card.history], card.earlier
    if not lines and not earlier:
        return made
    if plainly:
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


def _line(state: PastState, last: float) -> str:
    price = f" · {state.price}" if state.price else ""
    return f"{stamps.beside(state.at, last)} {shown(fitted(state.title, _TITLE), 2 * _TITLE)}{price}".lstrip()
