"""A delivery as plain text: a title, one text, a footer.

It is for an alert whose embed was rejected. Links, fields, times and colours, which may have caused the rejection, become lines of text or
are left out, so only the words themselves can still be refused. As in an embed, the body gives way as long as it keeps half.
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
