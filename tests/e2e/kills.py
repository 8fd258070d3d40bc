"""Kills of the daemon at random moments, and what must have arrived afterwards."""

from __future__ import annotations

import random
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import all_delivered, arrived, attempts, by_id
from tests.e2e.producer import Producer
from tests.harness import DaemonProcess, FakeProcess, discord, route

LONGEST_LIFE = 0.4  # seconds; the daemon accepts signals after about half of that
EVERY = 0.02  # seconds between two signals of a producer: four producers send about what one lane delivers
MOST_IN_FLIGHT = 10  # signals: one message
INTERRUPTED = ("unknown", "tocsind stopped before the answer came")


def run_and_kill(daemon: DaemonProcess, chance: random.Random) -> None:
    """Kill the daemon after a random time, in one case of four before it is ready."""
    if chance.random() < 0.75:
        daemon.start()
    else:
        daemon.spawn()
    with pytest.raises(subprocess.TimeoutExpired):  # it does not exit by itself
        daemon.process.wait(chance.uniform(0, LONGEST_LIFE))
    daemon.kill()


def kill_repeatedly(daemon: DaemonProcess, kills: int, chance: random.Random) -> list[dict[str, Any]]:
    """Kill the daemon `kills` times while four producers send; returns the stored signals. The daemon runs at the end."""
    with ExitStack() as stack:
        programs = [stack.enter_context(Producer(daemon, f"p{n}", 10_000, EVERY)) for n in range(4)]
        for _ in range(kills):
            run_and_kill(daemon, chance)
        daemon.start()
        return [stored for program in programs for stored in program.stop()]


def assert_kills_lose_nothing(
    tmp_path: Path, fake: FakeProcess, kills: int, chance: random.Random, **daemon_options: Any
) -> None:
    """Every stored signal arrived. Each second copy is marked and belongs to an attempt that a kill interrupted."""
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, **daemon_options) as daemon:
        stored = kill_repeatedly(daemon, kills, chance)
        assert all_delivered(daemon, (each["id"] for each in stored))
        copies = by_id(arrived(fake))
        interrupted = {id_: attempts(daemon, id_).count(INTERRUPTED) for id_ in copies}
        assert daemon.stop() == 0
    assert {each["id"] for each in stored} == set(copies)
    for id_, mine in copies.items():
        assert len(mine) <= 1 + interrupted[id_], mine
        assert all(copy.marked for copy in mine[1:]), mine
        assert not mine[0].marked or interrupted[id_], mine
    doubled = sum(len(mine) - 1 for mine in copies.values())
    assert sum(interrupted.values()) <= kills * MOST_IN_FLIGHT
    print(f"{len(stored)} stored, {kills} kills, {sum(interrupted.values())} interrupted, {doubled} arrived twice")
