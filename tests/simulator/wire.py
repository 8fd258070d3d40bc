"""The connection between sender and server: latency with spikes; the server counts at a random instant of a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from .record import RunRecord
from .server import Answer, Server
from .signals import Signal
from .world import World

USUAL = 0.06, 0.25  # seconds from sending to answer
SPIKE = 1.0, 3.0
SPIKES = 1 / 200  # of all requests


class Wire:
    """Carries requests to the server and answers back."""

    def __init__(self, world: World, server: Server, record: RunRecord, spikes: float = SPIKES) -> None:
        self._world = world
        self._server = server
        self._book = record
        self._spikes = spikes

    def post(self, webhook: int, batch: Sequence[Signal], answered: Callable[[Answer], None]) -> None:
        """Send; `answered` is called when the answer is back."""
        self._book.sent(self._world.now, batch)
        latency = draw(self._world.random, self._spikes)
        counts_at, back_at = self._world.now + self._world.random.uniform(0.0, latency), self._world.now + latency

        def count() -> None:
            answer = self._server.ask(webhook, self._world.now)
            self._book.answered(self._world.now, batch, answer.scope)
            self._world.at(back_at, lambda: answered(answer))

        self._world.at(counts_at, count)


def draw(random: Random, spikes: float) -> float:
    """A latency in seconds."""
    return random.uniform(*(SPIKE if random.random() < spikes else USUAL))
