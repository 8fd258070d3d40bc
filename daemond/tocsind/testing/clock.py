"""A clock whose wall is set by hand."""

from __future__ import annotations

from typing import Final

import trio

SOME_MORNING: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z"""


class SteppedClock:
    """A `tocsind.clock.Clock`: monotonic time is trio's own, so virtual under a mock clock; the wall runs beside it and may be stepped."""

    def __init__(self, wall: float = SOME_MORNING) -> None:
        self._base = self._ahead = wall - trio.current_time()

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return trio.current_time() + self._ahead

    def steady(self) -> float:
        return trio.current_time() + self._base

    def step(self, seconds: float) -> None:
        """Time passes that the monotonic clock does not count, as while the machine sleeps."""
        self._base += seconds
        self._ahead += seconds

    def set_wall(self, seconds: float) -> None:
        """An operator sets the wall clock forwards or backwards; the other clocks take no notice."""
        self._ahead += seconds
