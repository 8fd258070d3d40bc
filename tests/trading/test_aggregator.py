"""The aggregator: what it returns, what it reports, and what it hands over, when."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.servers import Server, answering, stored
from tests.harness import PATIENCE, DaemonProcess
from tests.trading.odd_values import Hostile, Nameless, anything, signals_of, steady

from tocsin import Client, Signal
from tocsin.trading import SignalAggregator, TradingSignal, submit_queue

ON = {"discord_alerts": True}
NOON = 1_700_000_000.0


def buy(symbol: str = "BTC", confidence: float = 0.9, timestamp: Any = NOON, **others: Any) -> TradingSignal:
    return TradingSignal(symbol, "BUY", 100.0, confidence, timestamp, **others)


def arrived(daemon: DaemonProcess, aggregator: SignalAggregator) -> list[dict[str, Any]]:
    """What the daemon has of the last batch, in the order in which it was handed over."""
    assert aggregator.flush(PATIENCE)
    return [daemon.client.why(receipt.id)["signal"] for receipt in aggregator.report.receipts]


def test_the_same_objects_come_back_the_surest_and_latest_first() -> None:
    sure, late, early, unknown = (
        buy(),
        buy(confidence=0.5, timestamp=NOON + 1),
        buy(confidence=0.5),
        buy(confidence=0.5, timestamp="?"),
    )
    found = SignalAggregator().aggregate_signals({"ma": [unknown, late], "rsi": [early, sure]})
    assert list(map(id, found)) == list(map(id, [sure, late, early, unknown]))


def test_a_signal_may_be_anything_that_has_a_signals_parts() -> None:
    items = [buy(confidence=0.9), Signal("SELL ETH", confidence=0.8), {"symbol": "SOL", "confidence": 0.7}]
    assert SignalAggregator().aggregate_signals({"ma": iter(items)}) == items


def test_what_is_no_signal_is_reported_with_its_place_and_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    aggregator = SignalAggregator()
    valid = buy()
    given_: Any = {"ma": [valid, TradingSignal()], "rsi": 5, "x": "text", "y": [Hostile()]}
    assert aggregator.aggregate_signals(given_) == [valid]
    assert list(map(str, aggregator.report.rejected)) == [
        "ma[1]: symbol: is required: this signal is empty",
        "rsi[0]: signals: must be a list of signals, not int",
        "x[0]: signals: must be a list of signals, not str",
        "y[0]: signal: cannot be read: ZeroDivisionError: symbol",
    ]
    assert aggregator.report.rejected[0].item is given_["ma"][1]
    assert len(caplog.records) == 4


@pytest.mark.parametrize("nonsense", [None, 5, "text", [buy()]])
def test_nonsense_instead_of_signals_is_reported_too(nonsense: Any) -> None:
    aggregator = SignalAggregator()
    assert aggregator.aggregate_signals(nonsense) == []
    assert len(aggregator.report.rejected) == 1


def test_what_does_not_say_what_it_is_costs_nobody_else(nobody: Client) -> None:
    odd, good, later = Nameless(), buy(), buy("ETH", 0.5)
    aggregator = SignalAggregator(odd, odd, client=nobody)  # type: ignore[arg-type]
    assert aggregator.aggregate_signals({"ma": [odd, good], "x": odd, "rsi": [later]}) == [good, later]  # type: ignore[dict-item]
    assert [each.place for each in aggregator.report.rejected] == ["ma[0]", "x[0]"]
    assert aggregator.aggregate_signals(odd) == []  # type: ignore[arg-type]
    assert len(aggregator.report.rejected) == 1


def test_what_is_said_for_every_alert_holds_for_our_own_signals_too_unless_they_say_otherwise(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    client = Client(daemon.socket, timeout=PATIENCE, spool=daemon.spool)
    (tmp_path / "a.png").write_bytes(b"picture")
    mapping = {"symbol": "B", "tier": "free", "tags": ["m"], "attach": tmp_path / "a.png"}
    with SignalAggregator({}, {**ON, "tier": "premium", "tags": ["all"]}, client=client) as aggregator:
        aggregator.aggregate_signals({"ma": [Signal("A"), Signal("C", tier="free"), mapping]})
        first, second, third = arrived(daemon, aggregator)
    assert [each["tier"] for each in (first, second, third)] == ["premium", "free", "free"]
    assert (first["tags"], third["tags"], third["attach"]) == (["all"], ["m"], "a.png")
    assert "attach_note" not in third


def test_what_came_before_an_iterator_broke_counts() -> None:
    def breaking() -> Iterator[TradingSignal]:
        yield buy()
        raise ZeroDivisionError("no")

    aggregator = SignalAggregator()
    assert len(aggregator.aggregate_signals({"ma": breaking()})) == 1
    assert str(aggregator.report.rejected[0]) == "ma[1]: signals: cannot be read on: ZeroDivisionError: no"


@given(
    st.dictionaries(
        st.text(max_size=3) | st.integers(), st.lists(signals_of(anything) | anything, max_size=6), max_size=4
    ),
    st.booleans(),
)
def test_whatever_comes_in_the_valid_of_it_comes_out_sorted_and_the_rest_is_reported(given_: Any, alerts: bool) -> None:
    aggregator = SignalAggregator({}, {"discord_alerts": alerts}, client=Client("/nobody/there", spool=False))
    found = aggregator.aggregate_signals(given_)
    rejected = [each.item for each in aggregator.report.rejected]
    everything = [item for items in given_.values() for item in items]
    assert Counter(map(id, [*found, *rejected])) == Counter(map(id, everything))
    told = [verdict.signal for verdict in aggregator.report.verdicts]
    assert list(map(id, told)) == list(map(id, found))
    assert aggregator.flush(PATIENCE)


@given(st.lists(signals_of(steady)))
def test_what_comes_out_is_in_order(raised: list[TradingSignal]) -> None:
    assert all(before <= after for before, after in pairwise(SignalAggregator().aggregate_signals({"ma": raised})))


@given(st.lists(st.builds(buy, confidence=st.floats(0, 1), timestamp=anything, metadata=anything, stop=anything)))
def test_no_timestamp_and_no_field_spoils_a_signal(raised: list[TradingSignal]) -> None:
    aggregator = SignalAggregator()
    found = aggregator.aggregate_signals({"ma": raised})
    assert (len(found), aggregator.report.rejected) == (len(raised), ())


def test_alerts_are_handed_over_oldest_first_with_all_that_a_trader_wants(
    daemon: DaemonProcess, client: Client
) -> None:
    with SignalAggregator({}, {**ON, "tier": "premium"}, client=client) as aggregator:
        aggregator.aggregate_signals(
            {"ma": [buy(confidence=0.9, timestamp=NOON + 60), buy(confidence=0.5, stop=98, target=110, key="t")]}
        )
        first, second = arrived(daemon, aggregator)
    assert (first["timestamp"], second["timestamp"]) == (NOON, NOON + 60)
    assert (first["fields"], first["key"], first["strategy"], first["tier"]) == (
        {"stop": 98, "target": 110},
        "t",
        "ma",
        "premium",
    )


def test_of_the_same_moment_what_was_raised_first_is_handed_over_first(daemon: DaemonProcess, client: Client) -> None:
    with SignalAggregator({}, ON, client=client) as aggregator:
        exit_, entry = buy(confidence=0.5, key="old"), buy(confidence=0.9, key="new")
        assert aggregator.aggregate_signals({"ma": [exit_, entry]}) == [entry, exit_]
        assert [alert["key"] for alert in arrived(daemon, aggregator)] == ["old", "new"]


def test_without_being_asked_nothing_is_handed_over_and_everything_is_judged(nobody: Client) -> None:
    aggregator = SignalAggregator(client=nobody)
    aggregator.aggregate_signals({"ma": [buy()]})
    assert aggregator.flush(PATIENCE)
    [verdict] = aggregator.report.verdicts
    assert (verdict.alerted, verdict.reason, aggregator.report.receipts) == (False, "alerts are off", [])


@pytest.mark.parametrize(
    ("config", "alerted"),
    [
        ({}, {"ma", "rsi"}),
        ({"conflict": "strongest"}, {"ma"}),
        ({"conflict": "none"}, set()),
        ({"min_confidence": 0.5}, {"ma"}),
        ({"min_confidence": 0.5, "window": 10}, {"ma", "rsi"}),
    ],
)
def test_weights_agreement_and_thresholds_decide_what_is_alerted_and_nothing_else(
    nobody: Client, config: dict[str, Any], alerted: set[str]
) -> None:
    aggregator = SignalAggregator({"ma": 0.6, "rsi": 0.4}, {**ON, **config}, client=nobody)
    up, down = buy(), TradingSignal("BTC", "SELL", 100.0, 0.95, NOON + 20)
    assert aggregator.aggregate_signals({"ma": [up], "rsi": [down]}) == [down, up]
    found = {verdict.strategy: verdict for verdict in aggregator.report.verdicts}
    assert {name for name, verdict in found.items() if verdict.alerted} == alerted
    assert {name for name, verdict in found.items() if verdict.reason is None} == alerted
    if "window" not in config:
        assert found["ma"].score == pytest.approx(0.9 * 0.6)
        assert found["rsi"].disagree == ("ma",)


def test_an_alert_says_who_else_spoke(daemon: DaemonProcess, client: Client) -> None:
    with SignalAggregator({}, ON, client=client) as aggregator:
        down = TradingSignal("BTC", "SELL", 100.0, 0.5, NOON)
        aggregator.aggregate_signals({"ma": [buy()], "rsi": [buy()], "break\udcffout": [down]})
        assert arrived(daemon, aggregator)[0]["fields"] == {
            "agree": "ma, rsi",
            "disagree": "break?out",
        }


def test_a_daemon_that_does_not_answer_keeps_nobody(tmp_path: Path) -> None:
    answered = threading.Event()

    def late(request: dict[str, Any]) -> Any:
        answered.wait(20)
        return stored(request)

    server = Server(tmp_path / "s", answering(late))
    with Client(server.path, timeout=20) as client, SignalAggregator({}, ON, client=client) as aggregator:
        aggregator.aggregate_signals({"ma": [buy()]})
        assert aggregator.report.receipts == []
        assert not aggregator.flush(0)
        answered.set()
        assert aggregator.flush(20)
        assert [receipt.state for receipt in aggregator.report.receipts] == ["stored"]
    server.stop()


def test_what_waits_for_a_slow_daemon_is_handed_over_at_once(tmp_path: Path) -> None:
    asked, answered = threading.Event(), threading.Event()
    sizes: list[int] = []

    def late(request: dict[str, Any]) -> Any:
        sizes.append(len(request["signals"]))
        asked.set()
        answered.wait(20)
        return stored(request)

    server = Server(tmp_path / "s", answering(late))
    with Client(server.path, timeout=20) as client, SignalAggregator({}, ON, client=client) as aggregator:
        aggregator.aggregate_signals({"ma": [buy()]})
        assert asked.wait(20)
        reports = []
        for _ in range(9):
            aggregator.aggregate_signals({"ma": [buy(), buy()]})
            reports.append(aggregator.report)
        answered.set()
        assert aggregator.flush(20)
    server.stop()
    assert sizes == [1, 18]
    assert [len(report.receipts) for report in reports] == [2] * 9


def test_an_alert_that_reached_nobody_is_logged_once(nobody: Client, caplog: pytest.LogCaptureFixture) -> None:
    aggregator = SignalAggregator({}, ON, client=nobody)
    for _ in range(3):
        aggregator.aggregate_signals({"ma": [buy(), buy()]})
        assert aggregator.flush(PATIENCE)
    assert [receipt.state for receipt in aggregator.report.receipts] == ["dropped"] * 2
    assert [record.message.partition(": ")[0] for record in caplog.records] == ["alert 'BUY BTC' was dropped"]


def test_aggregator_drops_alerts_when_the_queue_is_full(nobody: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = submit_queue.submit_queue()
    monkeypatch.setattr(queue, "_capacity", 3)
    running, held = threading.Event(), threading.Event()

    def hold() -> None:
        running.set()
        held.wait(20)

    assert queue.put(hold, 2)
    assert running.wait(20)
    assert queue.put(hold, 2)
    aggregator = SignalAggregator({}, ON, client=nobody)
    aggregator.aggregate_signals({"ma": [buy(), buy()]})
    assert [receipt.reason for receipt in aggregator.report.receipts] == ["too many signals wait already"] * 2
    held.set()
    assert aggregator.flush(PATIENCE)


def test_a_strict_client_costs_the_batch_that_failed_and_not_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, daemon: DaemonProcess
) -> None:
    with Client(tmp_path / "nobody", strict=True) as client:
        aggregator = SignalAggregator({}, ON, client=client)
        aggregator.aggregate_signals({"ma": [buy()]})
        assert aggregator.flush(PATIENCE)
        assert "alerts were not handed over" in caplog.text
        client.socket = daemon.socket
        client.timeout = 20
        aggregator.aggregate_signals({"ma": [buy()]})
        assert len(arrived(daemon, aggregator)) == 1


def test_the_same_signal_raised_again_is_told_once_where_that_is_wished(daemon: DaemonProcess, client: Client) -> None:
    with SignalAggregator({}, {**ON, "once": True}, client=client) as aggregator:
        states: list[str] = []
        for others in ({}, {}, {"stop": 98}, {"timestamp": None}, {"timestamp": None}):
            aggregator.aggregate_signals({"ma": [buy(**others)], "rsi": [buy(timestamp=NOON + len(states))]})
            assert aggregator.flush(PATIENCE)
            states += [receipt.state for receipt in aggregator.report.receipts]
    assert Counter(states) == {"stored": 9, "duplicate": 1}


def test_cleaning_up_may_happen_as_often_as_one_likes_and_ends_nothing(daemon: DaemonProcess, client: Client) -> None:
    aggregator = SignalAggregator(MappingProxyType({"ma": 1.0}), ON, client=client)
    for _ in range(2):
        aggregator.cleanup()
        aggregator.cleanup()
        aggregator.aggregate_signals({"ma": [buy()]})
        assert len(arrived(daemon, aggregator)) == 1


def test_no_thread_is_begun_and_none_is_left_by_making_aggregators() -> None:
    before = threading.active_count()
    made = [SignalAggregator({}, ON) for _ in range(50)]
    assert threading.active_count() <= before
    del made


def test_a_job_that_raises_does_not_end_the_queue() -> None:
    def job() -> NoReturn:
        raise ZeroDivisionError

    own, done = submit_queue.SubmitQueue(), threading.Event()
    assert own.put(job, 1)
    assert own.put(done.set, 1)
    assert own.flush(20)
    assert done.is_set()
