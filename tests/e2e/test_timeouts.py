"""A request without a response may have arrived. Three priorities are sent again and marked; LOW is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import arrived, attempts, delivery
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

SILENCES: list[dict[str, Any]] = [
    {"behaviour": "slow", "delay": 60},
    {"behaviour": "drop", "saved": True},
]
RETRY = '{ first = "10ms", most = "10ms" }'


def config(fake: FakeProcess, silence: Mapping[str, Any]) -> str:
    """A lane whose deadline a response keeps that comes, and a file as fallback."""
    deadline = '"2s"' if silence["behaviour"] == "slow" else '"30s"'
    first = discord("d", fake.webhooks[0]["url"], deadline=deadline, retry=RETRY, fallback='["spare"]')
    return first + file("spare") + route("d")


@pytest.mark.parametrize("silence", SILENCES, ids=lambda silence: str(silence["behaviour"]))
@pytest.mark.parametrize("priority", ["urgent", "high", "normal"])
def test_ambiguous_signal_is_sent_again_and_marked(
    tmp_path: Path, fake: FakeProcess, priority: str, silence: dict[str, Any]
) -> None:
    fake.script(silence)
    with DaemonProcess(tmp_path, config(fake, silence)).start() as daemon:
        id_ = daemon.client.send("signal", priority=priority).id
        assert daemon.settled(id_) == ["delivered"]
        assert [outcome for outcome, _ in attempts(daemon, id_)] == ["unknown", "delivered"]
        assert delivery(daemon, id_)["possible_duplicate"]
        assert daemon.status()["counters"]["circuit_breaker_trips"] == 0
    assert [copy.marked for copy in arrived(fake)] == [False, True]


@pytest.mark.parametrize("silence", SILENCES, ids=lambda silence: str(silence["behaviour"]))
def test_ambiguous_low_signal_counts_as_sent_and_why_shows_doubt(
    tmp_path: Path, fake: FakeProcess, silence: dict[str, Any]
) -> None:
    fake.script(silence)
    with DaemonProcess(tmp_path, config(fake, silence)).start() as daemon:
        id_ = daemon.client.send("signal", priority="low").id
        assert daemon.settled(id_) == ["delivered"]
        mine, counters = delivery(daemon, id_), daemon.status()["counters"]
        assert (mine["state"], len(mine["attempts"]), mine["attempts"][0]["outcome"]) == ("unknown", 1, "unknown")
        assert mine["reason"].endswith("it may have arrived")
        assert (counters["notifications_sent"], counters["deliveries_in_doubt"]) == (1, 1)
        assert not (daemon.state / "alerts.jsonl").exists()
    assert [copy.marked for copy in arrived(fake)] == [False]


def test_signal_ambiguous_twice_goes_to_fallback_marked(tmp_path: Path, fake: FakeProcess) -> None:
    silence = {"behaviour": "drop", "saved": True, "count": 2}
    fake.script(silence)
    with DaemonProcess(tmp_path, config(fake, silence)).start() as daemon:
        id_ = daemon.client.send("signal", priority="urgent").id
        assert daemon.settled(id_) == ["delivered"]
        assert delivery(daemon, id_)["state"] == "unknown"
        spare = delivery(daemon, id_, "spare")
        assert (spare["state"], spare["possible_duplicate"]) == ("sent", True)
    assert [copy.marked for copy in arrived(fake)] == [False, True]
