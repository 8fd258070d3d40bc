"""Reads what `health.evaluate` needs: a snapshot of each lane, and the queues in one job of the journal thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsind.clock import Clock
from tocsind.core.active_config import ActiveConfig
from tocsind.core.disk_guard import DiskGuard
from tocsind.delivery.lane import Lane
from tocsind.journal import Connection, Count, Journal, queries

from .health import Condition, Health, Readings, evaluate
from .metrics import Metrics

MAX_QUERIES = 100  # of a thousand dead deliveries each, a millisecond on the journal thread


class HealthCheck:
    """Evaluates on demand. Its methods raise what the journal raises."""

    def __init__(
        self,
        journal: Journal,
        lanes: Iterable[Lane],
        metrics: Metrics,
        *,
        config: ActiveConfig,
        disk_guard: DiskGuard,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._lanes = lanes
        self._metrics = metrics
        self._config = config
        self._disk_guard = disk_guard
        self._clock = clock
        self._since = clock.now()

    async def check(
        self,
        *,
        stalled_after: float | None = None,
        own_alarms: Mapping[str, int] | None = None,
        reported: Iterable[Condition] = (),
        with_dead: bool = False,
    ) -> Health:
        """What is wrong now. `with_dead` looks through the dead deliveries too, which takes a job for each thousand."""
        lanes = tuple(lane.snapshot() for lane in self._lanes)
        counts, ages = await self._journal.run(_counts_and_ages)
        now, steady = self._clock.now(), self._clock.steady()
        readings = Readings(
            lanes=lanes,
            counts=tuple(counts),
            waiting={key: max(0.0, steady - accepted) for key, accepted in ages.items()},
            since_success={view.name: now - self._last_success(view.name) for view in lanes},
            undelivered=await self._undelivered(counts) if with_dead else 0,
            intake_closed=self.intake_closed(),
            own_alarms=own_alarms or {},
        )
        alarms = self._config.current.alarms
        return evaluate(readings, alarms, stalled_after=stalled_after, reported=reported)

    async def stalled(self, patience: float) -> str | None:
        """Why deliveries do not work: a destination where something was due for so long, and nothing arrived; None when they do."""
        health = await self.check(stalled_after=patience)
        return next((each.reason for each in health.conditions if each.kind == "stalled"), None)

    def intake_closed(self) -> str | None:
        """Why the daemon accepts no signals; None when it does."""
        return self._disk_guard.closed

    def _last_success(self, name: str) -> float:
        success = self._metrics.of(name).last_success
        return self._since if success is None else success

    async def _undelivered(self, counts: list[Count]) -> int:
        """Dead deliveries whose signal no destination delivered. The journal serves others between two chunks; deliveries beyond
        MAX_QUERIES chunks count without a look.
        """
        dead = sum(count.n for count in counts if count.state == "dead")
        found, place = 0, queries.BEGINNING if dead else None
        for _ in range(MAX_QUERIES):
            if place is None:
                return found
            undelivered, place = await self._journal.run(queries.undelivered, place)
            found += undelivered
        return found + max(0, dead - MAX_QUERIES * queries.MAX_ROWS)


def _counts_and_ages(connection: Connection) -> tuple[list[Count], queries.Ages]:
    return queries.counts(connection), queries.ages(connection)
