"""The machine: it accepts signals while the daemon is down, and starts the daemon again after a power cut."""

from __future__ import annotations

from collections.abc import Callable

from tocsind.policy.delivery import Priority

from .journal import Journal, Rules
from .signals import Signal
from .tocsin import Tocsin
from .wire import Wire
from .world import World

DOWN = 0.1, 2.0  # seconds until the daemon is up again


class Host:
    """A journal, and a daemon that uses it."""

    def __init__(
        self, world: World, wire: Wire, rules: Rules, webhooks: int, rank: Callable[[Signal], Priority]
    ) -> None:
        self._world = world
        self._journal = Journal()
        self._start: Callable[[], Tocsin] = lambda: Tocsin(world, wire, self._journal, rules, webhooks, rank)
        self._daemon: Tocsin | None = self._start()

    def hand(self, signal: Signal) -> None:
        """Store the signal at once, also while the daemon is down."""
        self._journal.open[signal.number] = signal
        if self._daemon is not None:
            self._daemon.hand(signal)

    def kill(self) -> None:
        """Power off, and on again soon; while it is off there is nothing to kill."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon = None
            self._world.after(self._world.random.uniform(*DOWN), self._restart)

    def _restart(self) -> None:
        self._daemon = self._start()
