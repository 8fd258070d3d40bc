"""Health and metrics under the names that old dashboards and checks ask for, told by the daemon. One question each, within a second."""

from __future__ import annotations

import os
from typing import Any

from tocsin import places
from tocsin.answers import describe
from tocsin.client import Client

METRICS = (
    "notifications_queued",
    "notifications_sent",
    "notifications_failed",
    "queue_depth",
    "circuit_breaker_trips",
)
TIMEOUT = 1.0  # seconds; a daemon that takes longer to say how it is, is not well
QUEUE_WARNING, QUEUE_CRITICAL = 100, 1000  # signals that wait
_STATUS = {"ok": "healthy", "degraded": "degraded", "failing": "unhealthy"}
_BREAKERS = {"throttled": "open", "probing": "half_open"}
_WORST = ("open", "half_open", "closed")


def get_metrics() -> dict[str, int]:
    """The daemon's counts since it began, by the names in METRICS. Without a daemon all are zero but `queue_depth`: what is spooled.

    Never raises.
    """
    try:
        return _metrics(_status())
    except Exception:  # noqa: BLE001 - nobody answers, or not as we know it
        return dict.fromkeys(METRICS, 0) | {"queue_depth": _spooled()}


def get_health_status(warning: int = QUEUE_WARNING, critical: int = QUEUE_CRITICAL) -> dict[str, Any]:
    """How the service is. Never raises; a threshold that is no number is the usual one.

    `status`: healthy, degraded or unhealthy; `service_running`; `queue_depth` and `queue_status`: ok, warning or critical, from so many
    on; `circuit_breaker_state`: closed, half_open or open, the worst of all; `workers`: for each destination `healthy`, `condition`,
    `reason`, `circuit_breaker_state`; `workers_healthy`; `problems`: sentences for people; `metrics`: as `get_metrics`.
    """
    warning, critical = _number(warning, QUEUE_WARNING), _number(critical, QUEUE_CRITICAL)
    try:
        return _health(_status(), warning, critical)
    except Exception as error:  # noqa: BLE001 - as above
        return _away(error, warning, critical)


def _status() -> dict[str, Any]:
    with Client(timeout=TIMEOUT) as client:
        return client.status()


def _metrics(status: dict[str, Any]) -> dict[str, int]:
    return {name: int(status["counters"][name]) for name in METRICS}


def _health(status: dict[str, Any], warning: int, critical: int) -> dict[str, Any]:
    problems = [str(problem) for problem in status["problems"]]
    workers = {each["name"]: _worker(each, problems) for each in status["destinations"]}
    breakers = {worker["circuit_breaker_state"] for worker in workers.values()}
    depth = int(status["queue"]["depth"])
    return {
        "status": _STATUS[status["health"]],
        "service_running": True,
        "queue_depth": depth,
        "queue_status": _queue(depth, warning, critical),
        "circuit_breaker_state": next((state for state in _WORST if state in breakers), "closed"),
        "workers": workers,
        "workers_healthy": all(worker["healthy"] for worker in workers.values()),
        "problems": problems,
        "metrics": _metrics(status),
    }


def _worker(destination: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The senders of a destination. One that the configuration leaves out is as it should be."""
    name, condition = destination["name"], destination["condition"]
    return {
        "healthy": not any(problem.startswith(f"{name} is ") for problem in problems),
        "condition": condition,
        "reason": destination["reason"],
        "circuit_breaker_state": _BREAKERS.get(condition, "closed"),
    }


def _number(given: Any, usual: int) -> int:
    try:
        return int(given)
    except Exception:  # noqa: BLE001 - a foreign __int__ may raise anything
        return usual


def _queue(depth: int, warning: int, critical: int) -> str:
    if depth >= critical:
        return "critical"
    return "warning" if depth >= warning else "ok"


def _away(error: Exception, warning: int, critical: int) -> dict[str, Any]:
    """Without a daemon: signals are kept in the spool until there is one."""
    depth = _spooled()
    return {
        "status": "unhealthy",
        "service_running": False,
        "queue_depth": depth,
        "queue_status": _queue(depth, warning, critical),
        "circuit_breaker_state": "closed",
        "workers": {},
        "workers_healthy": False,
        "problems": [describe(error)],
        "metrics": dict.fromkeys(METRICS, 0) | {"queue_depth": depth},
    }


def _spooled() -> int:
    """How many hand-offs wait in the spool."""
    try:
        return sum(name.endswith(".jsonl") and not name.startswith(".") for name in os.listdir(places.spool_folder()))  # noqa: PTH208 - names are all it takes
    except OSError:
        return 0
