"""A kill at each commit of an expectation's life: the next daemon knows it, alarms once, and says once that the program is back."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_crash_points import assert_crashed, crash
from tests.harness import DaemonProcess, file, route, until

from tocsin.errors import TocsinError

CONFIG = file() + route("local-file")
SOON, LATER = 0.4, 3600.0  # s
BEGUN, LATE, REPORTED, RECOVERED, CLEARED = 1, 2, 3, 4, 5  # the commits, in their order


def beat(daemon: DaemonProcess, every: float = SOON) -> None:
    daemon.client.request("expect", name="bot", every=every, grace=0.0)


def expected(daemon: DaemonProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.client.request("expected")["expected"]
    return found


def titles(daemon: DaemonProcess) -> list[str]:
    """The delivered alarms and all-clears of the program, without durations; a copy counts once."""
    written = daemon.state / "alerts.jsonl"
    lines = written.read_text().splitlines() if written.exists() else []
    found = {each["id"]: each["title"] for each in map(json.loads, lines)}
    return [title.partition(" for ")[0].partition(" after ")[0] for title in found.values()]


def beats_and_is_back(daemon: DaemonProcess) -> bool:
    beat(daemon, LATER)  # so that no second alarm is due
    return "bot is back" in titles(daemon)


@pytest.mark.parametrize(("moment", "known"), [("done", 0), ("committed", 1)])
def test_killed_daemon_knows_an_expectation_once_it_is_committed(tmp_path: Path, moment: str, known: int) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        crash(daemon, f"expect-save:{moment}:{BEGUN}")
        with pytest.raises(TocsinError):
            daemon.client.request("expect", name="bot", every=3600)
        assert_crashed(daemon)
        daemon.start()
        assert len(expected(daemon)) == known


@pytest.mark.parametrize("moment", ["done", "committed"])
@pytest.mark.parametrize("commit", [LATE, REPORTED, RECOVERED, CLEARED])
def test_killed_daemon_alarms_once_and_says_once_that_the_program_is_back(
    tmp_path: Path, commit: int, moment: str
) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        crash(daemon, f"expect-save:{moment}:{commit}")
        beat(daemon)
        if commit > REPORTED:
            daemon.wait_for("expectation-late")
            with suppress(TocsinError):
                beat(daemon, LATER)
        assert_crashed(daemon)
        daemon.start()
        until(lambda: "bot is silent: no heartbeat" in titles(daemon))
        until(lambda: beats_and_is_back(daemon))
        daemon.client.request("goodbye", name="bot", forget=True)
        daemon.settled(daemon.client.send("the last").id)
        assert sorted(titles(daemon)) == ["bot is back", "bot is silent: no heartbeat", "the last"]
