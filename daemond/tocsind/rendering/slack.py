"""A card as a Slack message: one rich_text block, whose texts Slack shows as they are, so nothing has to be escaped there.

Slack's own markup has no escapes, and `<!channel>` in it wakes everyone; only the three characters & < > disarm it. They are escaped in
`text`, which notifications show. Mentions of the configuration are a block of their own. A message never changes between this form and
another, because Slack permits no such edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from .card import BodyForm, Card, push_line
from .facts import LINE_ROOM
from .plain_text import text_of
from .text import EMPTY, fitted

MAX_CARD: Final = 3900  # code points of one card; Slack splits texts of more than 4,000
MAX_TEXT: Final = 12_000  # code points of a message
_MAX_LINE: Final = 300
_BREAK: Final = "\n\n"


def size(card: Card) -> int:
    """The most code points that a card takes of a message, late or not."""
    return sum(map(len, _parts(card))) + LINE_ROOM


def message(cards: Sequence[Card], mentions: Sequence[str] = ()) -> dict[str, Any]:
    """`text` and `blocks` of one message."""
    lines = [_parts(card)[0] for card in cards]
    called = [{"type": "section", "text": {"type": "mrkdwn", "text": " ".join(map(_written, mentions))}}]
    return {
        "text": _escaped("\n".join(lines)),
        "blocks": [*([*called] if mentions else []), *map(_block, cards)],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _block(card: Card) -> dict[str, Any]:
    head, body, rest = _parts(card)
    is_code = card.form is BodyForm.CODE and bool(body)
    before = [_text(head, bold=True), *([] if is_code or not body else [_text(f"\n{body}")])]
    elements = [
        {"type": "rich_text_section", "elements": before},
        *([{"type": "rich_text_preformatted", "elements": [_text(body)]}] if is_code else []),
        *([{"type": "rich_text_section", "elements": [_text(rest if is_code else f"\n{rest}")]}] if rest else []),
    ]
    return {"type": "rich_text", "elements": elements}


def _parts(card: Card) -> tuple[str, str, str]:
    """The push line, the body, and what follows."""
    line = push_line(card)
    led = len(line) <= _MAX_LINE
    head = fitted(line, _MAX_LINE) or EMPTY
    room = MAX_CARD - len(head)
    least = max(room - len(card.body), room // 2)
    rest = text_of(msgspec.structs.replace(card, body=""), least, led=led)
    body = fitted(card.body, room - len(rest), at_head=True if card.form is BodyForm.CODE else None)
    return head, body, rest


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"style": {"bold": True}} if bold else {})}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _written(mention: str) -> str:
    """A mention of the configuration, as Slack reads it."""
    if mention.islower():
        return f"<!{mention}>"
    return f"<!subteam^{mention}>" if mention.startswith("S") else f"<@{mention}>"
