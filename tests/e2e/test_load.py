"""Threads, workers and tasks send while the daemon is killed and started ten times."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.e2e.assertions import by_id, written
from tests.e2e.load import THREADS, TIMEOUT, WORKERS
from tests.harness import PATIENCE, DaemonProcess, file, route, until

KILLS = 10


def kill_and_start(daemon: DaemonProcess, program: subprocess.Popen[str], chance: random.Random) -> None:
    """Kill the daemon KILLS times while the program sends, and start it after a moment."""
    for _ in range(KILLS):
        assert is_running(program, chance.uniform(0.3, 2))
        daemon.kill()
        assert is_running(program, chance.uniform(0, 1.5))  # with no daemon
        daemon.start()


def is_running(program: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the program runs for so many seconds."""
    try:
        program.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def is_quiet(daemon: DaemonProcess) -> bool:
    status = daemon.status()
    return (status["spool"]["files"], status["queue"]["depth"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_load_with_kills_loses_and_repeats_nothing(tmp_path: Path, kill_chance: random.Random) -> None:
    with (
        DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon,
        (tmp_path / "receipts").open("w+") as output,
    ):
        words, root = [sys.executable, "-m", "tests.e2e.load"], Path(__file__).parents[2]
        with subprocess.Popen(
            words, cwd=root, env=daemon.env, stdin=subprocess.PIPE, stdout=output, text=True
        ) as program:
            kill_and_start(daemon, program, kill_chance)
            program.communicate()  # ends its standard input
        output.seek(0)
        *receipts, last = [json.loads(line) for line in output]
        assert last == {"failed": 0}
        until(lambda: is_quiet(daemon), PATIENCE * 4)
        arrived = by_id(written(daemon.state / "alerts.jsonl"))
        assert daemon.status()["spool"]["quarantined"] == 0
    check(receipts, arrived)


def check(receipts: list[dict[str, Any]], arrived: dict[str, Any]) -> None:
    states = Counter(receipt["state"] for receipt in receipts)
    callers = Counter(receipt["title"].split()[0] for receipt in receipts)
    assert len(callers) == 3
    assert callers["thread"] > THREADS * 10
    assert callers["worker"] > WORKERS * 10
    unexpected = [receipt for receipt in receipts if receipt["state"] not in {"stored", "duplicate", "spooled"}]
    assert unexpected == [], "\n".join(f"{each['title']}: {each['state']}, {each['reason']}" for each in unexpected)
    assert min(states["stored"], states["spooled"]) > 100, states
    assert median(receipt["seconds"] for receipt in receipts) < TIMEOUT
    assert {receipt["id"] for receipt in receipts} == set(arrived)  # nothing is lost
    assert all(
        copy.marked for copies in arrived.values() for copy in copies[1:]
    )  # only requests in flight at a kill are repeated, and marked
    print(
        f"{len(receipts)} receipts, {dict(states)}, {KILLS} kills, {sum(map(len, arrived.values())) - len(arrived)} twice"
    )
