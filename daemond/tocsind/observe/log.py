"""Log lines: one a fact, `key=value`, on standard error. Nothing here decides what is told; a fact's own `level` does.

2026-11-22T02:30:00.125Z warning breaker-opened destination=signals-premium reason="503 from Discord" rest=10

A line is made on the event loop and written by a thread (`log_writer`), so that a log that nobody reads stops nothing.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import msgspec

from tocsin import trust
from tocsind.clock import Clock
from tocsind.events import Event, LogLinesDropped

from .log_writer import FLUSH, LogWriter, Write, to_descriptor

LEVELS = ("debug", "info", "warning", "error")
MOST_BYTES = 2**20  # of a log file of our own: beyond that it is begun anew, and the last one kept beside it


class Log:
    """An observer of facts that writes what is at least as loud as `level`, with `write`, else to standard error."""

    def __init__(self, clock: Clock, level: str = "info", write: Write | None = None) -> None:
        self._clock = clock
        self._writer = LogWriter(write or to_descriptor(2), lambda lines: line(LogLinesDropped(lines), clock.wall()))
        self.set_level(level)

    @property
    def dropped(self) -> int:
        """Lines that were dropped because nobody read the ones before them, or because they could not be written."""
        return self._writer.dropped

    def set_level(self, level: str) -> None:
        """From now on, write facts of this level and louder."""
        self._levels = frozenset(LEVELS[LEVELS.index(level) :])

    def __call__(self, fact: Event) -> None:
        """Write one fact, soon. Does not block."""
        if fact.level in self._levels:
            self._writer.put(line(fact, self._clock.wall()))

    def close(self, seconds: float = FLUSH) -> None:
        """Wait until what was logged is written, so long at most; nothing is logged after that. Blocks."""
        self._writer.close(seconds)

    def __repr__(self) -> str:
        return f"<Log {'|'.join(sorted(self._levels))}>"


def redirect_stderr_to(path: str, most: int = MOST_BYTES) -> Write:
    """Make `path` our standard error, for tracebacks too, and what a Log writes with, in at most `most` bytes. Raises OSError.

    For who has no supervisor to keep what we say. The file is copied and cut, not renamed: whoever has it open writes on in it.
    """
    opened = trust.open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(opened, 2)
    os.close(opened)
    write = to_descriptor(2)

    def bounded(data: bytes) -> None:
        for each in data.splitlines(keepends=True):
            if os.fstat(2).st_size + len(each) > most:
                _copy(2, f"{path}.1")
                os.ftruncate(2, 0)
            write(each)

    return bounded


def _copy(file: int, path: str) -> None:
    """All of an open file, in place of what `path` holds. Raises OSError, Untrusted for a file of another user's."""
    copy = trust.open_file(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(copy, 0)
        os.sendfile(copy, file, 0, os.fstat(file).st_size)
    finally:
        os.close(copy)


def line(fact: Event, wall: float) -> str:
    """A fact as one line of text."""
    fields: dict[str, Any] = msgspec.to_builtins(fact)
    name = fields.pop("event")
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
