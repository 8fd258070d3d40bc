"""Deliveries as one Discord message: one embed each, in order, and a line of content each where that is wanted.

`policy.batch` decides which deliveries share a message, by `size`: the code points of a delivery in its longest form. So nothing is cut
here to make room for others. Discord shows only the first of several embeds with the same url, which would hide alerts: the later ones show
their link as a field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.rendering.card import Card, card_of, card_of_update
from tocsind.rendering.facts import LATE_ROOM
from tocsind.rendering.text import clean, is_blank

from .attachments import attachment_names
from .embed import embed, length
from .history import with_history
from .limits import MOST_EMBEDS, MOST_ROOM, USERNAME
from .line import LABELS, Line, Notify, content, lines_of
from .markup import cut
from .plain import plain

_FORBIDDEN_IN_NAMES: Final = ("clyde", "discord")
_LABEL: Final = 2  # code points of a label and its space
_UNCUT: Final = 2000  # code points: in a shorter embed nothing was cut
_LED: Final = (Line(label=LABELS[0]), Line(led=True, label=LABELS[0]), Line(led=True))


def message(
    deliveries: Sequence[Delivery],
    username: str | None = None,
    notify: Notify | None = None,
    gone: Collection[int] = (),
    named: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """The payload for one to ten deliveries. It notifies those in `notify` only, whatever the texts say. `attachments` names the files to
    send; a file's id is its delivery's index. `gone`: indexes of missing files. `named`: other files than the deliveries' own.
    """
    assert 0 < len(deliveries) <= MOST_EMBEDS, "a message has one to ten embeds"
    notify = notify or Notify()
    names = attachment_names(deliveries, gone) if named is None else named
    cards = [card_of(delivery, gone=place in gone) for place, delivery in enumerate(deliveries)]
    lines = lines_of(cards, notify)
    forms = [delivery.plain_format for delivery in deliveries]
    made = list(_embeds(cards, lines, names, forms))
    return _payload(made, content(lines, notify), notify, names, _name(username))


def living_message(
    update: LiveUpdate,
    username: str | None = None,
    notify: Notify | None = None,
    attached: tuple[int, str] | None = None,
    *,
    gone: bool = False,
) -> dict[str, Any]:
    """The payload that posts or edits a live message. An edit replaces content and embed and notifies no reader: what its content mentions
    is not permitted. An edit without a content would leave the old one.

    `attached`: id and name of the file to send, which replaces an earlier one; without it the earlier one stays. `gone`: the file is
    missing.
    """
    notify = notify or Notify()
    card = card_of_update(update, gone=gone)
    [line] = lines_of([card], notify)
    is_plain = update.message.plain_format
    made = _form(card, line, plainly=is_plain, attached=attached[1] if attached else None)
    made = with_history(made, card, plainly=is_plain)
    names = {attached[0]: attached[1]} if attached else {}
    text = content([line], notify)
    if update.edits is None:
        return _payload([made], text, notify, names, _name(username))
    return {"content": text} | _payload([made], text, Notify(), names, None)


def size(delivery: Delivery) -> int:
    """The most code points that the delivery can need, late or not, with a line of content or without."""
    cards = [card_of(delivery)]
    if delivery.signal.attach:
        cards.append(card_of(delivery, gone=True))
    largest = max(_sizes(cards, (Line(),), plainly=delivery.plain_format)) + _LABEL
    # Where something may have been cut, the form with more to say is not always the longer one; an address may be longer than a title.
    if largest > _UNCUT or cards[0].link:
        largest = max(largest, *_sizes(cards, _LED, plainly=delivery.plain_format))
    return min(largest + LATE_ROOM, MOST_ROOM)


def _sizes(cards: Iterable[Card], lines: Iterable[Line], *, plainly: bool) -> Iterator[int]:
    for card, line in product(cards, lines):
        for linked in (True, False) if card.link else (True,):
            yield length(_form(card, line, plainly=plainly, linked=linked))


def _payload(
    embeds: Sequence[dict[str, Any]], text: str, notify: Notify, names: Mapping[int, str], username: str | None
) -> dict[str, Any]:
    files = [{"id": place, "filename": filename} for place, filename in names.items()]
    payload = {"content": text, "embeds": embeds, "attachments": files, "username": username}
    return {key: value for key, value in payload.items() if value} | notify.parts


def _embeds(
    cards: Sequence[Card], lines: Sequence[Line], names: Mapping[int, str], forms: Sequence[bool]
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for place, (card, line, is_plain) in enumerate(zip(cards, lines, forms, strict=True)):
        made = _form(card, line, plainly=is_plain, attached=names.get(place))
        url = made.get("url")
        if url is not None:
            made = _form(card, line, plainly=is_plain, attached=names.get(place), linked=False) if url in seen else made
            seen.add(url)
        yield made


def _form(card: Card, line: Line, *, plainly: bool, attached: str | None = None, linked: bool = True) -> dict[str, Any]:
    if plainly:
        return plain(card, led=line.led, label=line.label)
    return embed(card, led=line.led, label=line.label, attached=attached, linked=linked)


def _name(username: str | None) -> str | None:
    """The username, or None when Discord would refuse it: the alert matters more than its author."""
    name = cut(clean(username or ""), USERNAME)
    refused = any(word in name.lower() for word in _FORBIDDEN_IN_NAMES) or name.lower() in {"everyone", "here"}
    return None if refused or is_blank(name) else name
