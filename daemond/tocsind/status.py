"""How everything is, in the contract's shape: what `tocsin status` shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from tocsin.durations import format_duration

from . import __version__
from .clock import Clock
from .dispatch import Dispatch
from .face import budget, face
from .journal import Count, reading
from .lane import LONG_BLOCK, Condition, Lane
from .metrics import Metrics
from .policy.delivery import Priority
from .spool import Spool

_NOT_WORKING = frozenset({"throttled", "probing", "disabled"})


class StatusView:
    """Puts the status together from those who know."""

    def __init__(
        self,
        dispatch: Dispatch,
        lanes: Iterable[Lane],
        metrics: Metrics,
        clock: Clock,
        concerns: Callable[[], list[str]] = list,
        *,
        spool: Spool | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._concerns = concerns
        self._lanes = lanes
        self._metrics = metrics
        self._spool = spool
        self._clock = clock
        self._since = clock.now()

    async def take(self) -> dict[str, Any]:
        """The status object of the contract. Raises what the journal raises."""
        # before the counts, so that what is taken in meanwhile is seen twice and never nowhere
        spool, spool_problems = await self._spool.look() if self._spool else (None, [])
        lanes = list(self._lanes)
        counts = await self._dispatch.journal.run(reading.counts)
        waiting = sorted({(count.destination, count.priority) for count in counts if count.state == "queued"})
        oldest = await self._dispatch.journal.run(reading.oldest, waiting)
        problems = [
            *self._storage_problems(),
            *spool_problems,
            *self._concerns(),
            *_lane_problems(lanes),
            *_stuck(counts, lanes),
            *_dead_problems(counts),
            *_orphans(counts, lanes),
        ]
        queued = _by_priority(counts)
        return {
            "schema": 1,
            "ok": True,
            "version": __version__,
            "pid": os.getpid(),
            "uptime_seconds": round(self._clock.now() - self._since, 3),
            "health": self._health(lanes, problems),
            "problems": problems,
            "counters": {**self._metrics.counters, "queue_depth": sum(queued.values())},
            "queue": {
                "depth": sum(queued.values()),
                "oldest_seconds": None if oldest is None else max(0.0, self._clock.wall() - oldest),
                "by_priority": queued,
            },
            "destinations": [self._destination(lane, counts) for lane in lanes],
            "spool": spool,
            "storage": {
                "healthy": self._dispatch.journal.healthy and self._dispatch.intake.closed is None,
                "bytes": await self._dispatch.journal.run(reading.size),
                "free_bytes": self._dispatch.intake.free_bytes(),
            },
        }

    def _storage_problems(self) -> list[str]:
        closed = self._dispatch.intake.closed
        return [f"no signal is taken: {closed}"] if closed else []

    def _health(self, lanes: list[Lane], problems: list[str]) -> str:
        wanted = [lane for lane in lanes if lane.options.disabled is None]
        stuck = bool(wanted) and all(lane.condition().word in _NOT_WORKING for lane in wanted)
        if self._dispatch.intake.closed or stuck:
            return "failing"
        return "degraded" if problems else "ok"

    def _destination(self, lane: Lane, counts: list[Count]) -> dict[str, Any]:
        mine = [count for count in counts if count.destination == lane.name]
        record = self._metrics.of(lane.name)
        return {
            **face(lane),
            "queued": _by_priority(mine),
            "sent": record.sent,
            "failed": record.failed,
            "dead": sum(count.n for count in mine if count.state == "dead"),
            "trips": lane.trips,
            "last_success_seconds": None if record.last_success is None else self._clock.now() - record.last_success,
            "last_error": record.last_error,
            "gate": budget(lane),
        }


def _by_priority(counts: Iterable[Count]) -> dict[str, int]:
    """What waits or is being sent."""
    queued = dict.fromkeys((priority.label for priority in Priority), 0)
    for count in counts:
        if count.state in ("queued", "sending"):
            queued[count.priority.label] += count.n
    return queued


def _lane_problems(lanes: list[Lane]) -> list[str]:
    return [_lane_problem(lane.name, lane.condition()) for lane in lanes if _is_problem(lane)]


def _is_problem(lane: Lane) -> bool:
    """A destination that the configuration leaves out is as it should be; one that stopped working, or shuts us out, is not."""
    return lane.options.disabled is None and (lane.condition().word in _NOT_WORKING or lane.blocked_for() > LONG_BLOCK)


def _lane_problem(name: str, condition: Condition) -> str:
    text = f"{name} is {condition.word}: {condition.reason}"
    if condition.seconds is not None and condition.seconds > LONG_BLOCK:
        text += f", for another {format_duration(condition.seconds)}"
    return f"{text}; `tocsin enable {name}` puts it back" if condition.word == "disabled" else text


def _dead_problems(counts: list[Count]) -> list[str]:
    dead = sum(count.n for count in counts if count.state == "dead")
    return [f"{dead} dead: `tocsin queue --state dead` lists them, `tocsin retry` puts them back"] if dead else []


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
