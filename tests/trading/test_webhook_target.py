"""The webhook that a program brings along: used where the daemon permits it, never in the way of an alert, and never told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, file, route, until

from tocsin import Client
from tocsin.trading import SignalAggregator, TradingSignal

PERMITTED = "[daemon]\nclient-webhooks = true\n"
PLAIN = file() + route("local-file")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """It permits programs to bring webhooks along."""
    with DaemonProcess(tmp_path, PERMITTED + PLAIN) as process:
        yield process


@pytest.fixture
def aggregator(daemon: DaemonProcess, fake: FakeProcess) -> Iterator[SignalAggregator]:
    config = {"discord_alerts": True, "discord_webhook_url": fake.webhooks[0]["url"]}
    with Client(daemon.socket, timeout=PATIENCE, spool=daemon.spool) as client:
        yield SignalAggregator({}, config, client=client)


def told(daemon: DaemonProcess, aggregator: SignalAggregator, **others: Any) -> list[str]:
    """Where an alert went."""
    aggregator.aggregate_signals({"ma": [TradingSignal("BTC", "BUY", 1.0, 0.9, **others)]})
    assert aggregator.flush(PATIENCE)
    [receipt] = aggregator.report.receipts
    if receipt.state == "spooled":
        daemon.env["TOCSIN_SPOOL"] = str(daemon.spool)
        daemon.start()
    daemon.settled(receipt.id)
    return [each["destination"] for each in daemon.client.why(receipt.id)["deliveries"]]


def test_alerts_go_to_the_client_webhook_where_permitted(
    daemon: DaemonProcess, aggregator: SignalAggregator, fake: FakeProcess, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.start()
    [first], [second] = told(daemon, aggregator), told(daemon, aggregator)
    assert first == second
    assert first.startswith("client-")
    assert len(fake.embeds()) == 2
    assert caplog.records == []


def test_alert_with_its_own_destination_goes_there(daemon: DaemonProcess, fake: FakeProcess) -> None:
    daemon.start()
    config = {"discord_alerts": True, "discord_webhook_url": fake.webhooks[0]["url"], "to": "local-file"}
    with Client(daemon.socket, timeout=PATIENCE) as client:
        assert told(daemon, SignalAggregator({}, config, client=client)) == ["local-file"]


def test_spooled_alerts_go_to_the_registered_webhook(daemon: DaemonProcess, aggregator: SignalAggregator) -> None:
    daemon.start()
    where = told(daemon, aggregator)
    daemon.kill()
    assert told(daemon, aggregator) == where


def test_alerts_go_by_routes_where_client_webhooks_are_not_permitted(
    daemon: DaemonProcess, aggregator: SignalAggregator, fake: FakeProcess, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.configure(PLAIN)
    daemon.start()
    assert told(daemon, aggregator) == told(daemon, aggregator) == ["local-file"]
    [record] = caplog.records
    assert "client-webhooks" in record.message
    for secret in (fake.webhooks[0]["url"], fake.webhooks[0]["url"].rpartition("/")[2]):
        assert secret not in caplog.text


def test_alerts_go_by_routes_after_the_webhook_was_removed(daemon: DaemonProcess, aggregator: SignalAggregator) -> None:
    daemon.start()
    [name] = told(daemon, aggregator)
    (daemon.state / "webhooks" / name).unlink()
    daemon.configure(PLAIN)
    daemon.reload()
    until(lambda: name not in [each["name"] for each in daemon.status()["destinations"]])
    assert told(daemon, aggregator) == ["local-file"]


def test_webhook_is_registered_when_the_daemon_is_back(daemon: DaemonProcess, aggregator: SignalAggregator) -> None:
    assert told(daemon, aggregator) == ["local-file"]
    [name] = told(daemon, aggregator)
    assert name.startswith("client-")
