"""Log lines: one a fact, `key=value`, on standard error. Nothing here decides what is told; a fact's own `level` does.

2026-11-22T02:30:00.125Z warning throttled destination=signals-premium reason="503 from Discord" rest=10
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from .clock import Clock
from .events import Fact

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """An observer of facts that writes what is at least as loud as `level`."""

    def __init__(self, clock: Clock, level: str = "info", stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """From now on, write facts of this level and louder."""
        self._loud = frozenset(LEVELS[LEVELS.index(level) :])

    def __call__(self, fact: Fact) -> None:
        """Write one fact."""
        if fact.level in self._loud:
            # a closed terminal or a full disk under the log must not stop deliveries
            with suppress(OSError, ValueError):
                print(line(fact, self._clock.wall()), file=self._stream, flush=True)

    def __repr__(self) -> str:
        return f"<Log {'|'.join(sorted(self._loud))}>"


def line(fact: Fact, wall: float) -> str:
    """A fact as one line of text."""
    fields: dict[str, Any] = msgspec.to_builtins(fact)
    name = fields.pop("fact")
    when = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return " ".join(
        [when, fact.level, name, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)]
    )


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, (list, tuple)):
        return _value(",".join(map(str, value)))
    text = str(value)
    bare = text.isprintable() and text and not set(text) & set(' "=')
    return text if bare else f'"{"".join(map(_quoted, text))}"'


def _quoted(character: str) -> str:
    """As in JSON, and escaped whatever a terminal or a pager might act upon: C1 controls, U+2028, text that runs backwards."""
    return character if character.isprintable() and character not in '"\\' else json.dumps(character)[1:-1]
