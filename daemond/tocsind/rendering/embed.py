"""A delivery as a Discord embed, within the limits of a message.

Space is assigned by importance: first the footer, which holds the id, then the title, then body and fields, which share the rest. The body
gives way to the fields as long as it keeps half; fields that do not fit are counted in the last field. Markup works in title, body and
fields, so these are escaped; Discord shows a footer as it is, so a backslash there would be visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import msgspec

from tocsind.policy.delivery import Delivery, Priority

from .attachments import image, missing
from .code import code_block
from .facts import Fact, Value, as_text, facts, footer, headline, lateness, web_address, when
from .limits import DESCRIPTION, FIELDS, MOST_ROOM, NAME, VALUE
from .text import MARK, clean, cut, is_blank, one_line, shown
from .trade import trade_of

_SHORT: Final = 40  # code points of a value that may stand beside others
_RECENT: Final = 128  # embeds kept in memory: the next messages of a few busy destinations
_COLOUR_OF_PRIORITY: Final = {
    Priority.URGENT: 0xC0392B,
    Priority.HIGH: 0xE67E22,
    Priority.NORMAL: 0x3498DB,
    Priority.LOW: 0x95A5A6,
}

Field = dict[str, Any]


def embed(
    delivery: Delivery, *, linked: bool = True, attached: str | None = None, gone: bool = False
) -> dict[str, Any]:
    """The embed of `delivery`. With `linked` its title is the link; otherwise, or when Discord would refuse the link, a field shows it.
    `attached` is the name of the attached file; a field says when that file is `gone`.

    An embed is rendered to be measured and again to be sent. The claim in between changes nothing visible, unless the delivery is late.
    """
    tried = None if lateness(delivery) is None else delivery.tried
    alike = msgspec.structs.replace(delivery, attempts=0, first_try=None, tried=tried, update=None)
    return dict(_rendered(alike, linked=linked, attached=attached, gone=gone))


@lru_cache(maxsize=_RECENT)
def _rendered(delivery: Delivery, *, linked: bool, attached: str | None, gone: bool) -> dict[str, Any]:
    signal = delivery.signal
    title, last = headline(delivery), footer(delivery)
    left = MOST_ROOM - len(title) - len(last)
    body = body_of(delivery)
    fields = _fitted(
        list(facts(signal, linked=linked, missing=missing(delivery, gone=gone))), left - min(len(body), left // 2)
    )
    made = {
        "title": title,
        "description": cut(body, min(DESCRIPTION, left - sum(map(_size, fields)))),
        "url": web_address(signal.link) if linked else None,
        "color": _colour(delivery),
        "fields": fields,
        "image": image(attached),
        "footer": {"text": last},
        "timestamp": when(delivery),
    }
    return {key: value for key, value in made.items() if value not in (None, "", [])}


def body_of(delivery: Delivery) -> str:
    """The body, cut to a description: a code block for output of a program. Empty when a reader would see nothing."""
    if delivery.signal.code:
        return code_block(delivery.signal.body or "", DESCRIPTION)
    body = clean(delivery.signal.body or "")
    return "" if is_blank(body) else shown(body, DESCRIPTION)


def length(made: dict[str, Any]) -> int:
    """Code points of an embed that count towards the message's 6,000."""
    texts = made.get("title", ""), made.get("description", ""), made["footer"]["text"]
    return sum(map(len, texts)) + sum(map(_size, made.get("fields", ())))


def _colour(delivery: Delivery) -> int:
    trade = trade_of(delivery.signal)
    return trade.colour if trade else _COLOUR_OF_PRIORITY[delivery.priority]


def _field(name: str, value: Value, inline: bool) -> Field:  # noqa: FBT001 - a Fact, unpacked
    text = shown(as_text(value), VALUE)
    return {"name": shown(one_line(name), NAME), "value": text, "inline": inline or len(text) <= _SHORT}


def _size(field: Field) -> int:
    return len(field["name"]) + len(field["value"])


def _fitted(all_facts: Sequence[Fact], room: int) -> list[Field]:
    """As many fields as fit 25 and `room` code points, long values cut first; the last one counts those left out."""
    fields = [_field(*fact) for fact in all_facts[:FIELDS]]
    if sum(map(_size, fields)) > room:
        most = max(room // 4, 16)
        fields = [field | {"value": cut(field["value"], most)} for field in fields]
    if len(fields) == len(all_facts) and sum(map(_size, fields)) <= room:
        return fields
    room -= _size(_more(len(all_facts)))
    sums = accumulate(map(_size, fields[: FIELDS - 1]))
    kept = sum(1 for total in sums if total <= room)
    return [*fields[:kept], _more(len(all_facts) - kept)]


def _more(count: int) -> Field:
    return {"name": MARK, "value": f"{MARK} and {count} more", "inline": False}
