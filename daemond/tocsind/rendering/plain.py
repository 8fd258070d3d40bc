"""A delivery in the form that nobody can object to: a title, one text, a footer.

It is for an alert whose own form was refused. Whatever the far end disliked, a link, a field, a time, a colour, is gone or has become a
line of text, so that what remains to be refused is the words themselves. As in an embed the body yields as long as it keeps half.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tocsind.policy.delivery import Delivery

from .attachments import missing
from .embed import body_of
from .facts import as_text, facts, footer, headline, when
from .limits import DESCRIPTION, NAME, VALUE
from .text import cut, one_line, shown

_BREAK: Final = "\n\n"


def plain(delivery: Delivery) -> dict[str, Any]:
    """The plain embed of `delivery`."""
    body = body_of(delivery)
    lines = cut("\n".join(_lines(delivery)), DESCRIPTION - len(_BREAK) - min(len(body), DESCRIPTION // 2))
    body = cut(body, DESCRIPTION - len(_BREAK) - len(lines))
    return {
        "title": headline(delivery),
        "description": _BREAK.join(part for part in (body, lines) if part),
        "footer": {"text": footer(delivery)},
    }


def _lines(delivery: Delivery) -> Iterator[str]:
    for name, value, _ in facts(delivery.signal, linked=False, drawn=False, missing=missing(delivery)):
        yield f"{shown(one_line(name), NAME)}: {shown(one_line(as_text(value)), VALUE)}"
    if time := when(delivery):
        yield f"Time: {time}"
