"""The line of content for each alert that is read on a lock screen, and who is mentioned by a message.

Settings are those of a whole message, so alerts with different settings never share one. Mentions count in `content` only, and only as far
as `allowed_mentions` permits: what the configuration names. Discord's server looks for them before any escape, so in a line a space of no
width breaks all that could be one: only the operator decides who is notified. An address stands in angle brackets, because Discord would
fetch it for a preview.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from tocsind.rendering.card import Card, headline, push_line

from .limits import CONTENT
from .markup import bracketed, cut, escape

LABELS: Final = "①②③④⑤⑥⑦⑧⑨⑩"  # which line belongs to which embed
SILENT: Final = 4096  # SUPPRESS_NOTIFICATIONS: it appears without a sound
_WRITTEN: Final = {"role": "<@&{}>", "user": "<@{}>", "everyone": "@everyone", "here": "@here"}
_ONE: Final = re.compile(r"(?<=<)@(?=[!&]?[0-9])")
_ALL_IN_ADDRESS: Final = re.compile(r"@(?=everyone|here)")


class Notify(NamedTuple):
    """Notification settings of a message. `mentions` are "role:ID", "user:ID", "everyone", "here"; `push` are the priorities whose alerts
    have a line of content.
    """

    mentions: tuple[str, ...] = ()
    silent: bool = False
    push: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, Any]:
        """The parts of the payload that carry these settings, but for the content."""
        flags = {"flags": SILENT} if self.silent else {}
        return flags | {"allowed_mentions": _allowed(self.mentions)}


class Line(NamedTuple):
    """A line of content, or none. `led`: it says the whole title and all facts that lead, so the embed leaves them out."""

    text: str = ""
    led: bool = False
    label: str = ""


def lines_of(cards: Sequence[Card], notify: Notify) -> list[Line]:
    """The line of each card, in order. A message of several embeds labels them: a label stands before a line and in its embed's title."""
    pushed = [card.priority.label in notify.push for card in cards]
    room = (CONTENT - len(mentions(notify)) - 1) // max(1, sum(pushed))
    labels = iter(LABELS if len(cards) > 1 else ("",))
    return [
        _line(card, next(labels), room - 1) if is_pushed else Line()
        for card, is_pushed in zip(cards, pushed, strict=True)
    ]


def content(lines: Iterable[Line], notify: Notify) -> str:
    """The content of a message; empty when it notifies in no way of its own."""
    return " ".join(filter(None, ("\n".join(line.text for line in lines if line.text), mentions(notify))))


def mentions(notify: Notify) -> str:
    """The mentions as Discord reads them."""
    return " ".join(map(_written, notify.mentions))


def _line(card: Card, label: str, room: int) -> Line:
    start = f"{label} " if label else ""
    whole = start + _harmless(push_line(card))
    if len(whole) <= room:
        return Line(whole, led=True, label=label)
    return Line(cut(start + _harmless(headline(card)), room), led=False, label=label)


def _harmless(text: str) -> str:
    """`text` without anything that Discord's server could take for a mention. Elsewhere than in addresses `escape` has broken @everyone."""
    return _ALL_IN_ADDRESS.sub("%40", _ONE.sub("@\u200b", bracketed(escape(text))))


def _written(mention: str) -> str:
    kind, _, id_ = mention.partition(":")
    return _WRITTEN[kind].format(id_)


def _allowed(named: Iterable[str]) -> dict[str, list[str]]:
    """`allowed_mentions`: the named roles and users; `everyone` only when named, which permits `here` as well."""
    ids: dict[str, list[str]] = {}
    parse: list[str] = []
    for mention in named:
        kind, colon, id_ = mention.partition(":")
        if colon:
            ids.setdefault(f"{kind}s", []).append(id_)
        else:
            parse = ["everyone"]
    return {"parse": parse, **ids}
