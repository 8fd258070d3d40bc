"""Threads, asyncio tasks and forked children send through one client of one program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.e2e.assertions import all_delivered, written
from tests.e2e.many_callers import CALLERS
from tests.harness import PATIENCE, DaemonProcess, file, route

EACH = 50


def test_signals_of_threads_tasks_and_children_through_one_client_arrive_once(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon:
        program = subprocess.run(
            [sys.executable, "-m", "tests.e2e.many_callers", str(EACH)],
            cwd=Path(__file__).parents[2],
            env=daemon.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        assert program.returncode == 0, program.stderr
        stored = [json.loads(line) for line in program.stdout.splitlines()]
        assert Counter(each["title"][:-5] for each in stored) == dict.fromkeys(CALLERS, EACH)
        assert all_delivered(daemon, (each["id"] for each in stored))
        lines = written(daemon.state / "alerts.jsonl")
    assert sorted((line.id, line.title) for line in lines) == sorted((each["id"], each["title"]) for each in stored)
