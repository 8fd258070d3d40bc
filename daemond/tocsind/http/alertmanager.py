"""`/alertmanager`: the webhook of Prometheus' Alertmanager, and of Grafana, which has the same form with more in it.

Each alert is one live message. Its key is the fingerprint and the time since when it fires. So it goes from firing to resolved in place,
and firing again later is a new story. The id of a state is made from the same two and the status. So the repetitions of Alertmanager are
duplicates, which the journal stores once, and a repeated firing posts nothing. A sender that gives no time has no such repetitions: its
second firing may be news, so each of its alerts is stored, and shown in the message of its fingerprint until that is resolved.

    severity   critical, page = urgent; error = high; warning = normal; info = low; a resolved alert is never urgent
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2s
from typing import Any, Final

import msgspec

from tocsin.ids import id_of
from tocsin.signals import MOST_FIELDS, Signal
from tocsin.timestamps import to_seconds
from tocsind.http_server import Reply

from .access import Needs
from .intake import Intake
from .receipts import as_object, refusal, refused, store
from .replies import as_json
from .routing import Call, Router

MOST_BODY: Final = 8 * 1024 * 1024
MOST_ALERTS: Final = 10_000  # of one request; Alertmanager sends a group
_PRIORITIES: Final = {
    **dict.fromkeys(("critical", "page", "emergency", "fatal", "disaster"), "urgent"),
    **dict.fromkeys(("error", "high", "major"), "high"),
    **dict.fromkeys(("warning", "warn", "average"), "normal"),
    **dict.fromkeys(("info", "information", "low", "minor", "none", "debug", "notice"), "low"),
}
_LINKS: Final = ("panelURL", "dashboardURL", "generatorURL")
_TITLES: Final = ("summary", "title")
_BODIES: Final = ("description", "message")
_PORT: Final = re.compile(r":[0-9]+$")
_SHOWN: Final = frozenset({"alertname", "severity"})


class AlertmanagerWebhook:
    """The routes."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def add_routes(self, router: Router) -> None:
        """Add them: with the token in the path too, for senders that can set no header."""
        for path in ("/alertmanager", "/alertmanager/{token}"):
            router.add("POST", path, self.receive, needs=Needs.SEND, body=MOST_BODY, refusal=refusal)

    async def receive(self, call: Call) -> Reply:
        """Store a signal for each alert."""
        message = _message(call.request.body)
        if isinstance(message, Reply):
            self._intake.report_refused(call.request, "a request to /alertmanager without alerts")
            return message
        alerts = message["alerts"]
        to = [call.grant.only] if call.grant.only else _names(call.request.query.get("to"))
        stored = await store(self._intake, [signal_of(each, message, to) for each in alerts], call)
        if isinstance(stored, Reply):
            return stored
        return as_json(200, {"receipts": [as_object(each) for each in stored]})


def _message(body: bytes) -> dict[str, Any] | Reply:
    """The message with its list of alerts, or what is wrong with it."""
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return refused(400, f"the body is no JSON: {error}")
    alerts = message.get("alerts") if isinstance(message, dict) else None
    if not isinstance(alerts, list) or not all(isinstance(each, dict) for each in alerts):
        return refused(400, "there is no list `alerts`: this is not the webhook of Alertmanager or Grafana")
    if len(alerts) > MOST_ALERTS:
        return refused(413, f"a request may have {MOST_ALERTS} alerts")
    return dict(message)


def signal_of(alert: Mapping[str, Any], message: Mapping[str, Any], to: list[str] | None = None) -> Signal:
    """The signal for an alert of a message."""
    labels, annotations = _texts(alert.get("labels")), _texts(alert.get("annotations"))
    is_resolved = str(alert.get("status") or message.get("status") or "").lower() == "resolved"
    since = str(alert.get("startsAt") or "")
    fingerprint = str(alert.get("fingerprint") or _hash(labels))
    name = _first(annotations, _TITLES) or labels.get("alertname") or "an alert without a name"
    return Signal(
        f"Resolved: {name}" if is_resolved else name,
        _first(annotations, _BODIES),
        id=_id(fingerprint, since, "resolved" if is_resolved else "firing"),
        key=f"alert {fingerprint} {since}",
        priority=_priority(labels, is_resolved=is_resolved),
        action="RESOLVED" if is_resolved else None,
        timestamp=alert.get("endsAt") if is_resolved else since or None,
        host=_PORT.sub("", labels.get("instance", "")) or None,
        link=_link(alert, message),
        fields=_fields(labels, annotations, alert),
        source="grafana" if "orgId" in message else "alertmanager",
        to=to,
    )


def _id(fingerprint: str, since: str, status: str) -> str | None:
    """The id of a state; None, which is a fresh one, when `since` is no time, or the zero time that Go writes for none."""
    seconds = to_seconds(since)
    if seconds is None or seconds <= 0:
        return None
    milliseconds = int(min(seconds, 2e10) * 1000) % 2**48
    return id_of(milliseconds, blake2s(f"{fingerprint}\n{since}\n{status}".encode(), digest_size=10).digest())


def _hash(labels: Mapping[str, str]) -> str:
    """A fingerprint for senders that give none."""
    return blake2s(msgspec.json.encode(sorted(labels.items())), digest_size=8).hexdigest()


def _priority(labels: Mapping[str, str], *, is_resolved: bool) -> str:
    found = _PRIORITIES.get(labels.get("severity", labels.get("priority", "")).strip().lower(), "normal")
    return "high" if is_resolved and found == "urgent" else found


def _fields(
    labels: Mapping[str, str], annotations: Mapping[str, str], alert: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Labels, then other annotations, then Grafana's values; as many as a signal has room for."""
    named: dict[str, Any] = {
        name: value for name, value in labels.items() if name not in _SHOWN and not name.startswith("__")
    }
    named |= {
        name: value
        for name, value in annotations.items()
        if name not in {*_TITLES, *_BODIES} and not name.startswith("__")
    }
    values = alert.get("values")
    if isinstance(values, dict):
        named |= {str(name): value for name, value in values.items() if isinstance(value, (int, float))}
    return dict(list(named.items())[:MOST_FIELDS]) or None


def _link(alert: Mapping[str, Any], message: Mapping[str, Any]) -> str | None:
    links = [alert.get(name) for name in _LINKS] + [message.get("externalURL")]
    return next((link for link in links if isinstance(link, str) and link.startswith(("http://", "https://"))), None)


def _first(texts: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((texts[name] for name in names if texts.get(name, "").strip()), None)


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def _names(text: str | None) -> list[str] | None:
    return [name for name in (text or "").split(",") if name] or None
