"""Deliveries as one Discord message: an embed each, in order.

Which of them share a message is decided elsewhere, by `size`: what a delivery takes in the largest form that company could give it. So
nothing is shrunk here for the sake of others. Of several embeds with the same url Discord shows only the first, and alerts would vanish:
the later ones show their link as a field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from tocsind.policy.delivery import Delivery, LiveUpdate

from .attachments import attachment_names
from .embed import embed, length
from .facts import LATE_ROOM
from .history import with_history
from .limits import MOST_EMBEDS, MOST_ROOM, USERNAME
from .mentions import Notify
from .plain import plain
from .text import clean, cut, is_blank

_FORBIDDEN_IN_NAMES: Final = ("clyde", "discord")


def message(
    deliveries: Sequence[Delivery],
    username: str | None = None,
    manner: Notify | None = None,
    gone: Collection[int] = (),
    named: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """The payload that carries one to ten deliveries. It wakes nobody but those in `manner`, whatever they say. The `attachments` that it
    names go along, each by its delivery's place as its id; `gone` are the places of those that are not to be had. `named` are other
    files than their own.
    """
    assert 0 < len(deliveries) <= MOST_EMBEDS, "a message has one to ten embeds"
    names, name = attachment_names(deliveries, gone) if named is None else named, _name(username)
    payload = {"embeds": list(_embeds(deliveries, names, gone)), **(manner or Notify()).parts}
    files = [{"id": place, "filename": filename} for place, filename in names.items()]
    return payload | ({"attachments": files} if files else {}) | ({"username": name} if name else {})


def living_message(
    telling: LiveUpdate,
    username: str | None = None,
    manner: Notify | None = None,
    enclosed: tuple[int, str] | None = None,
    *,
    gone: bool = False,
) -> dict[str, Any]:
    """The payload that posts or edits a living message. An edit replaces the embed, and wakes nobody again who stands in the content.

    `enclosed` are id and name of the file that goes along, in the place of one that is there; without it that one stays. `gone`: one that
    should have gone along is not to be had.
    """
    posted = message(
        [telling.message], username, manner, gone=[0] if gone else (), named={0: enclosed[1]} if enclosed else {}
    )
    made = with_history(posted["embeds"][0], telling)
    files = {"attachments": [{"id": enclosed[0], "filename": enclosed[1]}]} if enclosed else {}
    return (posted if telling.edits is None else Notify().parts) | {"embeds": [made]} | files


def size(delivery: Delivery) -> int:
    """Code points that it may take of a message, should it be late by then."""
    made = _form(delivery)
    forms = [made, _form(delivery, linked=False)] if "url" in made else [made]
    if delivery.signal.attach:
        forms += [_form(delivery, linked=linked, gone=True) for linked in (True, False)]
    largest = max(map(length, forms))
    return min(largest + LATE_ROOM, MOST_ROOM)


def _embeds(
    deliveries: Sequence[Delivery], names: Mapping[int, str], gone: Collection[int]
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for place, delivery in enumerate(deliveries):
        enclosed, lost = names.get(place), place in gone
        made = _form(delivery, enclosed=enclosed, gone=lost)
        url = made.get("url")
        if url is not None:
            made = _form(delivery, linked=False, enclosed=enclosed, gone=lost) if url in seen else made
            seen.add(url)
        yield made


def _form(
    delivery: Delivery, *, linked: bool = True, enclosed: str | None = None, gone: bool = False
) -> dict[str, Any]:
    return plain(delivery) if delivery.plain_format else embed(delivery, linked=linked, enclosed=enclosed, gone=gone)


def _name(username: str | None) -> str | None:
    """A username that Discord refuses is left out: the alert matters more than its author."""
    name = cut(clean(username or ""), USERNAME)
    refused = any(word in name.lower() for word in _FORBIDDEN_IN_NAMES) or name.lower() in {"everyone", "here"}
    return None if refused or is_blank(name) else name
