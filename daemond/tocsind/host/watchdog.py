"""Watchdog pings for the service manager: sent only after a check that journal and lanes make progress.

When the event loop hangs, this task sends no ping; when the journal or a lane hangs, the check (`observe.liveness`) finds it. The manager
then kills the daemon after its WatchdogSec= (with SIGABRT, which writes the place of each thread into the log), and the next start goes on
from the journal. A check that takes its longest time delays a ping; WatchdogSec= in the unit leaves room for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from tocsind.clock import Clock
from tocsind.events import Emit, ProgressResumed, ProgressStalled

from . import systemd

CheckLiveness = Callable[[], Awaitable[str | None]]


class Watchdog:
    """Calls `check` and pings the service manager. `run` returns at once when the manager expects no pings, else runs until cancelled."""

    def __init__(self, check: CheckLiveness, clock: Clock, emit: Emit) -> None:
        self._check = check
        self._clock = clock
        self._emit = emit
        self._problem: str | None = None

    async def run(self) -> None:
        """Check and ping twice in each WatchdogSec=."""
        interval = systemd.watchdog_interval()
        while interval is not None:
            next_time = self._clock.now() + interval
            self._ping(await self._check())
            await trio.sleep_until(next_time)

    def _ping(self, problem: str | None) -> None:
        if problem is None:
            systemd.ping_watchdog()
        else:
            systemd.notify_status(problem)
        if problem is not None and self._problem is None:
            self._emit(ProgressStalled(problem))
        elif problem is None and self._problem is not None:
            self._emit(ProgressResumed())
        self._problem = problem
