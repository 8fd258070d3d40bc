"""Housekeeping, each a task that knows when it is wanted next: deadlines, the ledger's age, free disk, backlogs to be told in sum,
files that nobody waits for any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

import trio

from .clock import Clock, next_round
from .dispatch import Dispatch
from .journal import Count, reading, upkeep
from .lane import Lane
from .policy.delivery import Priority, State
from .policy.digest import to_fold

LEDGER_ROUND = 600.0  # seconds between two looks for what the ledger may forget
DISK_ROUND = 4.0  # seconds in which a journal that was deleted is noticed, and room again; a look takes microseconds
TIDY_ROUND = 60.0  # seconds between two looks for attachments that nobody waits for
FOLD_ROUND = 8.0  # a backlog that takes minutes to drain does not grow old in seconds; a multiple of DISK_ROUND, to wake together


class Keeper:
    """Runs until cancelled."""

    def __init__(self, dispatch: Dispatch, lanes: Iterable[Lane], clock: Clock) -> None:
        self._dispatch = dispatch
        self._lanes = lanes
        self._clock = clock

    async def run(self) -> None:
        """All rounds."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            nursery.start_soon(self._forget)
            nursery.start_soon(self._watch_disk)
            nursery.start_soon(self._fold)
            nursery.start_soon(self._tidy)

    async def _expire(self) -> None:
        while True:
            nearer = self._dispatch.deadline_nearer
            deadline = await self._dispatch.expire()
            wait = inf if deadline is None else max(0.0, deadline - self._clock.steady())
            with trio.move_on_after(min(wait, LEDGER_ROUND)):  # not longer: the machine may sleep meanwhile
                await nearer.wait()

    async def _forget(self) -> None:
        while True:
            await self._dispatch.forget()
            await trio.sleep(LEDGER_ROUND)

    async def _watch_disk(self) -> None:
        while True:
            await self._dispatch.tend_disk()
            if self._dispatch.intake.closed and not self._dispatch.journal.is_full:
                await self._dispatch.journal.shrink()
                await self._dispatch.tend_disk()
            await next_round(DISK_ROUND)

    async def _fold(self) -> None:
        while True:
            await next_round(FOLD_ROUND)
            await self.fold_backlogs()

    async def _tidy(self) -> None:
        while True:
            await self._dispatch.attachments.tidy(self._standing, self._clock.wall())
            await next_round(TIDY_ROUND)

    async def _standing(self, ids: Sequence[str]) -> dict[str, set[State]]:
        found: dict[str, set[State]] = {}
        for start in range(0, len(ids), upkeep.CHUNK):
            found |= await self._dispatch.journal.run(reading.standing, ids[start : start + upkeep.CHUNK])
        return found

    async def fold_backlogs(self) -> None:
        """Tell the oldest in sum wherever more waits than can be told in time."""
        counts = await self._dispatch.journal.run(reading.counts)
        for lane in [lane for lane in self._lanes if lane.disabled is None]:
            surplus = to_fold(_waiting(counts, lane.name), lane.options.digest, lane.drain_rate())
            for priority, most in surplus.items():
                await self._fold_some(lane.name, priority, most)

    async def _fold_some(self, destination: str, priority: Priority, most: int) -> None:
        while most > 0 and (folded := await self._dispatch.fold(destination, priority, most)):
            most -= folded


def _waiting(counts: Sequence[Count], destination: str) -> dict[Priority, int]:
    return {each.priority: each.n for each in counts if each.destination == destination and each.state == "queued"}
