"""Deliveries as one Discord message: an embed each, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tocsind.policy.delivery import Delivery

from .embed import MOST_ROOM, embed, length
from .text import clean, cut, is_blank

MOST_EMBEDS: Final = 10
_USERNAME: Final = 80
_FORBIDDEN_IN_NAMES: Final = ("clyde", "discord")


def message(deliveries: Sequence[Delivery], username: str | None = None) -> dict[str, Any]:
    """The payload that carries one to ten deliveries. It mentions nobody, whatever they say."""
    assert 0 < len(deliveries) <= MOST_EMBEDS, "a message has one to ten embeds"
    payload: dict[str, Any] = {"embeds": _embeds(deliveries), "allowed_mentions": {"parse": []}}
    name = _name(username)
    return payload | ({"username": name} if name else {})


def _embeds(deliveries: Sequence[Delivery]) -> list[dict[str, Any]]:
    embeds = [embed(delivery) for delivery in deliveries]
    if sum(map(length, embeds)) > MOST_ROOM:
        rooms = shares(list(map(length, embeds)), MOST_ROOM)
        embeds = [
            made if length(made) <= room else embed(delivery, room)
            for delivery, made, room in zip(deliveries, embeds, rooms, strict=True)
        ]
    return _distinct(embeds)


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """`room` divided so that small ones get all they ask for, and the large ones the same of what is left."""
    given = list(sizes)
    waiting = sorted(range(len(sizes)), key=sizes.__getitem__)
    for place, index in enumerate(waiting):
        given[index] = min(sizes[index], room // (len(waiting) - place))
        room -= given[index]
    return given


def _distinct(embeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of several embeds with the same url Discord shows only the first: the others lose theirs, or alerts would vanish."""
    seen: set[str] = set()
    for made in embeds:
        if made.get("url") in seen:
            del made["url"]
        elif "url" in made:
            seen.add(made["url"])
    return embeds


def _name(username: str | None) -> str | None:
    """A username that Discord refuses is left out: the alert matters more than its author."""
    name = cut(clean(username or ""), _USERNAME)
    refused = any(word in name.lower() for word in _FORBIDDEN_IN_NAMES) or name.lower() in {"everyone", "here"}
    return None if refused or is_blank(name) else name
