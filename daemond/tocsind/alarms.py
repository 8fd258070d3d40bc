"""Alarms about ourselves, told by another road: what a destination cannot tell because it is the one that is gone.

A destination that is disabled, or that shuts us out for so long that people should know, raises a signal of its own, from `tocsin`. It goes
to the nearest that can still be reached: the fallbacks of the one concerned, then any other. So an alarm never travels the road that it is
about, each lost road is told of once in a while, and when none is left there is nobody to tell: alarms about alarms end where the roads
do. The log and `status` say it in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import trio

from tocsin.durations import format_duration
from tocsin.signals import Signal

from .clock import Clock
from .dispatch import OURS, Dispatch
from .errors import StorageFull
from .events import Disabled, Fact, Suspended
from .lane import LONG_BLOCK, Lane
from .policy.routes import chain
from .reception import Peer

ONCE_IN = 600.0  # seconds; a road that comes and goes is told of so often at most
_WINDOW = 64  # facts that wait to be told

Trouble = Disabled | Suspended


class Alarms:
    """An observer of facts; `run` raises what they ask for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._inlet, self._outlet = trio.open_memory_channel[Trouble](_WINDOW)
        self._told: dict[tuple[type[Fact], str], float] = {}  # when, by what and about whom

    def __call__(self, fact: Fact) -> None:
        """Note a fact that asks for an alarm."""
        if isinstance(fact, Disabled) or (isinstance(fact, Suspended) and fact.seconds >= LONG_BLOCK):
            with suppress(trio.WouldBlock):  # so many at once are one trouble, and it is being told
                self._inlet.send_nowait(fact)

    async def run(self, dispatch: Dispatch, lanes: Iterable[Lane]) -> None:
        """Raise alarms until cancelled."""
        async for fact in self._outlet:
            road = _road(fact.destination, dispatch, lanes)
            if road is not None and self._is_news(fact):
                with suppress(StorageFull):  # that has its own place in `status`
                    await dispatch.accept([_alarm(fact, road)], Peer(os.getuid(), os.getgid(), os.getpid()))

    def _is_news(self, fact: Trouble) -> bool:
        about, now = (type(fact), fact.destination), self._clock.now()
        if about in self._told and now - self._told[about] < ONCE_IN:
            return False
        self._told[about] = now
        return True


def _road(lost: str, dispatch: Dispatch, lanes: Iterable[Lane]) -> str | None:
    """The nearest destination that can be reached; None when there is none."""
    open_roads = {lane.name for lane in lanes if lane.disabled is None and lane.blocked_for() < LONG_BLOCK}
    nearest_first = (*chain(lost, dispatch.config.fallbacks), *dispatch.config.destinations)
    return next((name for name in nearest_first if name in open_roads and name != lost), None)


def _alarm(fact: Trouble, road: str) -> Signal:
    name = fact.destination
    if isinstance(fact, Disabled):
        title = f"{name} is disabled"
        body = f"{fact.reason}. What waits for it goes to its fallback; `tocsin enable {name}` puts it back."
    else:
        title = f"{name} is shut out for {format_duration(round(fact.seconds))}"
        body = f"{fact.reason}. What waits for it stays queued; `tocsin status` tells how long it will be."
    return Signal(title, body=body, priority="high", source=OURS, to=road)
