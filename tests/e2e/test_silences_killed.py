"""A kill at each point of a silence's life: what the next daemon knows of it, and that its end is reported once."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_crash_points import assert_crashed, crash
from tests.harness import DaemonProcess, file, route

from tocsin.errors import TocsinError

CONFIG = file() + route("local-file")


def begin(daemon: DaemonProcess) -> str:
    """The id of a new silence."""
    reply = daemon.client.request("silence", when=[["symbol", "BTC"]], seconds=3600)
    id_: str = reply["silence"]["id"]
    return id_


def silences(daemon: DaemonProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.client.request("silences")["silences"]
    return found


def reports(daemon: DaemonProcess) -> list[str]:
    """The titles of the reports that were delivered."""
    lines = (daemon.state / "alerts.jsonl").read_text().splitlines() if (daemon.state / "alerts.jsonl").exists() else []
    return [each["title"] for each in map(json.loads, lines) if each.get("source") == "tocsin"]


@pytest.mark.parametrize(("point", "known"), [("silence-add:done", 0), ("silence-add:committed", 1)])
def test_killed_daemon_knows_a_silence_once_it_is_committed(tmp_path: Path, point: str, known: int) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        crash(daemon, f"{point}:1")
        with pytest.raises(TocsinError):
            begin(daemon)
        assert_crashed(daemon)
        daemon.start()
        assert len(silences(daemon)) == known
        outcome = daemon.client.send("BUY", symbol="BTC")
        assert daemon.settled(outcome.id) == ["silenced" if known else "delivered"]


@pytest.mark.parametrize(("point", "left"), [("silence-end:done", 1), ("silence-end:committed", 0)])
def test_killed_daemon_reports_an_early_end_that_was_committed(tmp_path: Path, point: str, left: int) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        crash(daemon, f"{point}:1")
        id_ = begin(daemon)
        daemon.client.send("BUY", symbol="BTC")
        with pytest.raises(TocsinError):
            daemon.client.request("unsilence", id=id_)
        assert_crashed(daemon)
        daemon.start()
        assert [each["signals"] for each in silences(daemon)] == [1] * left
        if left:
            daemon.client.request("unsilence", id=id_)
        report = daemon.wait_for("silence-reported", silence=id_)
        assert daemon.settled(report["id"]) == ["delivered"]
        assert reports(daemon) == ["Silence over: 1 signal silenced"]


@pytest.mark.parametrize("moment", ["done", "committed"])
def test_killed_daemon_reports_each_end_once(tmp_path: Path, moment: str) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        crash(daemon, f"silence-reported:{moment}:1")
        id_ = begin(daemon)
        daemon.client.send("BUY", symbol="BTC")
        with suppress(TocsinError):  # the daemon may be faster to report, and to crash
            daemon.client.request("unsilence", id=id_)
        assert_crashed(daemon)
        daemon.start()
        report = daemon.client.send("after it")
        assert daemon.settled(report.id) == ["delivered"]
        if moment == "done":
            daemon.wait_for("silence-reported", silence=id_)
        daemon.settled(daemon.client.send("after the report").id)
        assert reports(daemon) == ["Silence over: 1 signal silenced"]
