"""A card as a title and plain text, for Apprise, which cuts it to what the service takes."""

from __future__ import annotations

from typing import Final

from tocsind.policy.delivery import Priority

from .card import Card, headline
from .plain_text import text_of
from .text import fitted

MAX_TITLE: Final = 250  # code points, as most of Apprise's services take


def message(card: Card) -> dict[str, str]:
    """`title`, `body` and `type`. Apprise has a colour or a sign for each type, and no priorities."""
    line = headline(card)
    title, text = fitted(line, MAX_TITLE), text_of(card)
    return {
        "title": title,
        "body": text if title == line else f"{line}\n\n{text}",
        "type": "warning" if card.priority <= Priority.HIGH else "info",
    }
