"""A delivery as a Discord embed, never longer than the room it is given.

The room is spent in the order in which a reader would miss things: the footer, which holds the id, the title, then body and fields, who
share what is left. The body yields to the fields as long as it keeps half; fields that do not fit are counted in the last one.
Markup works in title, body and fields, so those are escaped; a footer is shown as it is, so a backslash there would be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from string import punctuation
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority

from .numbers import iso, number, percent
from .text import MARK, clean, cut, is_blank, one_line, shown, silent

MOST_ROOM: Final = 6000  # over all embeds of a message
_TITLE: Final = 256
_DESCRIPTION: Final = 4096
_FIELDS: Final = 25
_NAME: Final = 256
_VALUE: Final = 1024
_LINK: Final = 2048
_FOOTER_PART: Final = 60  # ours: a footer is for the id, and must leave room in a full batch
_SHORT: Final = 40  # code points a value may have to stand beside others

_COLOUR_OF_ACTION: Final = {
    "BUY": 0x2ECC71, "LONG": 0x2ECC71,
    "SELL": 0xE74C3C, "SHORT": 0xE74C3C,
    "HOLD": 0xF1C40F,
}  # fmt: skip
_COLOUR_OF_PRIORITY: Final = {
    Priority.URGENT: 0xC0392B,
    Priority.HIGH: 0xE67E22,
    Priority.NORMAL: 0x3498DB,
    Priority.LOW: 0x95A5A6,
}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(?::[0-9]{1,5})?")

Field = dict[str, Any]
Value = str | float | bool | None
Fact = tuple[str, Value, bool]  # name, value, and whether it stands beside others however long it is


def embed(delivery: Delivery, room: int = MOST_ROOM) -> dict[str, Any]:
    """The embed of `delivery` in at most `room` code points, which is at least 600: a tenth of a message."""
    signal = delivery.signal
    footer = cut(_footer(delivery), room // 2)
    title = shown(one_line(signal.title), min(_TITLE, room // 3))
    left = room - len(title) - len(footer)
    body = clean(signal.body or "")[: _DESCRIPTION + 1]
    body = "" if is_blank(body) else shown(body, _DESCRIPTION, links=True)
    fields = _fitted(list(_facts(signal)), left - min(len(body), left // 2))
    description = cut(body, min(_DESCRIPTION, left - sum(map(_size, fields))))
    made = {
        "title": title,
        "description": description,
        "url": web_address(signal.link),
        "color": _colour(delivery),
        "fields": fields,
        "footer": {"text": footer},
        "timestamp": _when(delivery),
    }
    return {key: value for key, value in made.items() if value not in (None, "", [])}


def length(made: dict[str, Any]) -> int:
    """What an embed counts towards the message's 6,000."""
    texts = made.get("title", ""), made.get("description", ""), made["footer"]["text"]
    return sum(map(len, texts)) + sum(map(_size, made.get("fields", ())))


def web_address(link: str | None) -> str | None:
    """`link` as Discord takes one: http or https, a full host name, ASCII. None when it is no such thing."""
    if not link or len(link) > _LINK:
        return None
    address = quote(link.strip(), safe=punctuation)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    well_formed = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc) and port != 0
    return address if well_formed and len(address) <= _LINK else None


def _colour(delivery: Delivery) -> int:
    action = (delivery.signal.action or "").strip().upper()
    return _COLOUR_OF_ACTION.get(action, _COLOUR_OF_PRIORITY[delivery.priority])


def _when(delivery: Delivery) -> str | None:
    given = delivery.signal.timestamp
    return (None if given is None else iso(given)) or iso(delivery.accepted)


def _footer(delivery: Delivery) -> str:
    signal = delivery.signal
    unread = signal.timestamp_text
    if signal.timestamp is not None and iso(signal.timestamp) is None:
        unread = number(signal.timestamp)
    parts = (
        "possible duplicate" if delivery.doubt else "",
        delivery.priority.label,
        _noted(signal.source),
        _noted(" ".join(f"#{tag}" for tag in signal.tags or ())),
        f"time given as: {_noted(unread)}" if unread else "",
        delivery.id,
    )
    return " · ".join(part for part in parts if part)


def _noted(text: str | None) -> str:
    line = one_line(text or "")
    return "" if is_blank(line) else cut(silent(line), _FOOTER_PART)


def _facts(signal: Signal) -> Iterator[Fact]:
    named = {
        "Action": signal.action,
        "Symbol": signal.symbol,
        "Price": None if signal.price is None else number(signal.price),
        "Confidence": None if signal.confidence is None else percent(signal.confidence),
        "Strategy": signal.strategy,
        "Tier": signal.tier,
    }
    yield from ((name, value, True) for name, value in named.items() if value)
    yield from ((name, value, False) for name, value in (signal.fields or {}).items())
    if signal.link and web_address(signal.link) is None:
        yield "Link", signal.link, False


def _field(name: str, value: Value, inline: bool) -> Field:  # noqa: FBT001 - a Fact, unpacked
    text = shown(clean(_worded(value)), _VALUE, links=True)
    return {"name": shown(one_line(name), _NAME), "value": text, "inline": inline or len(text) <= _SHORT}


def _worded(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value, grouped=False)  # it may be a year, or an order's number
    return value or ""


def _size(field: Field) -> int:
    return len(field["name"]) + len(field["value"])


def _fitted(facts: Sequence[Fact], room: int) -> list[Field]:
    """As many fields as 25 and `room` allow, long values cut first; the last one counts those left out."""
    fields = [_field(*fact) for fact in facts[:_FIELDS]]
    if sum(map(_size, fields)) > room:
        most = max(room // 4, 16)
        fields = [field | {"value": cut(field["value"], most)} for field in fields]
    if len(fields) == len(facts) and sum(map(_size, fields)) <= room:
        return fields
    room -= _size(_more(len(facts)))
    sums = accumulate(map(_size, fields[: _FIELDS - 1]))
    kept = sum(1 for total in sums if total <= room)
    return [*fields[:kept], _more(len(facts) - kept)]


def _more(count: int) -> Field:
    return {"name": MARK, "value": f"{MARK} and {count} more", "inline": False}
