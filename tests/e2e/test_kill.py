"""kill -9 at random moments, also of a daemon that is only just starting, while programs go on raising signals."""

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

LONGEST_LIFE = 0.4  # seconds; a start takes about half of that until signals are taken
EVERY = 0.02  # seconds between two signals of one program: together about as much as one lane carries away
MOST_IN_FLIGHT = 10  # signals: one message
INTERRUPTED = ("unknown", "tocsind stopped before the answer came")


def lives_and_dies(daemon: DaemonProcess, chance: random.Random) -> None:
    """Let it run for a while, ready or not, and kill it."""
    if chance.random() < 0.75:
        daemon.start()
    else:
        daemon.spawn()
    with pytest.raises(subprocess.TimeoutExpired):  # it does not leave by itself
        daemon.process.wait(chance.uniform(0, LONGEST_LIFE))
    daemon.kill()


def storm(daemon: DaemonProcess, kills: int, seed: int) -> list[dict[str, Any]]:
    """Four programs, and so many kills meanwhile; what was stored. The daemon lives at the end."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    with ExitStack() as stack:
        programs = [stack.enter_context(Producer(daemon, f"p{n}", 10_000, EVERY)) for n in range(4)]
        for _ in range(kills):
            lives_and_dies(daemon, chance)
        daemon.start()
        return [stored for program in programs for stored in program.stop()]


def assert_nothing_lost_and_doubt_told(
    tmp_path: Path, fake: FakeProcess, kills: int, seed: int, **daemon_options: Any
) -> None:
    """Every stored signal arrived; a second copy has an attempt that a kill interrupted to account for it, and says so."""
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, **daemon_options) as daemon:
        stored = storm(daemon, kills, seed)
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


def test_five_kills_lose_nothing_and_repeat_only_requests_in_flight(tmp_path: Path, fake: FakeProcess) -> None:
    assert_nothing_lost_and_doubt_told(tmp_path, fake, 5, seed=random.randrange(2**32))


@pytest.mark.slow
def test_twenty_five_kills_lose_nothing_and_repeat_only_requests_in_flight(tmp_path: Path, fake: FakeProcess) -> None:
    assert_nothing_lost_and_doubt_told(tmp_path, fake, 25, seed=random.randrange(2**32))


def test_request_in_flight_at_kill_delays_nothing_below_limits(tmp_path: Path, fake: FakeProcess) -> None:
    limits = {"webhook-limit": '"30/h"', "channel-limit": '"30/h"', "limit": '"30/h"'}
    config = discord("d", fake.webhooks[0]["url"], **limits) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        fake.hold()
        id_ = daemon.client.send("in flight", priority="urgent").id
        fake.await_held()
        daemon.kill()
        fake.release()
        daemon.start()
        assert daemon.settled(id_) == ["delivered"], "and not an hour later"
