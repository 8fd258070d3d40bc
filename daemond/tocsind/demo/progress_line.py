"""What the demo prints: one line that is updated on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from typing import Any

_BAR = 28


class ProgressLine:
    """Progress on standard output."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def print_line(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(text, flush=True)  # noqa: T201 - the demo prints for a person

    def update(self, arrived: int, status: dict[str, Any] | None) -> None:
        """Show the progress; on a terminal only."""
        if not self._is_terminal:
            return
        full = min(_BAR, _BAR * arrived // self._expected)
        bar = "#" * full + "." * (_BAR - full)
        print(f"\r\033[K  [{bar}] {arrived}/{self._expected}  {_lanes(status)}", end="", flush=True)  # noqa: T201 - as above

    def _clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="")  # noqa: T201 - as above


def _lanes(status: dict[str, Any] | None) -> str:
    if status is None:
        return "the daemon is down"
    lanes = ", ".join(f"{lane['name']} {lane['condition']}" for lane in status["destinations"])
    return f"{status['queue']['depth']} waiting; {lanes}"
