"""`/alertmanager`: each alert is one live message, from firing to resolved. With samples of both senders, and Alertmanager itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, until
from tests.http_client import TOKEN, Answer, ask, base_url, daemon_with

from tocsind.http.alertmanager import signal_of

FIRING: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "HighCPU", "severity": "critical", "instance": "web-1:9100", "job": "node"},
    "annotations": {
        "summary": "CPU of web-1 is hot",
        "description": "91 % for 5 minutes",
        "runbook_url": "https://r.example",
    },
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example/graph",
    "fingerprint": "4a5b6c7d8e9f0a1b",
}
RESOLVED: dict[str, Any] = {**FIRING, "status": "resolved", "endsAt": "2026-01-01T00:10:00Z"}
# From Grafana's documentation of its webhook notifier.
GRAFANA: dict[str, Any] = {
    "receiver": "My Super Webhook",
    "status": "firing",
    "orgId": 1,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "High memory usage", "team": "blue", "zone": "us-1"},
            "annotations": {
                "description": "The system has high memory usage",
                "summary": "This alert was triggered for zone us-1",
            },
            "startsAt": "2021-10-12T09:51:03.157076+02:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://play.grafana.org/alerting/1afz29v7z/edit",
            "fingerprint": "c6eadffa33fcdf37",
            "silenceURL": "https://play.grafana.org/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23943737541908, "C": 1},
        },
        {
            "status": "firing",
            "labels": {"alertname": "High CPU usage", "team": "blue", "zone": "eu-1"},
            "annotations": {
                "description": "The system has high CPU usage",
                "summary": "This alert was triggered for zone eu-1",
            },
            "startsAt": "2021-10-12T09:56:03.157076+02:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "bc97ff14869b13e3",
            "dashboardURL": "https://play.grafana.org/d/1",
            "panelURL": "https://play.grafana.org/d/1?viewPanel=1",
            "values": {"B": 86.6, "C": 1},
        },
    ],
    "groupLabels": {},
    "commonLabels": {"team": "blue"},
    "commonAnnotations": {},
    "externalURL": "https://play.grafana.org/",
    "version": "1",
    "groupKey": "{}:{}",
    "truncatedAlerts": 0,
    "title": "[FIRING:2]  (blue)",
    "state": "alerting",
    "message": "**Firing** ...",
}


@pytest.fixture(scope="module")
def discord_fake() -> Iterator[FakeProcess]:
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, discord_fake: FakeProcess) -> Iterator[DaemonProcess]:
    with daemon_with(tmp_path_factory.mktemp("alertmanager"), discord_fake).start() as daemon:
        yield daemon


def post(daemon: DaemonProcess, *alerts: dict[str, Any]) -> Answer:
    body = {"version": "4", "status": alerts[0]["status"], "alerts": alerts, "externalURL": "http://am.example"}
    return ask(daemon, "POST", f"/alertmanager/{TOKEN}", body)


def states(answer: Answer) -> list[str]:
    return [each["state"] for each in answer.json()["receipts"]]


def text_of(message: dict[str, Any]) -> str:
    return json.dumps(message["payload"], ensure_ascii=False)


def test_alert_is_one_message_from_firing_to_resolved(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    assert states(post(running, FIRING)) == ["stored"]
    until(lambda: any("CPU of web-1 is hot" in text_of(each) for each in discord_fake.messages()))
    before = len(discord_fake.messages())
    assert states(post(running, FIRING)) == ["duplicate"]
    assert states(post(running, RESOLVED)) == ["stored"]
    until(lambda: any("Resolved: CPU of web-1 is hot" in text_of(each) for each in discord_fake.messages()))
    (message,) = [each for each in discord_fake.messages() if "CPU of web-1 is hot" in text_of(each)]
    assert (len(discord_fake.messages()), message["edits"]) == (before, 1)
    assert states(post(running, RESOLVED)) == ["duplicate"]
    again = {**FIRING, "startsAt": "2026-01-01T01:00:00Z"}
    assert states(post(running, again)) == ["stored"]
    until(lambda: len(discord_fake.messages()) == before + 1)


@pytest.mark.parametrize("since", [None, "", "0001-01-01T00:00:00Z"])
def test_alert_without_a_time_fires_again_after_it_was_resolved(running: DaemonProcess, since: str | None) -> None:
    firing = {"status": "firing", "labels": {"alertname": f"timeless {since}"}, "startsAt": since}
    for alert in (firing, {**firing, "status": "resolved"}, firing):
        assert states(post(running, alert)) == ["stored"]


def test_alert_becomes_a_signal_with_what_it_says() -> None:
    signal = signal_of(FIRING, {"alerts": []})
    assert (signal.title, signal.body) == ("CPU of web-1 is hot", "91 % for 5 minutes")
    assert (signal.priority, signal.link, signal.host) == ("urgent", "http://prometheus.example/graph", "web-1")
    assert signal.fields == {"instance": "web-1:9100", "job": "node", "runbook_url": "https://r.example"}
    assert signal.timestamp == 1_767_225_600.0
    resolved = signal_of(RESOLVED, {})
    assert (resolved.title, resolved.priority, resolved.action) == ("Resolved: CPU of web-1 is hot", "high", "RESOLVED")
    assert resolved.key == signal.key
    assert resolved.id != signal.id


@pytest.mark.parametrize(
    ("severity", "priority"),
    [
        ("critical", "urgent"),
        ("page", "urgent"),
        ("error", "high"),
        ("warning", "normal"),
        ("info", "low"),
        ("Critical", "urgent"),
        ("odd", "normal"),
    ],
)
def test_severity_is_the_priority(severity: str, priority: str) -> None:
    alert = {"labels": {"alertname": "A", "severity": severity}}
    assert signal_of(alert, {}).priority == priority
    assert signal_of({**alert, "status": "resolved"}, {}).priority == ("high" if priority == "urgent" else priority)


def test_alert_without_anything_is_still_an_alert() -> None:
    signal = signal_of({}, {"status": "firing"})
    assert (signal.title, signal.priority) == ("an alert without a name", "normal")
    assert (
        signal_of({"labels": 7, "annotations": [], "startsAt": 7, "fingerprint": None, "values": "x"}, {}).title
        == signal.title
    )


def test_grafana_sample_is_two_alerts(running: DaemonProcess) -> None:
    answer = ask(running, "POST", "/alertmanager", GRAFANA, Authorization=f"Bearer {TOKEN}")
    assert states(answer) == ["stored", "stored"]
    first, second = (signal_of(each, GRAFANA) for each in GRAFANA["alerts"])
    assert (first.source, first.title) == ("grafana", "This alert was triggered for zone us-1")
    assert first.fields == {"team": "blue", "zone": "us-1", "B": 44.23943737541908, "C": 1}
    assert (first.link, second.link) == (
        "https://play.grafana.org/alerting/1afz29v7z/edit",
        "https://play.grafana.org/d/1?viewPanel=1",
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/alertmanager", GRAFANA, 401),
        ("/alertmanager/wrong", GRAFANA, 401),
        (f"/alertmanager/{TOKEN}", b"{", 400),
        (f"/alertmanager/{TOKEN}", {"title": "no alerts"}, 400),
        (f"/alertmanager/{TOKEN}", {"alerts": ["x"]}, 400),
        (f"/alertmanager/{TOKEN}?to=nowhere", {"alerts": [FIRING]}, 400),
    ],
)
def test_body_without_alerts_is_refused(running: DaemonProcess, path: str, body: object, status: int) -> None:
    assert ask(running, "POST", path, body).status == status


# --- the program itself -----------------------------------------------------------------------------------------------


def _alertmanager() -> str:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None and not os.environ.get("CI"):
        pytest.skip("Alertmanager is not installed; CI installs it")
    assert program, "CI must install prometheus-alertmanager"
    return program


def test_alertmanager_itself_reaches_discord(
    running: DaemonProcess, discord_fake: FakeProcess, tmp_path: Path, port: int
) -> None:
    receiver = {"url": f"{base_url(running)}/alertmanager", "send_resolved": True}
    receiver["http_config"] = {"authorization": {"credentials": TOKEN}}
    config = {
        "route": {"receiver": "tocsin", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
        "receivers": [{"name": "tocsin", "webhook_configs": [receiver]}],
    }
    (tmp_path / "alertmanager.yml").write_bytes(msgspec.yaml.encode(config))
    command = [
        _alertmanager(),
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: _answers(port))
            alert = {"labels": {"alertname": "FromAlertmanager", "severity": "warning"}}
            assert ask(("127.0.0.1", port), "POST", "/api/v2/alerts", [alert]).status == 200
            until(lambda: any("FromAlertmanager" in text_of(each) for each in discord_fake.messages()))
            ended = {**alert, "endsAt": "2026-01-01T00:00:00Z", "startsAt": "2025-12-31T00:00:00Z"}
            assert ask(("127.0.0.1", port), "POST", "/api/v2/alerts", [ended]).status == 200
            until(lambda: any("Resolved: FromAlertmanager" in text_of(each) for each in discord_fake.messages()))
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _answers(port: int) -> bool:
    try:
        return ask(("127.0.0.1", port), "GET", "/-/ready").status == 200
    except OSError:
        return False
