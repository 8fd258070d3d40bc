"""A destination that refuses everything with any code is disabled; signals reach the fallback, and health is degraded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.assertions import split_alarms, written
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import Signal


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, 50001, "Missing Access"),
        (403, 160005, "Thread is locked"),
        (400, 50083, "Thread is archived"),
        (400, 50008, "Cannot send messages in a non-text channel"),
        (405, 0, "405: Method Not Allowed"),
    ],
)
def test_destination_that_refuses_everything_is_disabled_and_fallback_delivers(
    tmp_path: Path, fake: FakeProcess, status: int, code: int, words: str
) -> None:
    fake.script({"behaviour": "status", "status": status, "code": code, "message": words, "count": None})
    config = discord("d", fake.webhooks[0]["url"], fallback='["local-file"]') + file() + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        signals = [Signal(f"signal {n}") for n in range(20)]
        daemon.client.send_many(signals)
        daemon.settled(*(signal.id for signal in signals))
        daemon.wait_for("disabled", destination="d")
        lane, health = daemon.destination("d"), daemon.status()["health"]
        lines = written(daemon.state / "alerts.jsonl")
    assert lane["condition"] == "disabled"
    assert words in lane["reason"]
    assert health == "degraded"
    _, theirs = split_alarms(lines)
    assert sorted(copy.id for copy in theirs) == sorted(signal.id for signal in signals)


def test_health_is_degraded_while_signals_are_refused(tmp_path: Path, fake: FakeProcess) -> None:
    fake.script({"behaviour": "poison", "text": "bad", "count": None})
    config = discord("d", fake.webhooks[0]["url"], fallback='["local-file"]') + file() + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        daemon.settled(*(daemon.client.send(f"bad {n}").id for n in range(3)))
        status = daemon.status()
        assert status["health"] == "degraded"
        assert status["problems"][0].startswith("d has refused the last 3 alerts that it was sent: 400 from Discord")
        assert daemon.destination("d")["condition"] == "ready"
        assert daemon.settled(daemon.client.send("good").id) == ["delivered"]
        assert daemon.status()["health"] == "ok"
