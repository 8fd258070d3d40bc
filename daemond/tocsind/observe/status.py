"""The status object of the contract: what `tocsin status` shows, and what `/metrics` is made from.

It presents an evaluation of `health` and decides nothing itself. "degraded" means that an operator should look. A dead delivery is a
problem only while no destination has delivered its signal, and until it is requeued or dropped.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable
from pathlib import Path
from typing import Any

from tocsind import __version__
from tocsind.attachments import MAX_BYTES, Attachments
from tocsind.clock import Clock
from tocsind.config import BUILT_IN
from tocsind.core.active_config import ActiveConfig
from tocsind.core.disk_guard import DiskGuard
from tocsind.delivery.lane_view import LaneView
from tocsind.journal import Count, HeldGroup, Journal, held, loss_reports, queries
from tocsind.policy.delivery import Priority
from tocsind.policy.quiet import ENDLESS
from tocsind.secret import redacted_struct
from tocsind.spool import SpoolImporter

from .destination_view import fallback_in, limits, summary
from .health import Condition, Health, Readings
from .health_readings import HealthCheck
from .metrics import Metrics

_HARMLESS = frozenset({"name", "kind", "version"})  # keys whose values quote no foreign text
_STATES = ("held", "dead", "expired", "rerouted", "superseded")  # counted for each destination

Part = tuple[dict[str, Any] | None, list[str]]  # a part of the status object, and its problems for people
PartView = Callable[[], Part | Awaitable[Part]]


class StatusView:
    """Assembles the status object. `concerns` are problems of the configuration."""

    def __init__(
        self,
        journal: Journal,
        health: HealthCheck,
        metrics: Metrics,
        *,
        config: ActiveConfig,
        disk_guard: DiskGuard,
        attachments: Attachments,
        clock: Clock,
        concerns: Callable[[], list[str]] = list,
        spool: SpoolImporter | None = None,
    ) -> None:
        self._journal = journal
        self._health = health
        self._config = config
        self._disk_guard = disk_guard
        self._attachments = attachments
        self._concerns = concerns
        self._metrics = metrics
        self._spool = spool
        self._clock = clock
        self._since = clock.now()
        self._parts: dict[str, PartView] = {}

    def add_part(self, name: str, view: PartView) -> None:
        """From now on the status has this part."""
        self._parts[name] = view

    async def collect(self) -> dict[str, Any]:
        """The status object, without secrets. Raises what the journal raises."""
        return redacted_struct(await self._collected(), _HARMLESS)

    async def brief(self) -> tuple[str, list[str], dict[str, int]]:
        """The health word, the problems, and how many deliveries wait by priority. Raises what the journal raises."""
        health = await self._evaluated(await self._part_views())
        return health.word, health.problems, _by_priority(health.readings.counts)

    async def _evaluated(self, parts: Mapping[str, Part]) -> Health:
        reported = [Condition(name, name, problem) for name, (_, problems) in parts.items() for problem in problems]
        return await self._health.check(reported=reported, with_dead=True)

    async def _collected(self) -> dict[str, Any]:
        parts = await self._part_views()
        health = await self._evaluated(parts)
        unreported = await self._journal.run(loss_reports.count_unseen)
        queue = _queue(health.readings)
        return {
            **self._head(health),
            "counters": {**self._metrics.counters, "queue_depth": queue["depth"]},
            "accepted": dict(self._metrics.accepted),
            "queue": queue,
            "destinations": [
                {**self._destination(view, health.readings), "unreported": unreported.get(view.name, 0)}
                for view in health.readings.lanes
            ],
            "held": [self._held(group) for group in await self._journal.run(held.groups)],
            **{name: part for name, (part, _) in parts.items() if name != "configuration"},
            "storage": await self._storage(health),
        }

    def _held(self, group: HeldGroup) -> dict[str, Any]:
        now = self._clock.wall() if group.is_quiet else self._clock.steady()
        left, is_endless = max(0.0, group.until - now), group.reason == ENDLESS
        return {
            "destination": group.destination,
            "by": "quiet" if group.is_quiet else "delay",
            "deliveries": group.n,
            "reason": group.reason,
            "until": None if is_endless else round(self._clock.wall() + left, 3),
            "until_seconds": None if is_endless else round(left, 3),
        }

    async def _part_views(self) -> dict[str, Part]:
        """The spool comes before the counts of the journal: signals imported meanwhile are counted twice rather than not at all."""
        spool = await self._spool.view() if self._spool else (None, [])
        return {
            "spool": spool,
            "configuration": (None, self._concerns()),
            **{name: await _seen(view) for name, view in self._parts.items()},
        }

    def _head(self, health: Health) -> dict[str, Any]:
        return {
            "schema": 1,
            "ok": True,
            "version": __version__,
            "pid": os.getpid(),
            "uptime_seconds": round(self._clock.now() - self._since, 3),
            "health": health.word,
            "configuration": _place(self._config.current.source),
            "problems": health.problems,
        }

    async def _storage(self, health: Health) -> dict[str, Any]:
        store = self._attachments.store
        return {
            "healthy": self._journal.healthy and health.readings.intake_closed is None,
            "bytes": await self._journal.run(queries.size),
            "free_bytes": self._disk_guard.free_bytes(),
            "reserve_bytes": self._config.current.daemon.reserve,
            "attachments": {"files": store.files, "bytes": store.total_bytes, "most_bytes": MAX_BYTES},
        }

    def _destination(self, view: LaneView, readings: Readings) -> dict[str, Any]:
        counts = [count for count in readings.counts if count.destination == view.name]
        record = self._metrics.of(view.name)
        return {
            **summary(view),
            "wanted": view.excluded is None,
            "queued": _by_priority(counts),
            "oldest_seconds": readings.oldest(view.name),
            "oldest_by_priority": {each.label: readings.waiting.get((view.name, each)) for each in Priority},
            "sent": record.counters["notifications_sent"],
            "in_doubt": record.counters["deliveries_in_doubt"],  # of those sent
            "failed": record.counters["notifications_failed"],
            **{state: sum(count.n for count in counts if count.state == state) for state in _STATES},
            "trips": view.trips,
            "last_success_seconds": None if record.last_success is None else self._clock.now() - record.last_success,
            "last_error": record.last_error,
            "note": view.note,
            "counters": dict(record.counters),
            "arrivals": record.arrivals(),
            "limits": limits(view),
            "fallback": list(view.fallbacks),
            "fallback_in_seconds": fallback_in(view),
        }


async def _seen(view: PartView) -> Part:
    found = view()
    return await found if isawaitable(found) else found


def _place(source: str) -> str:
    """The configuration's file, or `built-in default`."""
    return source if source == BUILT_IN else str(Path(source).absolute())


def _queue(readings: Readings) -> dict[str, Any]:
    queued = _by_priority(readings.counts)
    return {
        "depth": sum(queued.values()),
        "oldest_seconds": max(readings.waiting.values(), default=None),
        "by_priority": queued,
        "undelivered": readings.undelivered,
    }


def _by_priority(counts: Iterable[Count]) -> dict[str, int]:
    """Deliveries that wait or are being sent."""
    queued = dict.fromkeys((priority.label for priority in Priority), 0)
    for count in counts:
        if count.state in ("queued", "sending"):
            queued[count.priority.label] += count.n
    return queued
