"""kill -9 in the middle of a burst, and an immediate start: the new daemon remembers the requests of the old one.

Windows are a twentieth of the real ones: 30 in 3 s for the channel, 5 in 0.1 s for the webhook. A daemon that forgot its requests would
get a 429 within its first five requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import all_delivered, arrived, attempts, by_id, until
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import PRIORITIES, Signal

SCALE = "0.05"
LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"'}  # the limits of the fake, so scaled
ROUNDS = 6
STEP = 4  # messages between two kills: fewer than the webhook's limit, so that the next start would exceed it
BURST = 100  # signals a round, of all priorities: ten messages
INTERRUPTED = ("unknown", "tocsind stopped before the answer came")


def burst(number: int, to: Sequence[str]) -> list[Signal]:
    """The signals of one round, alternating between the destinations."""
    return [
        Signal(f"{number} {n}", priority=PRIORITIES[n % len(PRIORITIES)], to=to[n // len(PRIORITIES) % len(to)])
        for n in range(BURST)
    ]


def rounds(daemon: DaemonProcess, fake: FakeProcess, to: Sequence[str]) -> list[Signal]:
    """Send bursts, each interrupted by a kill and an immediate start; returns all stored signals."""
    stored: list[Signal] = []
    daemon.start()
    for number in range(ROUNDS):
        arriving = partial(has_arrived, fake.counts()["accepted"] + STEP)
        stored += burst(number, to)
        daemon.client.send_many(stored[-BURST:])
        until(fake, arriving)
        if number % 2:  # the message arrived, and the kill precedes the response
            fake.hold(saved=True)
            fake.await_held()
        daemon.kill()
        fake.release()
        daemon.start()
    return stored


def has_arrived(enough: int, counts: dict[str, Any]) -> bool:
    """Whether `enough` messages have arrived."""
    return bool(counts["accepted"] >= enough)


@pytest.mark.slow
@pytest.mark.parametrize("webhooks", [1, 2])
def test_kills_during_burst_lose_nothing_and_cause_no_429(tmp_path: Path, webhooks: int) -> None:
    with FakeProcess("--limits", SCALE, "--webhooks", str(webhooks), "--channels", "1") as fake:
        lanes = {f"d{number}": hook["url"] for number, hook in enumerate(fake.webhooks)}
        config = "".join(discord(name, url, **LIMITS) for name, url in lanes.items()) + route("d0")
        with DaemonProcess(tmp_path, config) as daemon:
            stored = rounds(daemon, fake, list(lanes))
            assert all_delivered(daemon, (signal.id for signal in stored))
            copies = by_id(arrived(fake))
            owed = {signal.id: to[0] for signal in stored if (to := signal.to)}
            interrupted = {id_: attempts(daemon, id_, owed[id_]).count(INTERRUPTED) for id_ in copies}
        counts = fake.counts()
    assert (counts["limited"], counts["by_status"].keys()) == ({}, {"200"})
    assert set(counts["most_in_flight"].values()) == {1}
    assert copies.keys() == {signal.id for signal in stored}
    for id_, mine in copies.items():
        assert len(mine) <= 1 + interrupted[id_], mine
        assert all(copy.marked for copy in mine[1:]), mine
        assert not mine[0].marked or interrupted[id_], mine
    assert ROUNDS // 2 <= sum(interrupted.values()) <= ROUNDS * 10  # one message in flight
    print(f"{len(stored)} stored, {ROUNDS} kills, {sum(map(bool, interrupted.values()))} interrupted")
