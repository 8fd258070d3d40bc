"""Deliveries as one Discord message: an embed each, in order.

Which of them share a message is decided elsewhere, by `size`: what a delivery takes in the largest form that company could give it. So
nothing is shrunk here for the sake of others. Of several embeds with the same url Discord shows only the first, and alerts would vanish:
the later ones show their link as a field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from tocsind.policy.delivery import Delivery
from tocsind.policy.living import Telling

from .embed import embed, length
from .facts import LATE_ROOM
from .history import with_history
from .limits import MOST_EMBEDS, MOST_ROOM, USERNAME
from .mentions import Manner
from .plain import plain
from .text import clean, cut, is_blank

_FORBIDDEN_IN_NAMES: Final = ("clyde", "discord")


def message(
    deliveries: Sequence[Delivery], username: str | None = None, manner: Manner | None = None
) -> dict[str, Any]:
    """The payload that carries one to ten deliveries. It wakes nobody but those in `manner`, whatever they say."""
    assert 0 < len(deliveries) <= MOST_EMBEDS, "a message has one to ten embeds"
    payload = {"embeds": list(_embeds(deliveries)), **(manner or Manner()).parts}
    name = _name(username)
    return payload | ({"username": name} if name else {})


def living_message(telling: Telling, username: str | None = None, manner: Manner | None = None) -> dict[str, Any]:
    """The payload that posts or edits a living message. An edit replaces the embed, and wakes nobody again who stands in the content."""
    posted = message([telling.shown], username, manner)
    posted["embeds"] = [with_history(posted["embeds"][0], telling)]
    return posted if telling.edits is None else {"embeds": posted["embeds"], **Manner().parts}


def size(delivery: Delivery) -> int:
    """Code points that it may take of a message, should it be late by then."""
    made = _form(delivery)
    largest = max(length(made), length(_form(delivery, linked=False)) if "url" in made else 0)
    return min(largest + LATE_ROOM, MOST_ROOM)


def _embeds(deliveries: Sequence[Delivery]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for delivery in deliveries:
        made = _form(delivery)
        url = made.get("url")
        if url is not None:
            made = _form(delivery, linked=False) if url in seen else made
            seen.add(url)
        yield made


def _form(delivery: Delivery, *, linked: bool = True) -> dict[str, Any]:
    return plain(delivery) if delivery.plain else embed(delivery, linked=linked)


def _name(username: str | None) -> str | None:
    """A username that Discord refuses is left out: the alert matters more than its author."""
    name = cut(clean(username or ""), USERNAME)
    refused = any(word in name.lower() for word in _FORBIDDEN_IN_NAMES) or name.lower() in {"everyone", "here"}
    return None if refused or is_blank(name) else name
