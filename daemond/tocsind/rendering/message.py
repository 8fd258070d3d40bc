"""Deliveries as one Discord message: one embed each, in order.

`policy.batch` decides which deliveries share a message, by `size`: the code points of a delivery in its longest form. So nothing is cut
here to make room for others. Discord shows only the first of several embeds with the same url, which would hide alerts: the later ones show
their link as a field.
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
    notify: Notify | None = None,
    gone: Collection[int] = (),
    named: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """The payload for one to ten deliveries. It notifies those in `notify` only, whatever the texts say. `attachments` names the files to
    send; a file's id is its delivery's index. `gone`: indexes of missing files. `named`: other files than the deliveries' own.
    """
    assert 0 < len(deliveries) <= MOST_EMBEDS, "a message has one to ten embeds"
    names, name = attachment_names(deliveries, gone) if named is None else named, _name(username)
    payload = {"embeds": list(_embeds(deliveries, names, gone)), **(notify or Notify()).parts}
    files = [{"id": place, "filename": filename} for place, filename in names.items()]
    return payload | ({"attachments": files} if files else {}) | ({"username": name} if name else {})


def living_message(
    update: LiveUpdate,
    username: str | None = None,
    notify: Notify | None = None,
    attached: tuple[int, str] | None = None,
    *,
    gone: bool = False,
) -> dict[str, Any]:
    """The payload that posts or edits a live message. An edit replaces the embed and notifies no reader.

    `attached`: id and name of the file to send, which replaces an earlier one; without it the earlier one stays. `gone`: the file is
    missing.
    """
    posted = message(
        [update.message], username, notify, gone=[0] if gone else (), named={0: attached[1]} if attached else {}
    )
    made = with_history(posted["embeds"][0], update)
    files = {"attachments": [{"id": attached[0], "filename": attached[1]}]} if attached else {}
    return (posted if update.edits is None else Notify().parts) | {"embeds": [made]} | files


def size(delivery: Delivery) -> int:
    """The most code points that the delivery can need, late or not."""
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
        attached, lost = names.get(place), place in gone
        made = _form(delivery, attached=attached, gone=lost)
        url = made.get("url")
        if url is not None:
            made = _form(delivery, linked=False, attached=attached, gone=lost) if url in seen else made
            seen.add(url)
        yield made


def _form(
    delivery: Delivery, *, linked: bool = True, attached: str | None = None, gone: bool = False
) -> dict[str, Any]:
    return plain(delivery) if delivery.plain_format else embed(delivery, linked=linked, attached=attached, gone=gone)


def _name(username: str | None) -> str | None:
    """The username, or None when Discord would refuse it: the alert matters more than its author."""
    name = cut(clean(username or ""), USERNAME)
    refused = any(word in name.lower() for word in _FORBIDDEN_IN_NAMES) or name.lower() in {"everyone", "here"}
    return None if refused or is_blank(name) else name
