"""What the documents say from which this room was asked for, run as it stands there, with the import changed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio
from tests.harness import PATIENCE, DaemonProcess, until

from tocsin.trading import MultiStrategyGenerator, SignalAggregator, TradingSignal

config: dict[str, Any] = {"max_retries": 3, "rate_limit": 30}


class Random:
    """Two signals, one with a time that old code could not sort."""

    def generate_signals(self, days: int) -> list[TradingSignal]:
        return [
            TradingSignal("BTCUSDT", "BUY", 64000.5, 0.93, "not a number"),
            TradingSignal("ETHUSDT", "SELL", 3000.5, 0.93, 1_700_000_000 + days),
        ]


strategy_configs = {"ma_unified": Random(), "rsi": {"strategy": Random, "weight": 0.4}}


@pytest.fixture(autouse=True)
def default_client(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds the daemon as a program does."""
    for name in ("TOCSIN_SOCKET", "TOCSIN_SPOOL"):
        monkeypatch.setenv(name, daemon.env[name])


def automatic() -> list[Any]:
    """The second document's example of the generator."""
    # Configure with Discord alerts
    aggregator_config = {
        "discord_alerts": True,
        "discord_webhook_url": "YOUR_WEBHOOK_URL",
        "discord_config": config,
    }

    # Alerts sent automatically without blocking
    generator = MultiStrategyGenerator(strategy_configs, aggregator_config)
    signals = generator.generate_aggregated_signals(days=30)
    generator.cleanup()
    return signals


def arrived(daemon: DaemonProcess, count: int) -> None:
    until(lambda: bool(daemon.status()["counters"]["notifications_sent"] >= count))
    assert daemon.status()["counters"]["notifications_sent"] == count


def test_aggregator_in_sync_code(daemon: DaemonProcess) -> None:
    found = automatic()
    assert [each.symbol for each in found] == ["ETHUSDT", "ETHUSDT", "BTCUSDT", "BTCUSDT"]
    arrived(daemon, 4)


def test_aggregator_under_asyncio(daemon: DaemonProcess) -> None:
    async def main() -> list[Any]:
        return automatic()

    assert len(asyncio.run(main())) == 4
    arrived(daemon, 4)


def test_aggregator_under_trio(daemon: DaemonProcess) -> None:
    async def main() -> list[Any]:
        return automatic()

    assert len(trio.run(main)) == 4
    arrived(daemon, 4)


def test_aggregators_in_ten_threads(daemon: DaemonProcess) -> None:
    with ThreadPoolExecutor(10) as pool:
        assert [len(found.result()) for found in [pool.submit(automatic) for _ in range(10)]] == [4] * 10
    arrived(daemon, 40)


def test_aggregator_shared_by_threads(daemon: DaemonProcess) -> None:
    with SignalAggregator({"ma": 0.6}, {"discord_alerts": True}) as aggregator:
        threads = [
            threading.Thread(target=aggregator.aggregate_signals, args=({"ma": Random().generate_signals(30)},))
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    arrived(daemon, 20)


PROGRAM = """
import multiprocessing, os, sys
from tocsin.trading import SignalAggregator, TradingSignal

aggregator = SignalAggregator({}, {"discord_alerts": True})

def work():
    aggregator.aggregate_signals({"ma": [TradingSignal("BTC", "BUY", 1.0, 0.9)]})

work()
children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
for child in children:
    child.start()
for child in children:
    child.join()
work()
"""


def test_aggregator_loses_nothing_at_exit_or_in_forked_children(daemon: DaemonProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=daemon.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    arrived(daemon, 5)


WITH_DEL = """
from tocsin.trading import SignalAggregator, TradingSignal

class Strategy:
    def __init__(self):
        self.aggregator = SignalAggregator({}, {"discord_alerts": True})

    def __del__(self):
        self.aggregator.aggregate_signals({"ma": [TradingSignal("ETHUSDT", "SELL", 2, 0.5)]})
        self.aggregator.cleanup()

strategy = Strategy()
strategy.aggregator.aggregate_signals({"ma": [TradingSignal("BTCUSDT", "BUY", 1, 0.5)]})
"""


def test_aggregator_cleanup_in_del_hands_alerts_over(daemon: DaemonProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_DEL], env=daemon.env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    arrived(daemon, 2)
