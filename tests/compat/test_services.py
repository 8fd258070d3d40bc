"""The old classes, health and metrics, over a real daemon."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.compat.conftest import arrived
from tests.harness import DaemonProcess, FakeProcess, until

from tocsin import compat
from tocsin.compat.health import METRICS


@pytest.mark.parametrize(
    ("service", "method"),
    [
        (compat.AsyncNotificationService, "queue_notification"),
        (compat.DiscordService, "send_signal"),
        (compat.NotificationIntegration, "send_signal_notification"),
        (compat.AsyncNotificationStartup, "send_signal_async"),
    ],
)
def test_old_classes_send(daemon: DaemonProcess, channels: FakeProcess, service: type, method: str) -> None:
    async def main() -> bool:
        async with service() as ours:
            assert ours.is_running
            answer: bool = await getattr(ours, method)({"title": f"{service.__name__} says"}, user_tier="premium")
            return answer

    assert asyncio.run(main()) is True
    assert trio.run(main) is True
    arrived(channels, 0, f"{service.__name__} says")


def test_old_settings_are_logged_once_without_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tocsin.compat")
    for _ in range(2):
        compat.DiscordService("https://discord.com/api/webhooks/1/canary", max_workers=2)
    assert caplog.messages == ["DiscordService: argument 1, max_workers: ignored, configured in alerts.toml now"]


def test_metrics_are_the_daemons_counters(daemon: DaemonProcess, channels: FakeProcess) -> None:
    until(lambda: compat.get_metrics()["queue_depth"] == 0)
    before = compat.get_metrics()
    assert tuple(before) == METRICS
    compat.send_signal_sync({"title": "counted"})
    assert compat.get_metrics()["notifications_queued"] == before["notifications_queued"] + 1
    until(lambda: compat.get_metrics()["notifications_sent"] == before["notifications_sent"] + 1)
    until(lambda: compat.get_metrics()["queue_depth"] == 0)


def test_health_of_a_healthy_daemon(daemon: DaemonProcess) -> None:
    health = compat.get_health_status()
    assert (health["status"], health["service_running"]) == ("healthy", True)
    assert (health["queue_status"], health["circuit_breaker_state"], health["workers_healthy"]) == (
        "ok",
        "closed",
        True,
    )
    assert set(health["workers"]) == {"premium", "general", "local-file"}
    assert health["metrics"] == compat.get_metrics()


def test_health_shows_open_breaker_and_queue_thresholds(daemon: DaemonProcess, channels: FakeProcess) -> None:
    channels.script({"behaviour": "status", "status": 503, "count": 100})
    for n in range(6):
        compat.send_signal_sync({"title": f"outage {n}", "tier": "premium"})
    daemon.wait_for("breaker-opened")
    health = compat.get_health_status(warning=1, critical=5)
    channels.control("DELETE", "script")
    assert (health["status"], health["circuit_breaker_state"]) == ("degraded", "open")
    assert health["workers"]["premium"]["healthy"] is False
    assert "503" in health["workers"]["premium"]["reason"]
    assert (health["workers"]["general"]["healthy"], health["workers_healthy"]) == (True, False)
    assert (health["queue_depth"], health["queue_status"]) == (6, "critical")
    assert compat.get_metrics()["circuit_breaker_trips"] == 1


def test_health_without_a_daemon_has_the_spools_depth(no_daemon: Path, spool: Path) -> None:
    assert compat.send_signal_sync("kept") is True
    health = compat.get_health_status(warning=1)
    assert (health["status"], health["service_running"]) == ("unhealthy", False)
    assert (health["queue_depth"], health["queue_status"]) == (1, "warning")
    assert "no daemon at" in health["problems"][0]
    assert (health["circuit_breaker_state"], health["workers"], health["workers_healthy"]) == ("unknown", {}, None)
    assert compat.get_metrics() == health["metrics"] == {**dict.fromkeys(METRICS), "queue_depth": 1}


def test_health_without_a_readable_spool_has_unknown_depth(
    no_daemon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOCSIN_SPOOL", str(tmp_path / "file"))
    health = compat.get_health_status()
    assert (health["queue_depth"], health["queue_status"]) == (None, "unknown")
    assert compat.get_metrics() == dict.fromkeys(METRICS)


def test_metrics_without_an_answer_are_unknown(
    no_daemon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        monkeypatch.setenv("TOCSIN_SOCKET", str(tmp_path / "s"))
        assert compat.get_metrics()["notifications_failed"] is None
        assert compat.get_health_status()["circuit_breaker_state"] == "unknown"


@pytest.mark.parametrize(("warning", "critical"), [("100", None), (object(), []), (float("nan"), float("inf"))])
def test_health_replaces_invalid_thresholds(no_daemon: Path, warning: Any, critical: Any) -> None:
    assert compat.get_health_status(warning, critical)["queue_status"] == "ok"
