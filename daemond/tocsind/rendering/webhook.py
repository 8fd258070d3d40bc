"""A delivery as JSON for programs: as Standard Webhooks describes, or as Alertmanager sends it to a webhook receiver (version 4)."""

from __future__ import annotations

from hashlib import blake2s
from typing import Any, Final

from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.story import ends_story

from .json_lines import json_object
from .numbers import iso

_SEVERITY: Final = {
    Priority.URGENT: "critical",
    Priority.HIGH: "error",
    Priority.NORMAL: "warning",
    Priority.LOW: "info",
}
_NEVER: Final = "0001-01-01T00:00:00Z"  # as Alertmanager writes the end of what has not ended


def standard(delivery: Delivery, wall: float) -> dict[str, Any]:
    """`type`, `timestamp` (of the signal's acceptance), and `data`: the object that a file destination writes as a line."""
    return {
        "type": "signal.raised",
        "timestamp": iso(delivery.accepted),
        "data": json_object(delivery, wall),
    }


def alertmanager(delivery: Delivery, wall: float, began: float | None = None) -> dict[str, Any]:
    """One alert, which began at Unix time `began` (None: with this signal).

    The labels identify it, so they hold no price and no id: all signals of one key are one alert, which its end resolves.
    """
    signal = delivery.signal
    resolved = ends_story(signal)
    labels = _labels(delivery)
    annotations = {
        name: text
        for name, text in {
            "summary": signal.title or signal.body or "",
            "description": signal.body,
            "action": signal.action,
            "price": None if signal.price is None else f"{signal.price:.15g}",
            "id": delivery.id,
            **{str(name): str(value) for name, value in (signal.fields or {}).items()},
        }.items()
        if text
    }
    alert = {
        "status": "resolved" if resolved else "firing",
        "labels": labels,
        "annotations": annotations,
        "startsAt": iso(delivery.accepted if began is None else began),
        "endsAt": iso(wall) if resolved else _NEVER,
        "generatorURL": signal.link or "",
        "fingerprint": _fingerprint(labels),
    }
    return {
        "version": "4",
        "groupKey": f"{{}}:{{alertname={labels['alertname']!r}}}",
        "truncatedAlerts": 0,
        "status": alert["status"],
        "receiver": delivery.destination,
        "groupLabels": {"alertname": labels["alertname"]},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def _labels(delivery: Delivery) -> dict[str, str]:
    signal = delivery.signal
    found = {
        "alertname": signal.key or signal.title or "tocsin",
        "severity": _SEVERITY[delivery.priority],
        "strategy": signal.strategy,
        "symbol": signal.symbol,
        "tier": signal.tier,
        "source": signal.source,
    }
    return {name: text for name, text in found.items() if text}


def _fingerprint(labels: dict[str, str]) -> str:
    """16 hexadecimal digits; severity may change while an alert is the same."""
    text = "\0".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "severity")
    return blake2s(text.encode(), digest_size=8).hexdigest()
