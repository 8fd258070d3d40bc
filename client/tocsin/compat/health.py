"""Health and metrics of the daemon under the names of old dashboards and checks. Each call is one request, within a second.

An unknown value is None, or "unknown", never zero, "closed" or "ok": a dashboard that showed zero failures while the daemon is away would
be wrong without a sign of it.
"""

from __future__ import annotations

from typing import Any

from tocsin.client import Client
from tocsin.replies import describe

from .spooled import spooled_signals

METRICS = (
    "notifications_queued",
    "notifications_sent",
    "notifications_failed",
    "queue_depth",
    "circuit_breaker_trips",
)
TIMEOUT = 1.0  # seconds; a daemon that answers later is not healthy
QUEUE_WARNING, QUEUE_CRITICAL = 100, 1000  # queued signals
_STATUS = {"ok": "healthy", "degraded": "degraded", "failing": "unhealthy"}
_BREAKERS = {
    **dict.fromkeys(("ready", "limited", "disabled"), "closed"),
    "failing": "open",
    "probing": "half_open",
}
_UNKNOWN = "unknown"
_WORST = ("open", "half_open", _UNKNOWN, "closed")


def get_metrics() -> dict[str, Any]:
    """The daemon's counters since its start, by the names in METRICS. Without a daemon they are None, except `queue_depth`, the number of
    signals in the spool.

    Never raises.
    """
    try:
        return _metrics(_status())
    except Exception:  # noqa: BLE001 - no daemon answers, or one of another version
        return _unknown_metrics(spooled_signals(TIMEOUT))


def get_health_status(warning: int = QUEUE_WARNING, critical: int = QUEUE_CRITICAL) -> dict[str, Any]:
    """The health of the service. Never raises; a threshold that is not a number is replaced by the default.

    `status`: healthy, degraded or unhealthy; `service_running`; `queue_depth` and `queue_status`: ok, warning or critical, by the
    thresholds; `circuit_breaker_state`: closed, half_open or open, the worst of all; `workers`: for each destination `healthy`,
    `condition`, `reason`, `circuit_breaker_state`; `workers_healthy`; `problems`: sentences for people; `metrics`: as `get_metrics`.

    Without an answer of the daemon `status` is unhealthy, `service_running` False, `circuit_breaker_state` "unknown", `workers_healthy`
    None, and `queue_depth` the number of signals in the spool. Where that cannot be read, it is None, and `queue_status` "unknown".
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
    """The state of a destination. One that is disabled because its configuration is incomplete is healthy."""
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
    """The health without a daemon: signals wait in the spool."""
    depth = spooled_signals(TIMEOUT)
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
