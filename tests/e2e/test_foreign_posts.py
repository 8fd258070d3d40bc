"""Other programs post in the channel and use up its limit; only a 429 shows that.

Windows are a twentieth of the real ones: 30 in 3 s, of which the other program uses ten.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import all_delivered, arrived
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import Signal

SCALE = "0.05"
LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"'}  # the limits of the fake, so scaled
THEIRS = 0.3  # seconds between two posts of the other program
MANY = 800  # signals: 80 messages, at 20 in 3 s


def channel(daemon: DaemonProcess) -> dict[str, Any]:
    """The channel's window in `status`."""
    (found,) = [each for each in daemon.destination("d")["limits"]["windows"] if each["name"] == "channel"]
    window: dict[str, Any] = found
    return window


@pytest.mark.slow
def test_foreign_posts_in_channel_cost_few_429s_and_lose_no_signal(tmp_path: Path) -> None:
    with FakeProcess("--limits", SCALE) as fake:
        config = discord("d", fake.webhooks[0]["url"], **LIMITS) + route("d")
        with DaemonProcess(tmp_path, config).start() as daemon:
            fake.control("POST", "foreign", {"every": THEIRS})
            signals = [Signal(f"signal {n}", priority="low") for n in range(MANY)]
            daemon.client.send_many(signals)
            assert all_delivered(daemon, (signal.id for signal in signals))
            window = channel(daemon)
            output = daemon.tocsin("status").stdout
            trips = daemon.destination("d")["trips"]
            daemon.kill()
            assert channel(daemon.start())["count"] == window["count"]  # the learned limit survives the restart
        counts, copies = fake.counts(), arrived(fake)
    print(
        f"{counts['limited']} of {counts['posts']} posts, {counts['foreign']} of others; learned {window['count']} of 30"
    )
    assert [copy.id for copy in copies] == [signal.id for signal in signals]
    assert set(counts["limited"]) == {"shared"}  # the webhook's own limit was never reached
    assert counts["limited"]["shared"] <= 6
    assert 10 <= window["count"] < 30
    assert re.search(rf"\bchannel \d+/{window['count']}\b", output)
    assert trips == 0
