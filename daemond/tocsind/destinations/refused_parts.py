"""Parts of a message that Discord refused although they belong to no alert: name, line of text, mentions, silence.

An alert without them is better than none, so a refused part is left out; but without the line of text no phone shows what an alert says.
So the part is sent again after a while, and once a message with it arrives, all is as before. If it is refused again, the alert goes out
without it at once, and the pause doubles.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tocsin.durations import format_duration
from tocsind.clock import Clock

FIRST_PAUSE: Final = 300.0  # seconds; one faulty alert does not cost hours of notifications
LONGEST_PAUSE: Final = 21_600.0  # seconds
MENTIONING: Final = frozenset({"content", "allowed_mentions"})
_WORDS: Final = {
    "username": "the configured name",
    "content": "the line of text, so phones show no text and mention no one",
    "allowed_mentions": "mentions, so no one is mentioned",
    "flags": "silence, so low ones make a sound",
}


class RefusedParts:
    """The parts that one destination leaves out. `clock.now` counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}  # when a part may be sent again
        self._pause: dict[str, float] = {}
        self._said = ""

    @property
    def left_out(self) -> frozenset[str]:
        """The parts that the next message must not have."""
        return frozenset(part for part, until in self._until.items() if until > self._clock.now())

    def on_refused(self, parts: Collection[str], reason: str) -> None:
        """Discord refused these parts of a message that had them."""
        for part in parts:
            pause = self._pause[part] = min(2 * self._pause.get(part, FIRST_PAUSE / 2), LONGEST_PAUSE)
            self._until[part] = self._clock.now() + pause
        if parts:
            words = " and ".join(_WORDS[part] for part in sorted(parts))
            longest = max(self._pause[part] for part in parts)
            self._said = f"messages go without {words}: {reason} (tried again after {format_duration(longest)})"

    def on_accepted(self, parts: Collection[str]) -> None:
        """A message with these parts arrived."""
        for part in self._until.keys() & parts:
            del self._until[part], self._pause[part]

    @property
    def silences_phones(self) -> bool:
        """Whether no phone shows text, and no one is mentioned."""
        return not MENTIONING.isdisjoint(self._until)

    @property
    def note(self) -> str | None:
        """What the operator should know; an empty text when what was said before is over; None when nothing was ever said."""
        if self._until:
            return self._said
        return "" if self._said else None
