"""A backtest over six years of real prices, its trades told live, while the daemon is killed and restarted under it."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from docs.examples.ma_unified import MovingAverages
from tests.e2e.assertions import history, shown
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route
from tests.trading.prices import APPLE, apple

from tocsin import Client
from tocsin.trading import SignalAggregator, TradingSignal


class Told(NamedTuple):
    """What the strategy raised, and the id under which it was taken."""

    signal: TradingSignal
    id: str
    state: str


class Backtest:
    """Feeds bars to the strategy, and what it raises to the aggregator, one bar at a time."""

    def __init__(self, daemon: DaemonProcess, client: Client) -> None:
        self._daemon = daemon
        self._bars = iter(apple())
        self._strategy = MovingAverages(APPLE, 5, 15, 50)
        # all alike: one lane's order is the order, and confidence must not send some ahead
        config = {"discord_alerts": True, "priority": "normal"}
        self._aggregator = SignalAggregator({"ma_unified": 1.0}, config, client=client)
        self.told: list[Told] = []

    def run(self, bars: int | None = None) -> set[str]:
        """Over so many bars, or all that are left; the states of the receipts. What was stored is told before the next bar comes."""
        states = set()
        for bar in islice(self._bars, bars):
            raised = self._strategy.on_bar(bar)
            for each in self._tell(raised):
                states.add(each.state)
                if each.state == "stored":
                    self._daemon.settled(each.id)
        return states

    def run_until(self, action: str) -> None:
        """Until the strategy says this, which is left on its way."""
        for bar in self._bars:
            raised = self._strategy.on_bar(bar)
            new = self._tell(raised)
            if raised and raised[-1].action == action:
                return
            self._daemon.settled(*(each.id for each in new))

    def _tell(self, raised: list[TradingSignal]) -> list[Told]:
        self._aggregator.aggregate_signals({"ma_unified": raised})
        assert self._aggregator.flush(PATIENCE)
        receipts = self._aggregator.report.receipts
        new = [Told(each, receipt.id, receipt.state) for each, receipt in zip(raised, receipts, strict=True)]
        self.told += new
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
        assert backtest.run(300) == {"stored"}
        assert daemon.stop() == 0
        assert backtest.run(150) == {"spooled"}
        daemon.start()
        backtest.run()
        assert set(daemon.settled(*(each.id for each in backtest.told))) == {"delivered"}
        ledger = [daemon.client.why(each.id)["signal"] for each in backtest.told]
    assert ledger == [_as_told(each) for each in backtest.told]
    assert_each_trade_is_one_message(fake, backtest.told)


def killed_in_an_edit(fake: FakeProcess, daemon: DaemonProcess, backtest: Backtest) -> None:
    """kill -9 while Discord has the end of a trade, and has not said so."""
    backtest.run_until("BUY")
    daemon.settled(backtest.told[-1].id)
    fake.hold(saved=True)
    backtest.run_until("CLOSE")
    fake.await_held()
    daemon.kill()
    fake.release()


def _as_told(each: Told) -> dict[str, Any]:
    return each.signal.to_signal(id=each.id, priority="normal").as_dict()


def assert_each_trade_is_one_message(fake: FakeProcess, told: list[Told]) -> None:
    """In the order in which they were opened; each shows what was said last, and says what was said before."""
    trades: dict[str, list[TradingSignal]] = defaultdict(list)
    last: dict[str, str] = {}
    for each in told:
        trades[each.signal.key].append(each.signal)
        last[each.signal.key] = each.id
    messages = fake.messages()
    assert len(trades) > 50
    assert [shown(message).id for message in messages] == list(last.values())
    assert not any(shown(message).marked for message in messages)  # whoever edits twice has said it once
    for message, (*before, _) in zip(messages, trades.values(), strict=True):
        said = history(message)
        assert len(said) == len(before)
        assert all(f"{opened.action} {APPLE}" in line for opened, line in zip(before, said, strict=True))
    assert sum(message["edits"] for message in messages) > len(trades) / 2  # live, while the daemon was there
