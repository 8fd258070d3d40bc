"""Several strategies over the same days, and what one of them may do to the others: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess
from tests.trading.odd_values import Nameless

from tocsin import Client
from tocsin.trading import Failed, MultiStrategyGenerator, TradingSignal


def raised(symbol: str, confidence: float = 0.5) -> TradingSignal:
    return TradingSignal(symbol, "BUY", 1.0, confidence, 1.7e9)


class Steady:
    """A strategy as most are written."""

    made = 0

    def __init__(self, symbol: str = "BTC", confidence: float = 0.5) -> None:
        Steady.made += 1
        self.symbol, self.confidence = symbol, confidence

    def generate_signals(self, days: int) -> list[TradingSignal]:
        return [raised(self.symbol, self.confidence)] * (days // 30)


def breaking(days: int) -> Iterator[TradingSignal]:
    yield raised("ETH")
    raise ZeroDivisionError(f"after {days} days")


def symbols(found: list[Any]) -> list[str]:
    return [each.symbol for each in found]


def test_generator_accepts_objects_classes_and_functions() -> None:
    generator = MultiStrategyGenerator(
        {
            "object": Steady("A", 0.9),
            "class": {"strategy": Steady, "params": {"symbol": "B", "confidence": 0.8}, "weight": 0.5},
            "function": lambda days: [raised(f"C{days}", 0.7)],
            "nothing": lambda _: None,
            "off": {"strategy": Steady("D"), "enabled": False},
        }
    )
    assert symbols(generator.generate_aggregated_signals(days=30)) == ["A", "B", "C30"]
    assert generator.report.failed == ()
    before = Steady.made
    assert symbols(generator.generate_aggregated_signals(days=60)) == ["A", "A", "B", "B", "C60"]
    assert Steady.made == before  # a class is one strategy, which may remember


def test_generator_accepts_a_list_of_configurations() -> None:
    generator = MultiStrategyGenerator([{"name": "ma", "strategy": Steady}])
    assert symbols(generator.generate_aggregated_signals()) == ["BTC"]
    assert generator.report.verdicts[0].strategy == "ma"


def test_generator_keeps_signals_of_a_failed_strategy_and_runs_the_others(caplog: pytest.LogCaptureFixture) -> None:
    generator = MultiStrategyGenerator(
        {"bad": breaking, "worse": {"strategy": Steady, "params": {"wat": 1}}, "good": Steady("BTC", 0.9)}
    )
    for _ in range(2):
        assert symbols(generator.generate_aggregated_signals(days=30)) == ["BTC", "ETH"]
    bad, worse = generator.report.failed
    assert bad == Failed("bad", "ZeroDivisionError: after 30 days")
    assert "unexpected keyword argument 'wat'" in worse.reason
    assert len(caplog.records) == 2  # when it begins to fail, and not each time


@pytest.mark.parametrize("nonsense", [None, 5, "ma", {}, {"strategy": "ma"}])
def test_generator_reports_an_object_that_is_not_a_strategy(nonsense: Any) -> None:
    generator = MultiStrategyGenerator({"bad": nonsense, "good": Steady()})
    assert symbols(generator.generate_aggregated_signals()) == ["BTC"]
    assert [each.strategy for each in generator.report.failed] == ["bad"]


def test_generator_accepts_any_value_of_enabled() -> None:
    generator = MultiStrategyGenerator({"bad": {"strategy": Steady, "enabled": Nameless()}, "good": Steady()})
    assert symbols(generator.generate_aggregated_signals()) == ["BTC"]
    assert generator.report.failed == (Failed("bad", "ZeroDivisionError: bool"),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, ", not NoneType"),
        ("x", ", not str"),
        (5, ", not int"),
        ([{"strategy": Steady}], '; item 0 of the list has no "name"'),
        ([{"name": "a", "strategy": Steady}, ("b", Steady)], "; item 1 of the list is tuple, no mapping"),
    ],
)
def test_generator_refuses_an_invalid_configuration(given: Any, said: str) -> None:
    with pytest.raises(TypeError) as refused:
        MultiStrategyGenerator(given)
    with pytest.raises(TypeError, match="not Nameless"):
        MultiStrategyGenerator(Nameless())  # type: ignore[arg-type]
    wanted = 'the strategies must be {name: strategy} or a list of {"name": name, "strategy": strategy}'
    assert str(refused.value) == wanted + said


def test_generator_refuses_a_coroutine_function_without_a_warning() -> None:
    async def coming(days: int) -> list[TradingSignal]:
        return []

    generator = MultiStrategyGenerator({"ma": coming})
    assert generator.generate_aggregated_signals() == []
    assert "is a coroutine function" in generator.report.failed[0].reason


def test_generator_takes_weights_from_the_strategies(daemon: DaemonProcess, client: Client) -> None:
    strategies = {
        "ma": {"strategy": Steady, "weight": 3},
        "rsi": {"strategy": lambda _: [TradingSignal("BTC", "SELL", 1.0, 0.9, 1.7e9)], "weight": 1},
    }
    with MultiStrategyGenerator(
        strategies, {"discord_alerts": True, "conflict": "strongest"}, client=client
    ) as generator:
        assert len(generator.generate_aggregated_signals(days=30)) == 2
        assert generator.aggregator.flush(PATIENCE)
        generator.cleanup()
        [receipt] = generator.report.receipts
        assert daemon.client.why(receipt.id)["signal"]["title"] == "BUY BTC"
        assert [verdict.agreement for verdict in generator.report.verdicts] == [0.25, 0.75]
