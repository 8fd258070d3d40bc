"""The old classes, health and metrics, over a real daemon."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.compat.conftest import arrived
from tests.harness import DaemonProcess, FakeProcess, until
from tests.outboxes import bodies, files

from tocsin import Client, compat
from tocsin.compat import health
from tocsin.compat.health import METRICS
from tocsin.outbox_format import BLOCK


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


MESSAGE = {
    "content": "**bold** and @everyone",
    "username": "old bot",
    "embeds": [{"title": "BUY BTCUSDT", "color": 65280, "fields": [{"name": "RSI", "value": "33", "inline": True}]}],
}


def with_content(channels: FakeProcess, content: Any) -> list[dict[str, Any]]:
    """The messages with this content; alerts of earlier tests may still arrive."""
    return [message for message in channels.messages() if message["payload"].get("content") == content]


@pytest.mark.parametrize(
    "send",
    [
        compat.send_signal_async,
        compat.send_signal_to_discord,
        lambda given: compat.DiscordService().send_message(given),
    ],
    ids=["async", "to-discord", "service"],
)
def test_discord_message_arrives_as_it_is(daemon: DaemonProcess, channels: FakeProcess, send: Any) -> None:
    before = len(with_content(channels, MESSAGE["content"]))
    assert asyncio.run(send(MESSAGE)) is True
    until(lambda: len(with_content(channels, MESSAGE["content"])) > before)
    payload = with_content(channels, MESSAGE["content"])[before]["payload"]
    assert payload["username"] == MESSAGE["username"]
    [embed] = payload["embeds"]
    assert (embed["title"], embed["fields"]) == ("BUY BTCUSDT", [{"name": "RSI", "value": "33", "inline": True}])


def test_discord_message_goes_by_priority_and_tier(daemon: DaemonProcess, channels: FakeProcess) -> None:
    assert compat.send_signal_sync({"content": "for some"}, priority="high", user_tier="premium") is True
    until(lambda: bool(with_content(channels, "for some")))
    assert with_content(channels, "for some")[0]["webhook_id"] == channels.webhooks[0]["id"]


class Renamed(compat.AsyncNotificationService):
    """As a subclass of the old service: its own `__init__`, one method changed, the others inherited."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def send_signal_async(self, signal: Any, *more: Any, **named: Any) -> bool:
        self.seen.append(signal["title"])
        return await super().send_signal_async({**signal, "title": f"{signal['title']} renamed"}, *more, **named)


def test_override_in_a_subclass_of_a_service_has_its_effect(daemon: DaemonProcess, channels: FakeProcess) -> None:
    ours = Renamed()
    ours.logger.info("usable without the base's __init__")
    assert ours.logger.name == __name__
    assert asyncio.run(ours.queue_notification({"title": "inherited"}, channel="#signals-free")) is True
    assert ours.seen == ["inherited"]
    [embed] = arrived(channels, 1, "inherited renamed")
    assert [(each["name"], each["value"].lstrip("\\")) for each in embed["fields"]] == [("channel", "#signals-free")]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_used_service_can_be_copied(daemon: DaemonProcess, channels: FakeProcess, copied: Any) -> None:
    ours = Renamed()
    title = f"of {len(channels.messages())} messages"
    assert asyncio.run(ours.queue_signal({"title": title})) is True
    other = copied(ours)
    assert asyncio.run(other.queue_signal({"title": f"{title}, a copy"})) is True
    arrived(channels, 1, f"{title} renamed", f"{title}, a copy renamed")


def test_service_works_in_a_forked_child(daemon: DaemonProcess, channels: FakeProcess) -> None:
    service = compat.DiscordService()
    assert asyncio.run(service.send_signal({"title": "parent"})) is True
    pid = os.fork()
    if pid == 0:
        os._exit(0 if asyncio.run(service.send_signal({"title": "child"})) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    arrived(channels, 1, "parent", "child")


def test_services_attributes_are_the_daemons_values(daemon: DaemonProcess) -> None:
    service = compat.NotificationIntegration().notification_service
    until(lambda: service.queue_depth == 0)
    assert tuple(service.metrics) == METRICS
    assert service.circuit_breaker_state == "closed"
    assert isinstance(service.discord_service, compat.DiscordService)


def test_services_attributes_are_unknown_without_a_daemon(no_daemon: Path) -> None:
    service = compat.AsyncNotificationService()
    assert service.circuit_breaker_state == "unknown"
    assert service.metrics["notifications_sent"] is None
    assert service.is_running is False


def test_old_settings_are_warned_of_once_without_texts(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        compat.DiscordService(
            "https://discord.com/api/webhooks/1/canary", max_workers=2, max_retries=3, retry_delay=1.5
        )
    retry = 'retry = { first = "1s", most = "60s", give-up = "6h" } under [destinations.NAME] in alerts.toml'
    assert caplog.messages == [
        "DiscordService: argument 1 is ignored: alerts.toml has the settings now",
        "DiscordService: max_workers = 2 is ignored: each destination has four senders",
        f"DiscordService: max_retries = 3, retry_delay = 1.5 are ignored: write {retry}",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


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
    assert compat.get_metrics()["queue_depth"] == 0  # there is no spool
    assert [compat.send_signal_sync(f"kept {n}") for n in range(3)] == [True] * 3
    health = compat.get_health_status(warning=3)
    assert (health["status"], health["service_running"]) == ("unhealthy", False)
    assert (health["queue_depth"], health["queue_status"]) == (3, "warning")
    assert "no daemon at" in health["problems"][0]
    assert (health["circuit_breaker_state"], health["workers"], health["workers_healthy"]) == ("unknown", {}, None)
    assert compat.get_metrics() == health["metrics"] == {**dict.fromkeys(METRICS), "queue_depth": 3}


def test_spooled_signals_are_counted_from_several_records_and_outboxes(no_daemon: Path, spool: Path) -> None:
    Client().send_many([{"title": f"{n}"} for n in range(20)])
    pid = os.fork()
    if pid == 0:  # another process, another outbox
        client = Client()
        os._exit(sum(client.send(f"{n}", "x" * 4000).state == "spooled" for n in range(5)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert compat.get_metrics()["queue_depth"] == 25
    [ours] = [box for box in files(spool) if len(bodies(box)) == 1]
    with ours.open("r+b") as box:
        box.seek(BLOCK)
        box.write((1).to_bytes(8, "little"))  # as a daemon confirms the first record
    assert compat.get_metrics()["queue_depth"] == 5
    (spool / "x.outbox").symlink_to("/dev/null")
    assert compat.get_metrics()["queue_depth"] is None


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
        monkeypatch.setattr(health, "TIMEOUT", 0.05)
        assert compat.get_metrics()["notifications_failed"] is None
        assert compat.get_health_status()["circuit_breaker_state"] == "unknown"


@pytest.mark.parametrize(("warning", "critical"), [("100", None), (object(), []), (float("nan"), float("inf"))])
def test_health_replaces_invalid_thresholds(no_daemon: Path, warning: Any, critical: Any) -> None:
    assert compat.get_health_status(warning, critical)["queue_status"] == "ok"
