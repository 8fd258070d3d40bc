"""Housekeeping, each a task that knows when it is wanted next: deadlines, the ledger's age, free disk."""

from __future__ import annotations

from math import inf

import trio

from .clock import Clock
from .dispatch import Dispatch

LEDGER_ROUND = 600.0  # seconds between two looks for what the ledger may forget
DISK_ROUND = 5.0  # while the intake is closed nobody else looks whether there is room again


class Keeper:
    """Runs until cancelled."""

    def __init__(self, dispatch: Dispatch, clock: Clock) -> None:
        self._dispatch = dispatch
        self._clock = clock

    async def run(self) -> None:
        """All rounds."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            nursery.start_soon(self._forget)
            nursery.start_soon(self._watch_disk)

    async def _expire(self) -> None:
        while True:
            nearer = self._dispatch.deadline_nearer
            deadline = await self._dispatch.expire()
            wait = inf if deadline is None else max(0.0, deadline - self._clock.wall())
            with trio.move_on_after(min(wait, LEDGER_ROUND)):  # not longer: the wall clock may be set meanwhile
                await nearer.wait()

    async def _forget(self) -> None:
        while True:
            await self._dispatch.forget()
            await trio.sleep(LEDGER_ROUND)

    async def _watch_disk(self) -> None:
        while True:
            self._dispatch.check_disk()
            if self._dispatch.intake_closed:
                await self._dispatch.journal.shrink()
                self._dispatch.check_disk()
            await trio.sleep(DISK_ROUND)
