"""The whole path: a program, the daemon, Discord."""

from __future__ import annotations

from pathlib import Path

from tests.harness import DaemonProcess, FakeProcess, discord, route


def test_signal_reaches_channel(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        receipt = daemon.client.send("BUY BTCUSDT", price=64000.5, action="BUY")
        assert receipt.state == "stored"
        assert daemon.settled(receipt.id) == ["delivered"]
        assert daemon.stop() == 0
    assert fake.titles() == ["BUY BTCUSDT"]
