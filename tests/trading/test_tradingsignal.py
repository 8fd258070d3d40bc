"""What a strategy raises: read tolerantly, ordered totally, and told as a signal."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from enum import Enum, StrEnum
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trading.odd_values import Hostile, Nameless, anything, signals_of, steady

from tocsin.errors import InvalidSignal
from tocsin.trading import TradingSignal

NOON = 1_700_000_000.0


class Side(Enum):
    BUY = 1


class Word(StrEnum):
    SELL = "Sell"


def test_trading_signal_puts_levels_into_fields() -> None:
    raised = TradingSignal(
        "AAPL", "BUY", 100.5, 0.93, NOON, "ma", stop=98, target=104.5, key="t1", metadata={"rsi": 33}
    )
    signal = raised.to_signal(tier="premium", strategy="other")
    assert signal.as_dict() | {"id": ""} == {
        "title": "BUY AAPL", "symbol": "AAPL", "action": "BUY", "price": 100.5, "confidence": 0.93, "timestamp": NOON,
        "strategy": "ma", "tier": "premium", "key": "t1", "fields": {"stop": 98, "target": 104.5, "rsi": 33}, "id": "",
    }  # fmt: skip


def test_trading_signal_accepts_synonyms() -> None:
    raised = TradingSignal(
        "AAPL", signal_type="BUY", strategy_name="ma", stop_loss=98, take_profit=104, user_tier="free"
    )
    assert (raised.action, raised.strategy, raised.stop, raised.target, raised.tier) == ("BUY", "ma", 98, 104, "free")
    assert TradingSignal("AAPL", "SELL", side="BUY").action == "SELL"  # its own name goes first


def test_trading_signal_puts_unknown_names_into_fields() -> None:
    assert TradingSignal("AAPL", rsi=33, metadata={"adx": 20}).to_signal().fields == {"adx": 20, "rsi": 33}
    assert TradingSignal("AAPL", rsi=33, metadata="a note").to_signal().fields == {"metadata": "a note", "rsi": 33}


@pytest.mark.parametrize(("action", "word"), [(Side.BUY, "BUY"), (Word.SELL, "Sell"), ("hold", "hold")])
def test_trading_signal_reads_an_enum_by_its_value(action: Any, word: str) -> None:
    assert TradingSignal("AAPL", action).to_signal().action == word


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "1, 2"),
        ({"a": [1, {"b": None}]}, "a: [1, [b: None]]"),
        (2**70, str(2**70)),
        (datetime(2024, 1, 31, tzinfo=UTC), "2024-01-31 00:00:00+00:00"),
        (list(range(1000)), ", ".join(map(str, range(50))) + ", …"),
        ("see https://discord.com/api/webhooks/12/token", "see ****"),
    ],
)
def test_trading_signal_shows_any_metadata_as_text(value: Any, said: str) -> None:
    assert TradingSignal("AAPL", metadata={"it": value}).to_signal().fields == {"it": said}


def test_trading_signal_shows_a_hostile_object_by_its_type() -> None:
    assert TradingSignal("AAPL", metadata={"it": Hostile()}).to_signal().fields == {"it": "Hostile"}


@pytest.mark.parametrize("nothing", [float("nan"), None])
def test_trading_signal_leaves_a_missing_level_out(nothing: Any) -> None:
    assert TradingSignal("AAPL", stop=nothing, target=2.0).to_signal().fields == {"target": 2.0}


@pytest.mark.parametrize(
    ("given_", "held"),
    [
        ({"symbol": 5}, {"symbol": "5", "title": "5"}),
        ({"symbol": "A", "confidence": 93}, {"confidence": 0.93}),
        ({"symbol": "A", "confidence": "0.9"}, {"confidence": 0.9}),
        ({"symbol": "A", "confidence": "high"}, {"confidence": None, "fields": {"confidence": "high"}}),
        ({"symbol": "A", "price": float("nan")}, {"price": None, "fields": None}),
        ({"symbol": "A", "price": "64,000.50"}, {"price": 64000.5}),
        ({"symbol": "A", "action": 1}, {"action": "1", "title": "1 A"}),
        ({"symbol": "A", "expires": "soon"}, {"fields": {"expires": "soon"}}),
        ({"symbol": "A", "to": 5}, {"to": ["5"]}),
        ({"symbol": "A", "tags": "a,b"}, {"tags": ["a,b"]}),
        ({"symbol": "A", "attach": 5}, {"attach": None, "fields": {"attach": "5"}}),
        ({"symbol": "A", "source": 5}, {"source": "5"}),
        ({"symbol": "A", "priority": "very"}, {"priority": None, "fields": {"priority": "very"}}),
        ({"symbol": "A", "priority": "CRITICAL"}, {"priority": "urgent"}),
        ({"symbol": Hostile()}, {"title": "Hostile", "fields": {"symbol": "Hostile"}}),
        ({"action": "BUY"}, {"title": "BUY"}),
        ({"metadata": {"rsi": 33}}, {"title": "rsi: 33"}),
    ],
)
def test_trading_signal_reads_odd_values_as_send_does(given_: dict[str, Any], held: dict[str, Any]) -> None:
    signal = TradingSignal(**given_).to_signal()
    assert {name: getattr(signal, name) for name in held} == held


@pytest.mark.parametrize("given_", [{}, {"symbol": " "}, {"priority": "high"}, {"price": float("nan")}])
def test_trading_signal_that_is_empty_is_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignal):
        TradingSignal(**given_).to_signal()


def test_trading_signal_unreadable_value_leaves_the_one_for_every_alert() -> None:
    signal = TradingSignal("A", priority="very", expires=float("nan")).to_signal(priority="high", expires=90.0)
    assert (signal.priority, signal.expires, signal.fields) == ("high", 90.0, {"priority": "very"})


def test_trading_signal_of_an_object_or_mapping() -> None:
    foreign = SimpleNamespace(symbol="AAPL", signal_type=Side.BUY, confidence=0.5, created_by=Hostile())
    assert TradingSignal.of(foreign).to_signal().title == "BUY AAPL"
    foreign.id, foreign.tags, foreign.fields = 17, ["a"], {"rsi": 3}
    assert (TradingSignal.of(foreign).to_signal().tags, TradingSignal.of(foreign).to_signal().fields) == (
        ["a"],
        {"rsi": 3},
    )
    assert TradingSignal.of({"symbol": "AAPL", "rsi": 3}).to_signal().fields == {"rsi": 3}
    for item in ("AAPL", 5, None, [], {}, object(), Side.BUY, Hostile):
        with pytest.raises(InvalidSignal, match="symbol: is required"):
            TradingSignal.of(item)


def test_trading_signals_sort_by_confidence_then_time_then_unknown() -> None:
    ordered = [
        TradingSignal("A", confidence=0.9, timestamp=NOON * 1000 + 2000),
        TradingSignal("B", confidence=0.9, timestamp="2023-11-14T22:13:20Z"),
        TradingSignal("c", confidence=0.9, timestamp=-5),
        TradingSignal("C", confidence=0.9, timestamp="noon"),
        TradingSignal("D", confidence=0.2, timestamp=NOON + 5000),
        TradingSignal("E", confidence=None, timestamp=NOON),
        TradingSignal("F", confidence="high"),
    ]
    backwards = ordered[::-1]
    assert [each.symbol for each in sorted(backwards)] == list("ABcCDEF")
    assert ordered[0] < ordered[1] <= ordered[2] <= ordered[2]
    assert ordered[6] > ordered[5] >= ordered[4]
    assert ordered[0] != TradingSignal("A", confidence=0.9, timestamp=NOON * 1000 + 2000)
    with pytest.raises(TypeError):
        sorted([ordered[0], 5])  # type: ignore[type-var]


@given(st.lists(signals_of(anything)))
def test_trading_signals_with_any_values_can_be_sorted(raised: list[TradingSignal]) -> None:
    assert Counter(map(id, sorted(raised))) == Counter(map(id, raised))


@given(st.lists(signals_of(steady)))
def test_trading_signals_sorted_are_in_order(raised: list[TradingSignal]) -> None:
    assert all(before <= after for before, after in pairwise(sorted(raised)))


@given(st.dictionaries(st.text(max_size=8), anything), anything)
def test_trading_signal_can_be_made_of_any_values(values: dict[str, Any], metadata: Any) -> None:
    known = {"self", "symbol", "action", "price", "confidence", "timestamp", "strategy", "metadata"}
    TradingSignal(metadata=metadata, **{name: value for name, value in values.items() if name not in known})


def test_trading_signal_values_override_the_defaults() -> None:
    said: dict[str, Any] = {
        "to": ["ops"], "tags": ["a"], "source": "box", "link": "https://x.y", "attach": "/tmp/a.png", "tier": "free",
        "priority": "low", "expires": 5.0, "key": "k", "id": "01HQZX3Y5N8R7W2K4M6P9T1V3B",
    }  # fmt: skip
    every = {"to": ["all"], "tags": ["x"], "source": "y", "tier": "premium", "priority": "high", "expires": 90.0}
    for raised in (TradingSignal("A", **said), TradingSignal.of({"symbol": "A", **said})):
        signal = raised.to_signal(**every)
        assert {name: getattr(signal, name) for name in said} == said
        assert signal.fields is None
    assert TradingSignal("A").to_signal(**every).to == ["all"]


def test_trading_signal_shows_an_id_that_is_not_a_ulid() -> None:
    assert TradingSignal("A", id=17).to_signal().fields == {"id": 17}


def test_trading_signal_accepts_hostile_metadata() -> None:
    odd = Nameless()
    for raised in (TradingSignal("A", metadata=odd), TradingSignal("A", metadata={"metadata": odd})):
        assert raised.to_signal().fields == {"metadata": "Nameless"}
    assert TradingSignal("A", stop=odd, x=odd, fields=odd, id=odd).to_signal().fields is not None


def test_trading_signal_repr_shows_its_values() -> None:
    assert (
        repr(TradingSignal("AAPL", "BUY", stop=98))
        == "TradingSignal(symbol='AAPL', action='BUY', stop=98, metadata={})"
    )
