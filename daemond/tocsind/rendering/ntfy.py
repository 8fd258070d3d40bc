"""A card as a message of ntfy: a title, and plain text, measured in bytes of UTF-8.

A longer text would arrive as a file, silently, and an empty one as "triggered". So the text is cut to fit, and a message that has nothing
beside its title shows the title as its text. The server also bounds the JSON, in which quotes and line breaks take two bytes.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import msgspec

from .card import Card, title_with_host
from .plain_text import end_lines, text_of
from .text import fitted, utf8_bytes

MAX_TEXT: Final = 4096  # bytes
MAX_TITLE: Final = 250  # bytes; the server has no limit, phones show less
MAX_LINK: Final = 500  # bytes
MAX_JSON: Final = 8192  # bytes of the whole request
_MAX_TEXT_JSON: Final = 6400  # bytes of the text as JSON: the rest of a request has at most 1,700


def message(card: Card, *, plain: bool = False) -> dict[str, Any]:
    """`title`, `message` and `click`. `plain`: no link, after a rejection."""
    head = fitted(title_with_host(card), MAX_TITLE, utf8_bytes)
    card = msgspec.structs.replace(card, footer=card.footer_without_host)
    if not (card.body or card.all_facts or card.history):
        text = fitted("\n\n".join((title_with_host(card), *end_lines(card))), MAX_TEXT, _weight)
        return {"message": text, **_click(card, plain=plain)}
    return {"title": head, "message": text_of(card, MAX_TEXT, _weight), **_click(card, plain=plain)}


def _click(card: Card, *, plain: bool) -> dict[str, str]:
    link = card.link or ""
    fits = link.startswith(("http://", "https://")) and utf8_bytes(link) <= MAX_LINK
    return {"click": link} if fits and not plain else {}


def _weight(text: str) -> int:
    """Bytes of UTF-8, or more where the text is longer as JSON."""
    return max(utf8_bytes(text), ceil(len(msgspec.json.encode(text)) * MAX_TEXT / _MAX_TEXT_JSON))
