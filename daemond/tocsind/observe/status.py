"""How everything is, in the contract's shape: what `tocsin status` shows, and what `/metrics` is made of.

Degraded means that a person should look. A dead delivery that a fallback has told is kept for them, and no reason to wake them: only what
is dead and reached nobody is a problem, until it is put back or dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from tocsin.durations import format_duration
from tocsind import __version__
from tocsind.attachments import MAX_BYTES, Attachments
from tocsind.clock import Clock
from tocsind.core.active_config import ActiveConfig
from tocsind.core.disk_guard import DiskGuard
from tocsind.delivery.lane import Lane
from tocsind.delivery.lane_view import LONG_BLOCK_SECONDS, Condition
from tocsind.journal import Count, Journal, loss_reports, queries
from tocsind.policy.delivery import Priority
from tocsind.secret import redacted_struct
from tocsind.spool import SpoolImporter

from .lane_view import lane_view, limiter_view
from .metrics import Metrics

MAX_QUERIES = 100  # at a thousand dead deliveries each, a millisecond a look
_NOT_WORKING = frozenset({"failing", "probing", "disabled"})

_HARMLESS = frozenset({"name", "kind", "version"})

PartView = Callable[[], tuple[dict[str, Any] | None, list[str]]]  # a part of the status, and what is wrong with it


class StatusView:
    """Puts the status together from those who know."""

    def __init__(
        self,
        journal: Journal,
        lanes: Iterable[Lane],
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
        self._config = config
        self._disk_guard = disk_guard
        self._attachments = attachments
        self._concerns = concerns
        self._lanes = lanes
        self._metrics = metrics
        self._spool = spool
        self._clock = clock
        self._since = clock.now()
        self._parts: dict[str, PartView] = {}

    def add_part(self, name: str, look: PartView) -> None:
        """From now on show this part as well."""
        self._parts[name] = look

    async def collect(self) -> dict[str, Any]:
        """The status object of the contract, without secrets. Raises what the journal raises."""
        return redacted_struct(await self._collected(), _HARMLESS)

    async def _collected(self) -> dict[str, Any]:
        # before the counts, so that what is taken in meanwhile is seen twice and never nowhere
        spool, spool_problems = await self._spool.view() if self._spool else (None, [])
        lanes = list(self._lanes)
        counts = await self._journal.run(queries.counts)
        ages = await self._journal.run(queries.ages)
        undelivered = await self._undelivered(counts)
        unreported = await self._journal.run(loss_reports.count_unseen)
        parts = {name: look() for name, look in self._parts.items()}
        problems = [
            *self._storage_problems(),
            *spool_problems,
            *self._concerns(),
            *lane_problems(lanes),
            *_refusing(lanes),
            *self._late(ages, lanes),
            *_stuck(counts, lanes),
            *_dead_problems(undelivered),
            *_orphans(counts, lanes),
            *(problem for _, found in parts.values() for problem in found),
        ]
        queued, kept = _by_priority(counts), self._attachments.store
        return {
            "schema": 1,
            "ok": True,
            "version": __version__,
            "pid": os.getpid(),
            "uptime_seconds": round(self._clock.now() - self._since, 3),
            "health": self._health(lanes, problems),
            "problems": problems,
            "counters": {**self._metrics.counters, "queue_depth": sum(queued.values())},
            "accepted": dict(self._metrics.accepted),
            "queue": {
                "depth": sum(queued.values()),
                "oldest_seconds": self._age(min(ages.values(), default=None)),
                "by_priority": queued,
                "undelivered": undelivered,
            },
            "destinations": [
                {**self._destination(lane, counts, ages), "unreported": unreported.get(lane.name, 0)} for lane in lanes
            ],
            "spool": spool,
            **{name: part for name, (part, _) in parts.items()},
            "storage": {
                "healthy": self._journal.healthy and self._disk_guard.closed is None,
                "bytes": await self._journal.run(queries.size),
                "free_bytes": self._disk_guard.free_bytes(),
                "reserve_bytes": self._config.current.daemon.reserve,
                "attachments": {"files": kept.files, "bytes": kept.total_bytes, "most_bytes": MAX_BYTES},
            },
        }

    def _storage_problems(self) -> list[str]:
        closed = self._disk_guard.closed
        return [f"no signal is taken: {closed}"] if closed else []

    async def _undelivered(self, counts: list[Count]) -> int:
        """What is dead and reached nobody. The journal looks in chunks, others between them; what is beyond MOST_LOOKS counts unseen."""
        dead = sum(count.n for count in counts if count.state == "dead")
        found, place = 0, queries.BEGINNING if dead else None
        for _ in range(MAX_QUERIES):
            if place is None:
                return found
            lost, place = await self._journal.run(queries.undelivered, place)
            found += lost
        return found + max(0, dead - MAX_QUERIES * queries.MOST_ROWS)

    def _age(self, accepted: float | None) -> float | None:
        """Seconds since then."""
        return None if accepted is None else max(0.0, self._clock.steady() - accepted)

    def _late(self, ages: queries.Ages, lanes: list[Lane]) -> list[str]:
        """What waits for longer than anybody should; what waits for a destination that is left out is told of elsewhere."""
        limit = self._config.current.alarms.age
        wanted = [lane.name for lane in lanes if lane.options.disabled is None]
        oldest = {name: self._age(queries.oldest_of(name, ages)) for name in wanted}
        return [
            f"the oldest that waits for {name} has waited for {format_duration(age)}"
            for name, age in oldest.items()
            if limit is not None and age is not None and age > limit
        ]

    def _health(self, lanes: list[Lane], problems: list[str]) -> str:
        wanted = [lane for lane in lanes if lane.options.disabled is None]
        stuck = bool(wanted) and all(lane.condition().word in _NOT_WORKING for lane in wanted)
        if self._disk_guard.closed or stuck:
            return "failing"
        return "degraded" if problems else "ok"

    def _destination(self, lane: Lane, counts: list[Count], ages: queries.Ages) -> dict[str, Any]:
        mine = [count for count in counts if count.destination == lane.name]
        record = self._metrics.of(lane.name)
        return {
            **lane_view(lane),
            "wanted": lane.options.disabled is None,
            "queued": _by_priority(mine),
            "oldest_seconds": self._age(queries.oldest_of(lane.name, ages)),
            "oldest_by_priority": {each.label: self._age(ages.get((lane.name, each))) for each in Priority},
            "sent": record.counters["notifications_sent"],
            "failed": record.counters["notifications_failed"],
            **{
                state: sum(count.n for count in mine if count.state == state)
                for state in ("dead", "expired", "rerouted")
            },
            "trips": lane.feedback.trips,
            "last_success_seconds": None if record.last_success is None else self._clock.now() - record.last_success,
            "last_error": record.last_error,
            "note": lane.feedback.note,
            "counters": dict(record.counters),
            "arrivals": record.arrivals(),
            "limits": limiter_view(lane),
        }


def _by_priority(counts: Iterable[Count]) -> dict[str, int]:
    """What waits or is being sent."""
    queued = dict.fromkeys((priority.label for priority in Priority), 0)
    for count in counts:
        if count.state in ("queued", "sending"):
            queued[count.priority.label] += count.n
    return queued


def lane_problems(lanes: list[Lane]) -> list[str]:
    """Each lane that does not do what it should, and why."""
    return [_lane_problem(lane.name, lane.condition()) for lane in lanes if _is_problem(lane)]


def _is_problem(lane: Lane) -> bool:
    """A destination that the configuration leaves out is as it should be; one that stopped working, or shuts us out, is not."""
    return lane.options.disabled is None and (
        lane.condition().word in _NOT_WORKING or lane.blocked_for() > LONG_BLOCK_SECONDS or lane.rerouting.is_over()
    )


def _lane_problem(name: str, condition: Condition) -> str:
    text = f"{name} is {condition.word}: {condition.reason}"
    if condition.seconds is not None and condition.seconds > LONG_BLOCK_SECONDS:
        text += f", for another {format_duration(condition.seconds)}"
    return f"{text}; `tocsin enable {name}` puts it back" if condition.word == "disabled" else text


def _refusing(lanes: list[Lane]) -> list[str]:
    """Who refuses whatever it is sent, and is not disabled for it: each of these alerts was wrong in itself, as it says."""
    return [
        f"{lane.name} has refused the last {lane.feedback.refusals.alerts} alerts that it was sent: {lane.feedback.refusals.reason}"
        for lane in lanes
        if lane.disabled is None and lane.feedback.refusals.is_all
    ]


def _dead_problems(undelivered: int) -> list[str]:
    what = "reached nobody: `tocsin queue --state dead` lists what is dead, `tocsin retry` puts it back"
    return [f"{undelivered} dead, {what}"] if undelivered else []


def _stuck(counts: list[Count], lanes: list[Lane]) -> list[str]:
    """What waits for a destination that the configuration leaves out, and that nobody stands in for."""
    out = {lane.name: lane.options for lane in lanes if lane.options.disabled and not lane.options.fallback}
    waiting = {
        name: sum(count.n for count in counts if count.destination == name and count.state == "queued") for name in out
    }
    return [f"{n} wait for {name}, which has no fallback: {out[name].disabled}" for name, n in waiting.items() if n]


def _orphans(counts: list[Count], lanes: list[Lane]) -> list[str]:
    known = {lane.name for lane in lanes}
    lost = {
        count.destination: count.n for count in counts if count.state == "queued" and count.destination not in known
    }
    return [f"{n} wait for {name}, which the configuration no longer names" for name, n in lost.items()]
