"""The two clocks, and the only place that reads them.

Monotonic time paces: rests, gates, waits. It starts anywhere, so it is never written down. Wall time stamps what people and a later run
must understand; a step of it changes no rate. Seconds, both.
"""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """What the daemon's working code asks for the time."""

    def now(self) -> float:
        """Monotonic seconds, on the clock that trio's deadlines use."""

    def wall(self) -> float:
        """Unix seconds, UTC."""


class SystemClock:
    """trio's clock and the machine's."""

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return time.time()
