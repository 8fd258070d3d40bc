"""Virtual time: what will happen next happens at once, and the clock jumps there."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from random import Random

BEGIN = 1_000.0  # trio's clock begins somewhere; zero would hide who takes it for an instant


class World:
    """A clock, what is to happen, and chance. Everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.now = BEGIN
        self.random = Random(seed)
        self._next: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something then; at one instant in the order in which it was asked for."""
        self._count += 1
        heappush(self._next, (max(when, self.now), self._count, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many seconds from now."""
        self.at(self.now + seconds, act)

    def run(self, until: float = inf, *, enough: Callable[[], bool] = lambda: False) -> None:
        """Let things happen until nothing is left, or the time is over, or it is enough."""
        while self._next and self._next[0][0] <= until and not enough():
            self.now, _, act = heappop(self._next)
            act()
