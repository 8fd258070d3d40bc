"""Signs of life for the service manager: only after a proof that we get on, so that a daemon that merely exists is restarted.

A hung loop gives no sign because this task does not run; a hung journal or lane gives none because `progress` finds it. The manager then
waits out its WatchdogSec=, kills us (with SIGABRT, which writes where each thread stood into the log), and the next start goes on from the
journal. A proof that needs its whole patience comes late and not never; WatchdogSec= in the unit leaves room for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from tocsind.clock import Clock
from tocsind.events import Emit, ProgressResumed, ProgressStalled

from . import systemd

CheckLiveness = Callable[[], Awaitable[str | None]]


class Watchdog:
    """Asks `prove` and tells the service manager. `run` until cancelled; where the manager wants no sign it returns at once."""

    def __init__(self, prove: CheckLiveness, clock: Clock, emit: Emit) -> None:
        self._check = prove
        self._clock = clock
        self._emit = emit
        self._problem: str | None = None

    async def run(self) -> None:
        """A sign of life twice in each WatchdogSec=."""
        interval = systemd.watchdog_interval()
        while interval is not None:
            next_time = self._clock.now() + interval
            self._ping(await self._check())
            await trio.sleep_until(next_time)

    def _ping(self, trouble: str | None) -> None:
        if trouble is None:
            systemd.ping_watchdog()
        else:
            systemd.notify_status(trouble)
        if trouble is not None and self._problem is None:
            self._emit(ProgressStalled(trouble))
        elif trouble is None and self._problem is not None:
            self._emit(ProgressResumed())
        self._problem = trouble
