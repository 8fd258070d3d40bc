"""The story of a key: the signals of one key, from the first one to the one that ends it.

A signal ends its story if its sender says so (`done`), or if its action is one of ENDS, in any case of letters. The next signal of the key
begins a new story. A signal without a key belongs to no story and ends none.
"""

from __future__ import annotations

from typing import Protocol

ENDS = frozenset({"CLOSE", "CLOSED", "EXIT", "RESOLVED"})  # values of `action`


class Teller(Protocol):
    """What is read of a signal."""

    @property
    def key(self) -> str | None: ...
    @property
    def action(self) -> str | None: ...
    @property
    def done(self) -> bool | None: ...


def ends_story(signal: Teller) -> bool:
    """Whether the signal ends the story of its key."""
    return bool(signal.key) and (bool(signal.done) or (signal.action or "").strip().upper() in ENDS)
