"""A backtest over six years of real prices that sends each trade, while the daemon is killed and restarted."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from docs.examples.ma_unified import MovingAverages
from tests.e2e.assertions import history, shown
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until
from tests.trading.prices import APPLE, apple

from tocsin import Client
from tocsin.trading import SignalAggregator, TradingSignal


class Sent(NamedTuple):
    """A signal of the strategy, and the id and state of its receipt."""

    signal: TradingSignal
    id: str
    state: str


class Backtest:
    """Feeds one bar at a time to the strategy, and its signals to the aggregator."""

    def __init__(self, daemon: DaemonProcess, client: Client) -> None:
        self._daemon = daemon
        self._bars = iter(apple())
        self._strategy = MovingAverages(APPLE, 5, 15, 50)
        # one priority for all: confidence must not change the order
        config = {"discord_alerts": True, "priority": "normal"}
        self._aggregator = SignalAggregator({"ma_unified": 1.0}, config, client=client)
        self.sent: list[Sent] = []

    def run(self, bars: int | None = None) -> set[str]:
        """Run over `bars` bars, or all; returns the states of the receipts. A stored signal is delivered before the next bar."""
        states = set()
        for bar in islice(self._bars, bars):
            raised = self._strategy.on_bar(bar)
            for each in self._tell(raised):
                states.add(each.state)
                if each.state == "stored":
                    self._daemon.settled(each.id)
        return states

    def run_until(self, action: str) -> None:
        """Run until the strategy sends this action, which is not awaited."""
        for bar in self._bars:
            raised = self._strategy.on_bar(bar)
            new = self._tell(raised)
            if raised and raised[-1].action == action:
                return
            self._daemon.settled(*(each.id for each in new))

    def _tell(self, raised: list[TradingSignal]) -> list[Sent]:
        self._aggregator.aggregate_signals({"ma_unified": raised})
        assert self._aggregator.flush(PATIENCE)
        receipts = self._aggregator.report.receipts
        new = [Sent(each, receipt.id, receipt.state) for each, receipt in zip(raised, receipts, strict=True)]
        self.sent += new
        return new


def test_backtest_shows_each_trade_as_one_live_message_despite_kill_and_restart(
    tmp_path: Path, fake: FakeProcess
) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with (
        DaemonProcess(tmp_path, config).start() as daemon,
        Client(daemon.socket, timeout=PATIENCE, spool=daemon.spool) as client,
    ):
        daemon.env["TOCSIN_SPOOL"] = str(daemon.spool)
        backtest = Backtest(daemon, client)
        assert backtest.run(400) == {"stored"}
        killed_in_an_edit(fake, daemon, backtest)
        assert backtest.run(150) == {"spooled"}
        daemon.start()
        until(lambda: daemon.status()["spool"]["files"] == 0)  # READY does not wait for ever until the outbox is read
        assert backtest.run(300) == {"stored"}
        assert daemon.stop() == 0
        assert backtest.run(150) == {"spooled"}
        daemon.start()
        backtest.run()
        assert set(daemon.settled(*(each.id for each in backtest.sent))) == {"delivered"}
        ledger = [daemon.client.why(each.id)["signal"] for each in backtest.sent]
    assert ledger == [_as_sent(each) for each in backtest.sent]
    assert_each_trade_is_one_message(fake, backtest.sent)


def killed_in_an_edit(fake: FakeProcess, daemon: DaemonProcess, backtest: Backtest) -> None:
    """kill -9 after Discord has saved the end of a trade, and before its response."""
    backtest.run_until("BUY")
    daemon.settled(backtest.sent[-1].id)
    fake.hold(saved=True)
    backtest.run_until("CLOSE")
    fake.await_held()
    daemon.kill()
    fake.release()


def _as_sent(each: Sent) -> dict[str, Any]:
    return each.signal.to_signal(id=each.id, priority="normal").as_dict()


def assert_each_trade_is_one_message(fake: FakeProcess, sent: list[Sent]) -> None:
    """Messages are in the order in which trades were opened; each shows the last state and lists the earlier ones."""
    trades: dict[str, list[TradingSignal]] = defaultdict(list)
    last: dict[str, str] = {}
    for each in sent:
        trades[each.signal.key].append(each.signal)
        last[each.signal.key] = each.id
    messages = fake.messages()
    assert len(trades) > 50
    assert [shown(message).id for message in messages] == list(last.values())
    assert not any(shown(message).marked for message in messages)  # a repeated edit is no duplicate
    for message, (*before, _) in zip(messages, trades.values(), strict=True):
        said = history(message)
        assert len(said) == len(before)
        assert all(f"{opened.action} {APPLE}" in line for opened, line in zip(before, said, strict=True))
    assert sum(message["edits"] for message in messages) > len(trades) / 2  # edited while the daemon ran
