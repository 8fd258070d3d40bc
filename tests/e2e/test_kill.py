"""kill -9 at random moments, also while the daemon starts, while producers send."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.e2e.kills import assert_kills_lose_nothing
from tests.harness import DaemonProcess, FakeProcess, discord, route


def test_five_kills_lose_nothing_and_repeat_only_requests_in_flight(
    tmp_path: Path, fake: FakeProcess, kill_chance: random.Random
) -> None:
    assert_kills_lose_nothing(tmp_path, fake, 5, kill_chance)


@pytest.mark.slow
def test_many_kills_lose_nothing_and_repeat_only_requests_in_flight(
    tmp_path: Path, fake: FakeProcess, kill_chance: random.Random
) -> None:
    assert_kills_lose_nothing(tmp_path, fake, 25, kill_chance)


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
