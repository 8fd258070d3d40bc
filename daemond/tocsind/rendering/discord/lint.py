"""Checks a message before it is sent: how close it comes to each limit, and what a reader will not see. For `tocsin test`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tocsind.policy.delivery import Delivery
from tocsind.rendering.card import BodyForm, Card, card_of
from tocsind.rendering.text import is_blank

from .code import code_block
from .embed import length, place_of, rows, web_address
from .limits import CONTENT, DESCRIPTION, FIELDS, FOOTER, MOST_EMBEDS, MOST_ROOM, NAME, TITLE, USERNAME, VALUE
from .line import LABELS
from .markdown import markdown
from .markup import escape

_ALL = 10**6  # code points: as much as there is

Embed = dict[str, Any]


def limit_usage(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Each limit with what the message uses of it; of what comes more than once the longest counts."""
    embeds: list[Embed] = payload["embeds"]
    fields = [field for made in embeds for field in made.get("fields", ())]
    used = (
        ("embed title", max(len(made.get("title", "")) for made in embeds), TITLE),
        ("embed description", max(len(made.get("description", "")) for made in embeds), DESCRIPTION),
        ("embed fields", max(len(made.get("fields", ())) for made in embeds), FIELDS),
        ("field name", max((len(field["name"]) for field in fields), default=0), NAME),
        ("field value", max((len(field["value"]) for field in fields), default=0), VALUE),
        ("embed footer", max(len(made["footer"]["text"]) for made in embeds), FOOTER),
        ("embeds", len(embeds), MOST_EMBEDS),
        ("embeds together", sum(map(length, embeds)), MOST_ROOM),
        ("content", len(payload.get("content", "")), CONTENT),
        ("username", len(payload.get("username", "")), USERNAME),
    )
    return [{"name": name, "used": count, "most": most} for name, count, most in used]


def warnings_for(deliveries: Sequence[Delivery], payload: dict[str, Any], username: str | None) -> list[str]:
    """What is not shown as it was written, as text for people."""
    found = [
        note for delivery, made in zip(deliveries, payload["embeds"], strict=True) for note in _about(delivery, made)
    ]
    if username and "username" not in payload:
        found.append("the username was left out: Discord refuses it")
    return found


def _about(delivery: Delivery, made: Embed) -> Iterator[str]:
    card = card_of(delivery)
    led = made.get("title", "") in {"", *LABELS, place_of(made.get("url"))}
    if not led:
        yield from _cut("title", escape(card.title), made["title"])
    if delivery.plain_format:
        yield "in plain form: its own was refused, so link, fields and colour are lines of text"
        return
    yield from _cut("body", _whole_body(card), made.get("description", ""))
    if "url" not in made and card.link and "title" in made:
        why = "another alert of this message has the same" if web_address(card.link) else "Discord takes no such one"
        yield f"link is shown as a field: {why}"
    if card.file:
        yield f"{card.file} goes along{', and is shown as the image' if 'image' in made else ''}"
    yield from _about_fields(card, made, led=led)


def _whole_body(card: Card) -> str:
    if card.form is BodyForm.MARKDOWN:
        return markdown(card.body, _ALL)
    return code_block(card.body, _ALL) if card.form is BodyForm.CODE else escape(card.body)


def _about_fields(card: Card, made: Embed, *, led: bool) -> Iterator[str]:
    whole = list(rows(card, linked="url" in made, led=led, name=_ALL, value=_ALL))
    fields = made.get("fields", [])
    complete = len(whole) == len(fields)
    if not complete:
        yield f"{len(whole) - len(fields) + 1} of {len(whole)} fields were left out"
    for row, field in zip(whole, fields if complete else fields[:-1], strict=False):
        yield from _cut("a field's name", row["name"], field["name"])
        yield from _cut(f"field {field['name']}", row["value"], field["value"])


def _cut(what: str, whole: str, shown: str) -> Iterator[str]:
    # Both are counted as they are sent: what had to be escaped is longer than it was written.
    if len(shown) < len(whole) and not is_blank(whole):
        yield f"{what} was cut from {len(whole):,} to {len(shown):,}"
