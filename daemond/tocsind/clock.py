"""The clocks. Only this module reads them. All values are seconds.

    now      monotonic. For pace: rests, limits, waits. It starts anywhere, so it is never stored.
    wall     Unix time, UTC. For what people read. An operator or NTP may set it, forwards or backwards, at any time.
    steady   Unix time that such a step does not change. For decisions: deadlines, give-up, ages, retention. The journal's times of
             deliveries, attempts and limits are on this clock.

`steady` is the machine's boot clock, which also counts while the machine sleeps, plus a base. The base is what the wall clock said when
a daemon on this journal first ran since the machine booted; the journal keeps it with the id of that boot. So the clock runs on over a
restart of the daemon. After a reboot the wall clock is the only source, and a new base is read from it.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

import trio

from tocsin.outbox_format import boot_id


class Clock(Protocol):
    """The clocks that working code uses."""

    def now(self) -> float:
        """Monotonic seconds, on the clock that trio's deadlines use."""

    def wall(self) -> float:
        """Unix seconds, UTC."""

    def steady(self) -> float:
        """Unix seconds that no step of the wall clock changes."""


class Boot(NamedTuple):
    """One boot of the machine: its id (empty where the kernel gives none), and the Unix time at which its boot clock was zero."""

    id: str
    base: float


class SystemClock:
    """The clocks of trio and of the machine."""

    def __init__(self) -> None:
        self.boot = Boot(boot_id(), time.time() - _since_boot())

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return time.time()

    def steady(self) -> float:
        return self.boot.base + _since_boot()

    def resume(self, boot: Boot) -> None:
        """Use the base of an earlier run on this boot of the machine. One of another boot is ignored."""
        if boot.id and boot.id == self.boot.id:
            self.boot = boot


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def to_wall_time(written: float, boot: str, booted: float) -> float:
    """What the wall clock, as it is set now, would have shown at `written`. Known only if that was `booted` seconds into this very boot."""
    return time.time() - max(0.0, _since_boot() - booted) if boot and boot == boot_id() else written


def steady_to_wall(clock: Clock, instant: float) -> float:
    """The Unix time, by the wall clock as it is set now, of an instant on the steady clock."""
    return round(instant - clock.steady() + clock.wall(), 6)


async def sleep_until_round(seconds: float) -> None:
    """Sleep until the monotonic clock's next multiple of `seconds`, so that several tasks wake together."""
    await trio.sleep_until((trio.current_time() // seconds + 1) * seconds)
