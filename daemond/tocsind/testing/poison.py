"""A message that is refused for one of its embeds, and says which.

A form validator that is stricter than it is documented to be: it is unknown outside Discord what it will dislike, only that it happens, and
what it looks like then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsind.discord_api.errors import error, invalid_form
from tocsind.discord_api.forms import Faults
from tocsind.http_server import Reply
from tocsind.testing.behaviour import Asked, Behaviour, Count


class Poison(Behaviour, frozen=True, kw_only=True, tag="poison"):
    """Refuses each message with an embed that holds `text` in its part `within` (None: in any part). `named`: the answer tells its path."""

    text: str
    within: str | None = None
    named: bool = True
    count: Count | None = None

    @property
    def replaces(self) -> bool:
        return True

    def matches(self, asked: Asked) -> bool:
        return super().matches(asked) and next(self._poisoned(asked.message), None) is not None

    def instead(self, asked: Asked) -> Reply:
        if not self.named:
            return error(400, 50035, "Invalid Form Body")
        faults = Faults()
        for place in self._poisoned(asked.message):
            faults.at("embeds", place, self.within or "description").add("POISONED", "This is refused.")
        return invalid_form(faults.tree)

    def _poisoned(self, message: Any) -> Iterator[int]:
        embeds = message.get("embeds") if isinstance(message, dict) else None
        for place, embed in enumerate(embeds if isinstance(embeds, list) else ()):
            looked_at = embed.get(self.within) if self.within and isinstance(embed, dict) else embed
            if any(self.text in found for found in _texts(looked_at)):
                yield place


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as table:
                waiting += table.values()
            case list() as items:
                waiting += items
            case _:
                continue
