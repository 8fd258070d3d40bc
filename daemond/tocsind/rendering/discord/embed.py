"""A card as a Discord embed, within the limits of a message.

Space is assigned by importance: first the footer, which holds the id, then the title, then body and fields, which share the rest. The body
gives way to the fields as long as it keeps half; fields that do not fit are counted in the last field. Markup works in title, body and
fields, so these are escaped; Discord shows a footer as it is, so a backslash there would be visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from string import punctuation
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tocsind.rendering.card import BodyForm, Card
from tocsind.rendering.facts import Fact
from tocsind.rendering.numbers import iso
from tocsind.rendering.text import MARK, fitted

from . import stamps
from .attachments import image
from .code import code_block
from .limits import DESCRIPTION, FIELDS, LINK, MOST_ROOM, NAME, TITLE, VALUE
from .markdown import markdown
from .markup import cut, shown, silent

_SHORT: Final = 40  # code points of a value that may stand beside others
_RECENT: Final = 128  # embeds kept in memory: the next messages of a few busy destinations
_PLACE: Final = 60  # code points of an address that stand for a link
_HOST: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(?::[0-9]{1,5})?")

_NAMED_IN_FOOTER: Final = frozenset({"urgent", "high"})
_CONTENT: Final = frozenset({"title", "description", "fields", "image"})

Field = dict[str, Any]


def embed(
    card: Card, *, linked: bool = True, led: bool = False, label: str = "", attached: str | None = None
) -> dict[str, Any]:
    """The embed of `card`. With `linked` its title is the link; otherwise, or when Discord would refuse the link, a field shows it.
    `led`: the message's content says what happened, so the title is `label`, or where the link leads. `attached`: name of the
    attached file.
    """
    return dict(_embed(card, linked=linked, led=led, label=label, attached=attached))


@lru_cache(maxsize=_RECENT)
def _embed(card: Card, *, linked: bool, led: bool, label: str, attached: str | None) -> dict[str, Any]:
    url, last = web_address(card.link) if linked else None, footer(card, led=led)
    title = (label or place_of(url)) if led else title_of(card, label)
    left = MOST_ROOM - len(title) - len(last)
    body = body_of(card)
    fields = _fitted(list(rows(card, linked=url is not None, led=led)), left - min(len(body), left // 2))
    made = {
        "title": title,
        "description": body_of(card, min(DESCRIPTION, left - sum(map(_size, fields)))),
        "url": url,
        "color": card.tone,
        "fields": fields,
        "image": image(attached),
        "footer": {"text": last},
        "timestamp": iso(card.time),
    }
    shown = {key: value for key, value in made.items() if value not in (None, "", [])}
    return shown if shown.keys() & _CONTENT else _with_time_as_text(shown, card)


def _with_time_as_text(shown: dict[str, Any], card: Card) -> dict[str, Any]:
    """The embed of a card that the line of content has said whole: one that has only a footer might be refused."""
    shown.pop("timestamp", None)
    return shown | {"description": stamps.full(card.time) or MARK}


def title_of(card: Card, label: str = "") -> str:
    """The headline; when it is too long, only the title itself is cut."""
    mark = "" if card.priority.label in _NAMED_IN_FOOTER else card.mark
    head = "".join(f"{part} " for part in (label, mark, card.sign) if part)
    tail = "".join(f" · {part}" for part in (card.late, card.doubt, card.again) if part)
    return f"{head}{shown(card.title, TITLE - len(head) - len(tail))}{tail}"


def place_of(url: str | None) -> str:
    """Host and path of a web address, short and escaped."""
    parts = urlsplit(url or "")
    return shown(fitted(f"{parts.netloc}{parts.path.rstrip('/')}", _PLACE), TITLE) if url else ""


def rows(card: Card, *, linked: bool, led: bool, name: int = NAME, value: int = VALUE) -> Iterator[Field]:
    """The fields for all that the card knows, names and values cut to so many code points. A link comes before the program's own fields,
    so that it is never left out for them.
    """
    for fact in card.facts:
        if not (led and fact.leads):
            yield _in_zone(_field(fact, name, value), card, value)
    if card.valid_until is not None and (until := stamps.relative(card.valid_until)):
        yield {"name": "Valid until", "value": until, "inline": True}
    if card.link and not linked:
        yield _field(Fact("Link", card.link), name, value)
    for fact in card.fields:
        if not (led and fact.leads):
            yield _in_zone(_field(fact, name, value), card, value)


def body_of(card: Card, most: int = DESCRIPTION) -> str:
    """The body in at most `most` code points: a code block for output of a program."""
    if card.form is BodyForm.CODE:
        return code_block(card.body, most)
    if card.form is BodyForm.MARKDOWN:
        return markdown(card.body, most)
    return _with_stamps(shown(card.body, most), card, most) if card.body else ""


def footer(card: Card, *, led: bool = False) -> str:
    """The id last. Not escaped: Discord shows a footer as it is."""
    parts = card.footer_without_host if led else card.footer
    return " · ".join((*map(silent, parts), card.short_id))


def length(made: dict[str, Any]) -> int:
    """Code points of an embed that count towards the message's 6,000."""
    texts = made.get("title", ""), made.get("description", ""), made["footer"]["text"]
    return sum(map(len, texts)) + sum(map(_size, made.get("fields", ())))


def web_address(link: str | None) -> str | None:
    """`link` as Discord accepts it: http or https, a full host name, ASCII; else None."""
    if not link or len(link) > LINK:
        return None
    address = quote(link.strip(), safe=punctuation)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    well_formed = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc) and port != 0
    return address if well_formed and len(address) <= LINK else None


def _field(fact: Fact, name: int, value: int) -> Field:
    text = shown(fact.value, value)
    return {"name": shown(fact.name, name), "value": text, "inline": fact.inline or len(text) <= _SHORT}


def _in_zone(field: Field, card: Card, most: int) -> Field:
    return field | {"value": _with_stamps(field["value"], card, most)} if card.own else field


def _with_stamps(text: str, card: Card, most: int) -> str:
    """The daemon's own text with its times in the reader's zone, where there is room for that."""
    stamped = stamps.stamped(text, card.time) if card.own else text
    return stamped if len(stamped) <= most else text


def _size(field: Field) -> int:
    return len(field["name"]) + len(field["value"])


def _fitted(wanted: Sequence[Field], room: int) -> list[Field]:
    """As many fields as fit 25 and `room` code points, long values cut first; the last one counts those left out."""
    fields = list(wanted[:FIELDS])
    if sum(map(_size, fields)) > room:
        most = max(room // 4, 16)
        fields = [field | {"value": cut(field["value"], most)} for field in fields]
    if len(fields) == len(wanted) and sum(map(_size, fields)) <= room:
        return fields
    room -= _size(_more(len(wanted)))
    sums = accumulate(map(_size, fields[: FIELDS - 1]))
    kept = sum(1 for total in sums if total <= room)
    return [*fields[:kept], _more(len(wanted) - kept)]


def _more(count: int) -> Field:
    return {"name": MARK, "value": f"{MARK} and {count} more", "inline": False}
