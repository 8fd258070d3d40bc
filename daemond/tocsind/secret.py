"""Secrets are a type: what is printed, logged, compared in an error or written down is a mask, and the value takes a deliberate word."""

from __future__ import annotations

import re

_LIKE_A_URL = re.compile(r"\S*(?:\w://|webhooks/[0-9]+/)\S*")


def masked(text: str) -> str:
    """`text` without anything that looks like a URL: for words that are not ours, a person's or a bug's."""
    return _LIKE_A_URL.sub("****", text)


class Secret:
    """A value that never shows itself. `reveal()` is the only way to it, so every use can be found by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not written down")
