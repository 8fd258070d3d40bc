"""A crash at each point at which held signals are given back, or an alert is repeated: the next daemon does the rest, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_crash_points import COMMAND, ROOT, assert_crashed
from tests.harness import DaemonProcess, file, route, until

QUIET = '[[quiet]]\nfrom = "00:00"\nuntil = "24:00"\n'
REPEATED = file().replace('kind = "file"', 'kind = "file"\nrepeat = { urgent = "1s", most = 1 }')
CRASHES = ("done", "committed")


def lines(daemon: DaemonProcess) -> list[dict[str, Any]]:
    path = daemon.state / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def crash_and_start(daemon: DaemonProcess, point: str) -> None:
    """Let the daemon crash at this point, and start it again."""
    daemon.spawn(*COMMAND, env={"CRASH": point, "PYTHONPATH": str(ROOT)})  # it may crash before it is ready
    assert_crashed(daemon)
    daemon.start()


@pytest.mark.parametrize("moment", CRASHES)
@pytest.mark.parametrize("job", ["gather", "finish"])
def test_crash_at_the_end_of_quiet_hours_leaves_one_complete_digest(tmp_path: Path, job: str, moment: str) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file") + QUIET) as daemon:
        daemon.start()
        ids = [daemon.client.send(f"signal {number}").id for number in range(3)]
        assert [each["deliveries"] for each in daemon.status()["held"]] == [3]
        daemon.kill()
        daemon.configure(file() + route("local-file"))
        crash_and_start(daemon, f"{job}:{moment}:1")
        assert daemon.settled(*ids) == ["delivered"] * 3
        (digest,) = lines(daemon)
    assert list(digest["fields"]) == ["signal 0", "signal 1", "signal 2"]
    assert "possible_duplicate" not in digest


@pytest.mark.parametrize("moment", CRASHES)
def test_crash_at_the_end_of_a_delay_posts_the_signal_once(tmp_path: Path, moment: str) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file") + 'delay = "0.5s"\n') as daemon:
        daemon.start()
        id_ = daemon.client.send("later").id
        daemon.kill()
        crash_and_start(daemon, f"release_delayed:{moment}:1")
        assert daemon.settled(id_) == ["delivered"]
        assert [each["id"] for each in lines(daemon)] == [id_]


@pytest.mark.parametrize("moment", CRASHES)
def test_crash_at_a_repetition_posts_it_once(tmp_path: Path, moment: str) -> None:
    with DaemonProcess(tmp_path, REPEATED + route("local-file")) as daemon:
        daemon.start()
        id_ = daemon.client.send("FIRE", priority="urgent").id
        assert daemon.settled(id_) == ["delivered"]
        daemon.kill()
        crash_and_start(daemon, f"again:{moment}:1")
        until(lambda: len(lines(daemon)) == 2)
        daemon.wait_for("unacknowledged")
        assert [each.get("reminder") for each in lines(daemon)] == [None, 1]
