"""Health and metrics under the names that old dashboards and checks ask for, told by the daemon. One question each, within a second.

What nobody can say is None, or "unknown", and never zero, "closed" or "ok": a dashboard that shows zero failures while the daemon is away
would be wrong, and nobody would notice.
"""

from __future__ import annotations

import os
from typing import Any

from tocsin import paths
from tocsin.client import Client
from tocsin.replies import describe

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
_BREAKERS = {
    **dict.fromkeys(("ready", "limited", "disabled"), "closed"),
    "failing": "open",
    "probing": "half_open",
}
_UNKNOWN = "unknown"
_WORST = ("open", "half_open", _UNKNOWN, "closed")


def get_metrics() -> dict[str, Any]:
    """The daemon's counts since it began, by the names in METRICS. Without a daemon they are unknown: None. Only `queue_depth` is not:
    then it says how much is spooled.

    Never raises.
    """
    try:
        return _metrics(_status())
    except Exception:  # noqa: BLE001 - nobody answers, or not as we know it
        return _unknown_metrics(_spooled())


def get_health_status(warning: int = QUEUE_WARNING, critical: int = QUEUE_CRITICAL) -> dict[str, Any]:
    """How the service is. Never raises; a threshold that is no number is the usual one.

    `status`: healthy, degraded or unhealthy; `service_running`; `queue_depth` and `queue_status`: ok, warning or critical, from so many
    on; `circuit_breaker_state`: closed, half_open or open, the worst of all; `workers`: for each destination `healthy`, `condition`,
    `reason`, `circuit_breaker_state`; `workers_healthy`; `problems`: sentences for people; `metrics`: as `get_metrics`.

    Without an answer of the daemon the status is unhealthy and the service not running; `circuit_breaker_state` is "unknown",
    `workers_healthy` None, and `queue_depth` what is spooled. Where that cannot be read, it is None, and `queue_status` "unknown".
    """
    warning, critical = _number(warning, QUEUE_WARNING), _number(critical, QUEUE_CRITICAL)
    try:
        return _health(_status(), warning, critical)
    except Exception as error:  # noqa: BLE001 - as above
        return _away(error, warning, critical)


def _status() -> dict[str, Any]:
    with Client(timeout=TIMEOUT) as client:
        return client.status()


def _metrics(status: dict[str, Any]) -> dict[str, int | None]:
    return {name: int(status["counters"][name]) for name in METRICS}


def _unknown_metrics(depth: int | None) -> dict[str, int | None]:
    return {name: depth if name == "queue_depth" else None for name in METRICS}


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
        "circuit_breaker_state": _BREAKERS.get(condition, _UNKNOWN),
    }


def _number(given: Any, usual: int) -> int:
    try:
        return int(given)
    except Exception:  # noqa: BLE001 - a foreign __int__ may raise anything
        return usual


def _queue(depth: int | None, warning: int, critical: int) -> str:
    if depth is None:
        return _UNKNOWN
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
        "circuit_breaker_state": _UNKNOWN,
        "workers": {},
        "workers_healthy": None,
        "problems": [describe(error)],
        "metrics": _unknown_metrics(depth),
    }


def _spooled() -> int | None:
    """How many outboxes wait in the spool; None where that cannot be read. One that was never made holds nothing."""
    try:
        return sum(name.endswith(".outbox") and not name.startswith(".") for name in os.listdir(paths.spool_folder()))  # noqa: PTH208 - names are all it takes
    except FileNotFoundError:
        return 0
    except OSError:
        return None
