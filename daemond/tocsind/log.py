"""Log lines: one a fact, `key=value`, on standard error. Nothing here decides what is told; a fact's own `level` does.

2026-11-22T02:30:00.125Z warning throttled destination=signals-premium reason="503 from Discord" rest=10
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from typing import Any, TextIO

import msgspec

from tocsin import trust

from .clock import Clock
from .events import Fact

LEVELS = ("debug", "info", "warning", "error")
MOST_BYTES = 2**20  # of a log file of our own: beyond that it is begun anew, and the last one kept beside it


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


def keep_in(path: str, most: int = MOST_BYTES) -> TextIO:
    """Make `path` our standard error, for tracebacks too, and the stream of a Log that does not outgrow `most` bytes. Raises OSError.

    For who has no supervisor to keep what we say. The file is copied and cut, not renamed: whoever has it open writes on in it.
    """
    opened = trust.open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(opened, 2)
    os.close(opened)
    return _Bounded(path, most)


class _Bounded(StringIO):
    """What was written to it goes to standard error with a flush."""

    def __init__(self, path: str, most: int) -> None:
        super().__init__()
        self._path = path
        self._most = most

    def flush(self) -> None:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        if os.fstat(2).st_size + len(text) > self._most:
            _copy(2, f"{self._path}.1")
            os.ftruncate(2, 0)
        sys.stderr.write(text)
        sys.stderr.flush()


def _copy(file: int, path: str) -> None:
    """All of an open file, in place of what `path` holds. Raises OSError, Untrusted for a file of another user's."""
    copy = trust.open_file(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(copy, 0)
        os.sendfile(copy, file, 0, os.fstat(file).st_size)
    finally:
        os.close(copy)


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
