"""Output to stdout and stderr. Control characters in the text of signals are escaped, so that they cannot control the terminal."""

from __future__ import annotations

import os
import sys
import time

from tocsin.durations import format_duration
from tocsin.signals import PRIORITIES

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def print_line(text: str) -> None:
    """Print a line of data to stdout."""
    print(text)


def print_note(text: str) -> None:
    """Print a message to stderr."""
    try:
        print(f"tocsin: {plain(text)}", file=sys.stderr)
    except OSError:
        return  # stderr is closed; the exit code reports the failure, too


def print_json(value: dict[str, Any], *, now: bool = False) -> None:
    """Print one JSON object on a line; with `now` the buffer is flushed."""
    from json import dumps  # noqa: PLC0415 - only --json needs it

    print(dumps(value), flush=now)


def plain(text: Any) -> str:
    """`text` on one line, with control characters escaped."""
    return "".join(letter if letter.isprintable() else _shown(letter) for letter in str(text))


def _shown(letter: str) -> str:
    return " " if letter in "\n\t" else letter.encode("unicode_escape").decode()


def paint(text: str, colour: str | None, stream: TextIO | None = None) -> str:
    """`text` in a colour where the terminal supports it; the meaning must not depend on the colour."""
    if colour is None or not _wants_colour(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def _wants_colour(stream: TextIO | None) -> bool:
    return (
        stream is not None and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def format_number(value: Any) -> Any:
    """A small price without an exponent, `0.00001234`; any other value unchanged."""
    if not (isinstance(value, float) and 0 < abs(value) < 1e-4):  # Python writes smaller numbers with an exponent
        return value
    from decimal import Decimal  # noqa: PLC0415 - only a small price needs it

    return f"{Decimal(repr(value)):f}"


def format_time(unix: float) -> str:
    """Local time to the millisecond."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(unix))}.{int(unix % 1 * 1000):03d}"


def format_age(seconds: float | None) -> str:
    """An age in seconds as a duration; `-` for None."""
    return "-" if seconds is None else format_duration(max(0.0, seconds))


def by_priority(waiting: Mapping[str, int] | None) -> str:
    """The number of queued deliveries by priority; `-` while it is unknown."""
    counts = {priority: "-" if waiting is None else f"{waiting.get(priority, 0):,}" for priority in PRIORITIES}
    return "  ".join(f"{priority} {count}" for priority, count in counts.items())


def counted(number: int, noun: str) -> str:
    """`1 delivery`, `2 deliveries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
