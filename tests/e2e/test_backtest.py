"""A backtest over six years of real prices, its trades told live, while the daemon is killed and restarted under it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from docs.examples.ma_unified import Bar, MovingAverages
from tests.e2e.witness import all_delivered, arrived, by_id
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route
from tests.trading.prices import APPLE, apple

from tocsin import Client
from tocsin.trading import SignalAggregator, TradingSignal

ALIKE = "[priorities]\nurgent = 1.0\nhigh = 1.0\n"  # one lane's order is the order; confidence must not send some ahead


class Told(NamedTuple):
    """What the strategy raised, and the id under which it was taken."""

    signal: TradingSignal
    id: str
    state: str


class Backtest:
    """Feeds bars to the strategy, and what it raises to the aggregator, one bar at a time."""

    def __init__(self, client: Client) -> None:
        self._strategy = MovingAverages(APPLE, 5, 15, 50)
        self._aggregator = SignalAggregator({"ma_unified": 1.0}, {"discord_alerts": True}, client=client)
        self.told: list[Told] = []

    def run(self, bars: list[Bar]) -> list[Told]:
        """What was raised over `bars`."""
        before = len(self.told)
        for bar in bars:
            raised = self._strategy.on_bar(bar)
            self._aggregator.aggregate_signals({"ma_unified": raised})
            assert self._aggregator.flush(PATIENCE)
            receipts = self._aggregator.report.receipts
            self.told += (Told(each, receipt.id, receipt.state) for each, receipt in zip(raised, receipts, strict=True))
        return self.told[before:]


def interrupted(backtest: Backtest, daemon: DaemonProcess, end: Callable[[], object], bars: list[Bar]) -> None:
    """The daemon ends with deliveries on their way, is missed for a while, and comes back."""
    assert {each.state for each in backtest.run(bars[: len(bars) // 2])} == {"stored"}
    end()
    assert {each.state for each in backtest.run(bars[len(bars) // 2 :])} == {"spooled"}
    daemon.start()


def test_what_arrives_is_what_the_strategy_raised_in_its_order_through_a_kill_and_a_restart(
    tmp_path: Path, fake: FakeProcess
) -> None:
    bars = apple()
    config = ALIKE + discord("d", fake.webhooks[0]["url"]) + route("d")
    with (
        DaemonProcess(tmp_path, config).start() as daemon,
        Client(daemon.socket, timeout=PATIENCE, spool=daemon.spool) as client,
    ):
        daemon.env["TOCSIN_SPOOL"] = str(daemon.spool)
        backtest = Backtest(client)
        interrupted(backtest, daemon, daemon.kill, bars[:500])
        interrupted(backtest, daemon, daemon.stop, bars[500:1000])
        backtest.run(bars[1000:])
        assert all_delivered(daemon, [each.id for each in backtest.told])
        ledger = [daemon.client.why(each.id)["signal"] for each in backtest.told]
        restarts = daemon.status()
    assert restarts["counters"]["notifications_failed"] == 0
    assert len(backtest.told) > 80
    assert ledger == [_as_told(each) for each in backtest.told]
    assert_in_order(fake, backtest.told)


def _as_told(each: Told) -> dict[str, Any]:
    return each.signal.to_signal(id=each.id).as_dict()


def assert_in_order(fake: FakeProcess, told: list[Told]) -> None:
    """Each arrived, in the order in which it was raised; twice only what was in flight when the daemon was killed, and marked."""
    copies = arrived(fake)
    assert list(by_id(copies)) == [each.id for each in told]
    assert [copy.title for copy in copies if not copy.marked] == [f"{each.signal.action} {APPLE}" for each in told]
    assert all(not first.marked and all(copy.marked for copy in more) for first, *more in by_id(copies).values())
