"""A card as plain text: a title, one text, a footer.

It is for an alert whose embed was rejected. Links, fields, times and colours, which may have caused the rejection, become lines of text or
are left out, so only the words themselves can still be refused. As in an embed, the body gives way as long as it keeps half.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from tocsind.rendering.card import BodyForm, Card
from tocsind.rendering.text import one_line

from . import stamps
from .embed import body_of, footer, rows, title_of
from .limits import DESCRIPTION
from .markup import cut

_BREAK: Final = "\n\n"


def plain(card: Card, *, led: bool = False, label: str = "") -> dict[str, Any]:
    """The plain embed of `card`."""
    if card.form is BodyForm.MARKDOWN:
        card = replace(card, form=BodyForm.TEXT)
    body = body_of(card)
    lines = cut("\n".join(_lines(card, led=led)), DESCRIPTION - len(_BREAK) - min(len(body), DESCRIPTION // 2))
    body = cut(body, DESCRIPTION - len(_BREAK) - len(lines))
    title = label if led else title_of(card, label)
    made = {"title": title, "description": _BREAK.join(part for part in (body, lines) if part)}
    return {key: value for key, value in made.items() if value} | {"footer": {"text": footer(card, led=led)}}


def _lines(card: Card, *, led: bool) -> Iterator[str]:
    for row in rows(card, linked=False, led=led):
        yield f"{row['name']}: {one_line(row['value'])}"
    if time := stamps.full(card.time):
        yield f"Time: {time}"
