"""Housekeeping: one task each for quiet hours and other instants (`core.timekeeper`), deadlines, old records, free disk, digests of
backlogs, and attachments that no signal needs.

Each task sleeps until its next round, or until a nearer deadline is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

import trio

from tocsind.attachments import Attachments
from tocsind.clock import Clock, sleep_until_round
from tocsind.core.disk_guard import DiskGuard
from tocsind.core.settle import JournalStore
from tocsind.core.timekeeper import Timekeeper
from tocsind.core.wakeups import Wakeups
from tocsind.journal import Count, Journal, maintenance, queries
from tocsind.policy.delivery import Priority, State
from tocsind.policy.digest import digest_surplus

from .lane import Lane

RETENTION_INTERVAL = 600.0  # s between two rounds that delete old records from the journal
DISK_INTERVAL = 4.0  # s until a deleted journal, or new disk space, is noticed; a check takes microseconds
TIDY_INTERVAL = 60.0  # s between two rounds that delete attachments which no signal needs
DIGEST_INTERVAL = (
    8.0  # s; backlogs drain in minutes. A multiple of DISK_INTERVAL, so that both tasks wake the process together
)


class Housekeeping:
    """The tasks; `run` runs until cancelled."""

    def __init__(
        self,
        journal: Journal,
        store: JournalStore,
        lanes: Iterable[Lane],
        *,
        timekeeper: Timekeeper,
        wakeups: Wakeups,
        disk_guard: DiskGuard,
        attachments: Attachments,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._store = store
        self._lanes = lanes
        self._timekeeper = timekeeper
        self._wakeups = wakeups
        self._disk_guard = disk_guard
        self._attachments = attachments
        self._clock = clock

    async def run(self) -> None:
        """Run all tasks."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._timekeeper.run)
            nursery.start_soon(self._expire)
            nursery.start_soon(self._delete_old)
            nursery.start_soon(self._watch_disk)
            nursery.start_soon(self._make_digests)
            nursery.start_soon(self._tidy)

    async def _expire(self) -> None:
        while True:
            changed = self._wakeups.deadline_changed
            deadline = await self._store.expire()
            wait = inf if deadline is None else max(0.0, deadline - self._clock.steady())
            with trio.move_on_after(min(wait, RETENTION_INTERVAL)):  # not longer: the machine may be suspended
                await changed.wait()

    async def _delete_old(self) -> None:
        while True:
            await self._store.delete_old()
            await trio.sleep(RETENTION_INTERVAL)

    async def _watch_disk(self) -> None:
        while True:
            await self._disk_guard.make_room()
            await sleep_until_round(DISK_INTERVAL)

    async def _make_digests(self) -> None:
        while True:
            await sleep_until_round(DIGEST_INTERVAL)
            await self.digest_backlogs()

    async def _tidy(self) -> None:
        while True:
            await self._attachments.delete_unneeded(self._states, self._clock.wall())
            await sleep_until_round(TIDY_INTERVAL)

    async def _states(self, ids: Sequence[str]) -> dict[str, set[State]]:
        found: dict[str, set[State]] = {}
        for start in range(0, len(ids), maintenance.CHUNK):
            found |= await self._journal.run(queries.delivery_states, ids[start : start + maintenance.CHUNK])
        return found

    async def digest_backlogs(self) -> None:
        """Merge the oldest deliveries into digests where more wait than a lane can send within its budget."""
        counts = await self._journal.run(queries.counts)
        for lane in [lane for lane in self._lanes if lane.disabled is None]:
            surplus = digest_surplus(_queued(counts, lane.name), lane.options.digest, lane.drain_rate())
            for priority, most in surplus.items():
                await self._digest_some(lane.name, priority, most)

    async def _digest_some(self, destination: str, priority: Priority, most: int) -> None:
        while most > 0 and (folded := await self._store.make_digest(destination, priority, most)):
            most -= folded


def _queued(counts: Sequence[Count], destination: str) -> dict[Priority, int]:
    return {each.priority: each.n for each in counts if each.destination == destination and each.state == "queued"}
