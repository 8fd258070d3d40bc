"""Kills of producers and daemon: every signal with a receipt arrives once, in the order of its producer."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.e2e.assertions import by_id, written
from tests.harness import PATIENCE, DaemonProcess, file, route, until

from tocsind.spool.importer import SCAN_INTERVAL

SECONDS = 8.0  # at least; on a busy machine until there were KILLS
KILLS = 10
PROGRAMS = 4
_PROGRAM = """
import json, sys, time, tocsin
client = tocsin.Client(timeout=1.0)
for number in range(10**9):
    receipt = client.send(f"{sys.argv[1]} {number:06d}")
    print(json.dumps([receipt.id, receipt.state, number]), flush=True)
    time.sleep(0.002)
"""


def begin(daemon: DaemonProcess, name: str) -> subprocess.Popen[bytes]:
    with (daemon.folder / f"{name}.receipts").open("wb") as receipts:
        return subprocess.Popen([sys.executable, "-c", _PROGRAM, name], env=daemon.env, stdout=receipts)


def test_kills_of_producers_and_daemon_lose_nothing_and_keep_order(tmp_path: Path, kill_chance: random.Random) -> None:
    chance, names, kills = kill_chance, iter(range(1000)), 0
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon:
        programs = [begin(daemon, f"p{next(names)}") for _ in range(PROGRAMS)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or kills < KILLS:
            time.sleep(chance.uniform(0.1, 0.6))
            victim = chance.randrange(PROGRAMS + 1)
            if victim == PROGRAMS:
                daemon.kill()
                time.sleep(chance.uniform(0, 0.5))
                daemon.start()
            else:
                programs[victim].kill()
                programs[victim].wait(PATIENCE)
                programs[victim] = begin(daemon, f"p{next(names)}")
            kills += 1
        for program in programs:
            program.kill()
            program.wait(PATIENCE)
        until(lambda: (daemon.status()["spool"]["files"], daemon.status()["queue"]["depth"]) == (0, 0), PATIENCE * 3)
        # The kernel reports the close before it releases the lock, so the next scan may be the first to see that the owner is gone.
        until(lambda: not list(daemon.spool.glob("*.outbox")), SCAN_INTERVAL + PATIENCE)
        copies = written(daemon.state / "alerts.jsonl")
        assert daemon.status()["spool"]["quarantined"] == 0
    receipts = [
        json.loads(line)
        for file_ in tmp_path.glob("*.receipts")
        for line in file_.read_bytes().splitlines()
        if line[-1:] == b"]"
    ]
    arrived = by_id(copies)
    assert len(receipts) > 100
    assert {state for _, state, _ in receipts} <= {"stored", "spooled"}
    assert {id_ for id_, _, _ in receipts} <= set(arrived)
    assert all(copy.marked for each in arrived.values() for copy in each[1:])
    order: dict[str, list[str]] = defaultdict(list)
    for copy in copies:
        if not copy.marked:
            order[copy.title.split()[0]].append(copy.title)
    assert all(titles == sorted(titles) for titles in order.values())
