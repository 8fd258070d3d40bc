"""A card as a Telegram message: text with entities, without a parse mode, so that nothing has to be escaped and no cut can break markup.

Lengths and places count UTF-16 units. The first line is the push line, in bold; a notification shows it. Output of programs is a block.
Clients make links of `@name`, so a space of no width breaks each: a signal notifies no one by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from .card import BodyForm, Card, push_line
from .facts import LINE_ROOM
from .plain_text import text_of
from .text import fitted, utf16_units

MAX_TEXT: Final = 4096  # UTF-16 units
SEPARATOR: Final = "\n\n"
_HEAD: Final = 512  # units of the first line
_UNNAMED: Final = "@\u200b"


def size(card: Card) -> int:
    """The most units that a card takes of a message, late or not, with what separates it from the next one."""
    return min(utf16_units("".join(_parts(card))) + LINE_ROOM + len(SEPARATOR), MAX_TEXT)


def message(cards: Sequence[Card]) -> dict[str, Any]:
    """`text` and `entities` of one message. Several cards must fit by `size`."""
    text, entities = "", list[dict[str, Any]]()
    for card in cards:
        text += SEPARATOR if text else ""
        head, body, rest = _parts(card)
        entities.append(_entity("bold", text, head))
        if card.form is BodyForm.CODE and body.strip():
            before, block = text + head + SEPARATOR, body.removeprefix(SEPARATOR)
            entities.append(_entity("pre", before, block))
        text += head + body + rest
    return {"text": text, "entities": entities}


def _parts(card: Card) -> tuple[str, str, str]:
    """The first line, the body and the rest; the latter two begin with their separator, or are empty."""
    card = msgspec.structs.replace(card, body=card.body.replace("@", _UNNAMED))
    line = push_line(card).replace("@", _UNNAMED)
    led = utf16_units(line) <= _HEAD
    head = line if led else fitted(line, _HEAD, utf16_units)
    room = MAX_TEXT - utf16_units(head) - 3 * len(SEPARATOR)
    others = msgspec.structs.replace(card, body="")
    least = max(room - utf16_units(card.body), room // 2)
    rest = fitted(text_of(others, least, utf16_units, led=led).replace("@", _UNNAMED), least, utf16_units)
    at_head = True if card.form is BodyForm.CODE else None
    body = fitted(card.body, room - utf16_units(rest), utf16_units, at_head=at_head)
    return head, _after_break(body), _after_break(rest)


def _after_break(text: str) -> str:
    return f"{SEPARATOR}{text}" if text else ""


def _entity(kind: str, before: str, text: str) -> dict[str, Any]:
    return {"type": kind, "offset": utf16_units(before), "length": utf16_units(text)}
