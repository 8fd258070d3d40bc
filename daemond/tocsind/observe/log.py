"""Log lines: one for each event, `key=value`, on standard error. The `level` of an event decides whether it is logged.

2026-11-22T02:30:00.125Z warning breaker-opened destination=signals-premium reason="503 from Discord" rest=10

The event loop makes a line and a thread writes it (`log_writer`), so a log without a reader blocks nothing.
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
MOST_BYTES = 2**20  # of the daemon's own log file; a longer one is copied to a second file and cut to nothing


class Log:
    """An observer that logs events of `level` and above, with `write`, by default to standard error."""

    def __init__(self, clock: Clock, level: str = "info", write: Write | None = None) -> None:
        self._clock = clock
        self._writer = LogWriter(write or to_descriptor(2), lambda lines: line(LogLinesDropped(lines), clock.wall()))
        self.set_level(level)

    @property
    def dropped(self) -> int:
        """Lines that were dropped because their reader was too slow, or because a write failed."""
        return self._writer.dropped

    def set_level(self, level: str) -> None:
        """From now on, log events of this level and above."""
        self._levels = frozenset(LEVELS[LEVELS.index(level) :])

    def __call__(self, event: Event) -> None:
        """Log one event. Does not block."""
        if event.level in self._levels:
            self._writer.put(line(event, self._clock.wall()))

    def close(self, seconds: float = FLUSH) -> None:
        """Wait at most so long until all lines are written; later events are not logged. Blocks."""
        self._writer.close(seconds)

    def __repr__(self) -> str:
        return f"<Log {'|'.join(sorted(self._levels))}>"


def redirect_stderr_to(path: str, most: int = MOST_BYTES) -> Write:
    """Make the file `path`, of at most `most` bytes, the process's standard error, and return the function that a Log writes with.

    Raises OSError. For a daemon without a supervisor that keeps its output. A full file is copied and cut rather than renamed, because
    other processes may have it open and keep writing to it.
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
    """Copy an open file over the file `path`. Raises OSError, and Untrusted when `path` belongs to another user."""
    copy = trust.open_file(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(copy, 0)
        os.sendfile(copy, file, 0, os.fstat(file).st_size)
    finally:
        os.close(copy)


def line(event: Event, wall: float) -> str:
    """An event as one line of text."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    name = fields.pop("event")
    when = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return " ".join(
        [when, event.level, name, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)]
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
    """Escaped as in JSON, and so is all that a terminal or pager may act upon: C1 controls, U+2028, right-to-left overrides."""
    return character if character.isprintable() and character not in '"\\' else json.dumps(character)[1:-1]
