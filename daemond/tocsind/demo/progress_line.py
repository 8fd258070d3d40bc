"""What a person sees while the demo plays: one line that lives on a terminal, a few plain ones elsewhere."""

from __future__ import annotations

import os
import sys
from typing import Any

_BAR = 28


class Screen:
    """Progress on standard output."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._lives = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def say(self, text: str) -> None:
        """Something happened: a line that stays."""
        self._clear()
        print(text, flush=True)  # noqa: T201 - the demo talks to a person

    def show(self, arrived: int, status: dict[str, Any] | None) -> None:
        """How far we are: on a terminal only."""
        if not self._lives:
            return
        full = min(_BAR, _BAR * arrived // self._expected)
        bar = "#" * full + "." * (_BAR - full)
        print(f"\r\033[K  [{bar}] {arrived}/{self._expected}  {_lanes(status)}", end="", flush=True)  # noqa: T201 - as above

    def _clear(self) -> None:
        if self._lives:
            print("\r\033[K", end="")  # noqa: T201 - as above


def _lanes(status: dict[str, Any] | None) -> str:
    if status is None:
        return "the daemon is away"
    lanes = ", ".join(f"{lane['name']} {lane['condition']}" for lane in status["destinations"])
    return f"{status['queue']['depth']} waiting; {lanes}"
