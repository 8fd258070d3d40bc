"""Somebody else posts in our channel: its limit is theirs as well, and nothing but a 429 can tell us.

Windows are a twentieth of the real ones: 30 in 3 s, of which somebody takes ten.
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
LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"'}  # what the fake has, so scaled
THEIRS = 0.3  # seconds between two posts of somebody else
MANY = 800  # signals: 80 messages, at 20 in 3 s


def channel(daemon: DaemonProcess) -> dict[str, Any]:
    """The channel's window, as `status` shows it."""
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
            told = daemon.tocsin("status").stdout
            trips = daemon.destination("d")["trips"]
            daemon.kill()
            assert channel(daemon.start())["count"] == window["count"]  # nobody learns it twice
        counts, copies = fake.counts(), arrived(fake)
    print(
        f"{counts['limited']} of {counts['posts']} posts, {counts['foreign']} of others; learned {window['count']} of 30"
    )
    assert [copy.id for copy in copies] == [signal.id for signal in signals]
    assert set(counts["limited"]) == {"shared"}  # the webhook's own limit was never met
    assert counts["limited"]["shared"] <= 6
    assert 10 <= window["count"] < 30
    assert re.search(rf"\bchannel \d+/{window['count']}\b", told)
    assert trips == 0
