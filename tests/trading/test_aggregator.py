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


def test_aggregator_returns_the_same_objects_by_confidence_and_time() -> None:
    sure, late, early, unknown = (
        buy(),
        buy(confidence=0.5, timestamp=NOON + 1),
        buy(confidence=0.5),
        buy(confidence=0.5, timestamp="?"),
    )
    found = SignalAggregator().aggregate_signals({"ma": [unknown, late], "rsi": [early, sure]})
    assert list(map(id, found)) == list(map(id, [sure, late, early, unknown]))


def test_aggregator_accepts_any_object_with_a_signals_attributes() -> None:
    items = [buy(confidence=0.9), Signal("SELL ETH", confidence=0.8), {"symbol": "SOL", "confidence": 0.7}]
    assert SignalAggregator().aggregate_signals({"ma": iter(items)}) == items


def test_aggregator_reports_rejected_inputs_with_place_and_reason(caplog: pytest.LogCaptureFixture) -> None:
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
def test_aggregator_reports_an_input_that_is_not_a_list_of_signals(nonsense: Any) -> None:
    aggregator = SignalAggregator()
    assert aggregator.aggregate_signals(nonsense) == []
    assert len(aggregator.report.rejected) == 1


def test_aggregator_accepts_other_signals_beside_a_hostile_object(no_daemon: Client) -> None:
    odd, good, later = Nameless(), buy(), buy("ETH", 0.5)
    aggregator = SignalAggregator(odd, odd, client=no_daemon)  # type: ignore[arg-type]
    assert aggregator.aggregate_signals({"ma": [odd, good], "x": odd, "rsi": [later]}) == [good, later]  # type: ignore[dict-item]
    assert [each.place for each in aggregator.report.rejected] == ["ma[0]", "x[0]"]
    assert aggregator.aggregate_signals(odd) == []  # type: ignore[arg-type]
    assert len(aggregator.report.rejected) == 1


def test_aggregator_defaults_apply_to_signals_without_own_values(daemon: DaemonProcess, tmp_path: Path) -> None:
    client = Client(daemon.socket, timeout=PATIENCE, spool=daemon.spool)
    (tmp_path / "a.png").write_bytes(b"picture")
    mapping = {"symbol": "B", "tier": "free", "tags": ["m"], "attach": tmp_path / "a.png"}
    with SignalAggregator({}, {**ON, "tier": "premium", "tags": ["all"]}, client=client) as aggregator:
        aggregator.aggregate_signals({"ma": [Signal("A"), Signal("C", tier="free"), mapping]})
        first, second, third = arrived(daemon, aggregator)
    assert [each["tier"] for each in (first, second, third)] == ["premium", "free", "free"]
    assert (first["tags"], third["tags"], third["attach"]) == (["all"], ["m"], "a.png")
    assert "attach_note" not in third


def test_aggregator_keeps_signals_before_an_iterator_raised() -> None:
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
def test_aggregator_sorts_any_valid_input_and_reports_the_rest(given_: Any, alerts: bool) -> None:
    aggregator = SignalAggregator({}, {"discord_alerts": alerts}, client=Client("/absent/there", spool=False))
    found = aggregator.aggregate_signals(given_)
    rejected = [each.item for each in aggregator.report.rejected]
    everything = [item for items in given_.values() for item in items]
    assert Counter(map(id, [*found, *rejected])) == Counter(map(id, everything))
    told = [verdict.signal for verdict in aggregator.report.verdicts]
    assert list(map(id, told)) == list(map(id, found))
    assert aggregator.flush(PATIENCE)


@given(st.lists(signals_of(steady)))
def test_aggregator_output_is_sorted(raised: list[TradingSignal]) -> None:
    assert all(before <= after for before, after in pairwise(SignalAggregator().aggregate_signals({"ma": raised})))


@given(st.lists(st.builds(buy, confidence=st.floats(0, 1), timestamp=anything, metadata=anything, stop=anything)))
def test_aggregator_accepts_any_timestamp_and_field(raised: list[TradingSignal]) -> None:
    aggregator = SignalAggregator()
    found = aggregator.aggregate_signals({"ma": raised})
    assert (len(found), aggregator.report.rejected) == (len(raised), ())


def test_alerts_are_handed_over_oldest_first_with_their_fields(daemon: DaemonProcess, client: Client) -> None:
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


def test_alerts_of_the_same_time_keep_their_order(daemon: DaemonProcess, client: Client) -> None:
    with SignalAggregator({}, ON, client=client) as aggregator:
        exit_, entry = buy(confidence=0.5, key="old"), buy(confidence=0.9, key="new")
        assert aggregator.aggregate_signals({"ma": [exit_, entry]}) == [entry, exit_]
        assert [alert["key"] for alert in arrived(daemon, aggregator)] == ["old", "new"]


def test_aggregator_without_alerts_decides_and_hands_nothing_over(no_daemon: Client) -> None:
    aggregator = SignalAggregator(client=no_daemon)
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
def test_alerts_depend_on_weights_agreement_and_thresholds(
    no_daemon: Client, config: dict[str, Any], alerted: set[str]
) -> None:
    aggregator = SignalAggregator({"ma": 0.6, "rsi": 0.4}, {**ON, **config}, client=no_daemon)
    up, down = buy(), TradingSignal("BTC", "SELL", 100.0, 0.95, NOON + 20)
    assert aggregator.aggregate_signals({"ma": [up], "rsi": [down]}) == [down, up]
    found = {verdict.strategy: verdict for verdict in aggregator.report.verdicts}
    assert {name for name, verdict in found.items() if verdict.alerted} == alerted
    assert {name for name, verdict in found.items() if verdict.reason is None} == alerted
    if "window" not in config:
        assert found["ma"].score == pytest.approx(0.9 * 0.6)
        assert found["rsi"].disagree == ("ma",)


def test_alert_names_agreeing_and_disagreeing_strategies(daemon: DaemonProcess, client: Client) -> None:
    with SignalAggregator({}, ON, client=client) as aggregator:
        down = TradingSignal("BTC", "SELL", 100.0, 0.5, NOON)
        aggregator.aggregate_signals({"ma": [buy()], "rsi": [buy()], "break\udcffout": [down]})
        assert arrived(daemon, aggregator)[0]["fields"] == {
            "agree": "ma, rsi",
            "disagree": "break?out",
        }


def test_aggregator_does_not_wait_for_a_hung_daemon(tmp_path: Path) -> None:
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


def test_aggregator_hands_queued_batches_over_together(tmp_path: Path) -> None:
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


def test_aggregator_logs_a_dropped_alert_once(no_daemon: Client, caplog: pytest.LogCaptureFixture) -> None:
    aggregator = SignalAggregator({}, ON, client=no_daemon)
    for _ in range(3):
        aggregator.aggregate_signals({"ma": [buy(), buy()]})
        assert aggregator.flush(PATIENCE)
    assert [receipt.state for receipt in aggregator.report.receipts] == ["dropped"] * 2
    assert [record.message.partition(": ")[0] for record in caplog.records] == ["alert 'BUY BTC' was dropped"]


def test_aggregator_drops_alerts_when_the_queue_is_full(no_daemon: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = submit_queue.submit_queue()
    monkeypatch.setattr(queue, "_capacity", 3)
    running, held = threading.Event(), threading.Event()

    def hold() -> None:
        running.set()
        held.wait(20)

    assert queue.put(hold, 2)
    assert running.wait(20)
    assert queue.put(hold, 2)
    aggregator = SignalAggregator({}, ON, client=no_daemon)
    aggregator.aggregate_signals({"ma": [buy(), buy()]})
    assert [receipt.reason for receipt in aggregator.report.receipts] == ["too many signals wait already"] * 2
    held.set()
    assert aggregator.flush(PATIENCE)


def test_aggregator_goes_on_after_a_strict_client_raised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, daemon: DaemonProcess
) -> None:
    with Client(tmp_path / "absent", strict=True) as client:
        aggregator = SignalAggregator({}, ON, client=client)
        aggregator.aggregate_signals({"ma": [buy()]})
        assert aggregator.flush(PATIENCE)
        assert "alerts were not handed over" in caplog.text
        client.socket = daemon.socket
        client.timeout = 20
        aggregator.aggregate_signals({"ma": [buy()]})
        assert len(arrived(daemon, aggregator)) == 1


def test_aggregator_once_sends_a_repeated_signal_once(daemon: DaemonProcess, client: Client) -> None:
    with SignalAggregator({}, {**ON, "once": True}, client=client) as aggregator:
        states: list[str] = []
        for others in ({}, {}, {"stop": 98}, {"timestamp": None}, {"timestamp": None}):
            aggregator.aggregate_signals({"ma": [buy(**others)], "rsi": [buy(timestamp=NOON + len(states))]})
            assert aggregator.flush(PATIENCE)
            states += [receipt.state for receipt in aggregator.report.receipts]
    assert Counter(states) == {"stored": 9, "duplicate": 1}


def test_aggregator_is_usable_after_cleanup(daemon: DaemonProcess, client: Client) -> None:
    aggregator = SignalAggregator(MappingProxyType({"ma": 1.0}), ON, client=client)
    for _ in range(2):
        aggregator.cleanup()
        aggregator.cleanup()
        aggregator.aggregate_signals({"ma": [buy()]})
        assert len(arrived(daemon, aggregator)) == 1


def test_aggregators_start_no_threads_when_made() -> None:
    before = threading.active_count()
    made = [SignalAggregator({}, ON) for _ in range(50)]
    assert threading.active_count() <= before
    del made


def test_submit_queue_goes_on_after_a_job_raised() -> None:
    def job() -> NoReturn:
        raise ZeroDivisionError

    own, done = submit_queue.SubmitQueue(), threading.Event()
    assert own.put(job, 1)
    assert own.put(done.set, 1)
    assert own.flush(20)
    assert done.is_set()
