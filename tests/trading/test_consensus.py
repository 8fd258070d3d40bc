"""Who agrees with whom, beside a second way to say the same: slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.trading.consensus import Consensus, Vote, consensus_of

WEIGHTS = {"ma": 0.6, "rsi": 0.4, "mute": 0.0}


def said(strategy: str, action: str, time: float | None = 0.0, symbol: str = "BTC") -> Vote:
    return Vote(strategy, symbol, action, time)


def one(*voices: Vote, window: float = 60) -> Consensus:
    return consensus_of(voices, WEIGHTS, window)[0]


def test_consensus_of_a_single_strategy_is_full() -> None:
    assert one(said("ma", "BUY")) == Consensus(1, ("ma",), ())


def test_consensus_counts_disagreement_by_weight() -> None:
    assert one(said("ma", "BUY"), said("rsi", "SELL")) == Consensus(0.6, ("ma",), ("rsi",))
    assert one(said("rsi", "SHORT"), said("ma", "long ")) == Consensus(0.4, ("rsi",), ("ma",))


def test_consensus_counts_agreement() -> None:
    found = one(said("ma", "BUY"), said("rsi", "BUY"), said("other", "SELL"))
    assert found == Consensus(0.5, ("ma", "rsi"), ("other",))  # who has no weight weighs 1


def test_consensus_gives_a_strategy_one_vote() -> None:
    assert one(said("ma", "BUY"), *[said("rsi", "SELL")] * 9).share == pytest.approx(0.6)
    assert one(said("ma", "BUY"), said("ma", "SELL", 5)) == Consensus(1, ("ma",), ())


def test_consensus_ignores_an_undecided_strategy() -> None:
    assert one(said("ma", "BUY"), said("rsi", "SELL"), said("rsi", "BUY", 5)) == Consensus(1, ("ma",), ())


@pytest.mark.parametrize("word", ["HOLD", "CLOSE", "", "whatever"])
def test_consensus_knows_only_buy_and_sell_as_opposites(word: str) -> None:
    assert one(said("ma", word), said("rsi", "SELL")) == Consensus(1, ("ma",), ())
    assert one(said("rsi", "SELL"), said("ma", word)) == Consensus(1, ("rsi",), ())


def test_consensus_separates_symbols_and_times() -> None:
    assert one(said("ma", "BUY"), said("rsi", "SELL", symbol="ETH")).disagree == ()
    assert one(said("ma", "BUY"), said("rsi", "SELL", 60)).disagree == ("rsi",)
    assert one(said("ma", "BUY"), said("rsi", "SELL", 60.1)).disagree == ()


def test_consensus_treats_signals_without_time_as_simultaneous() -> None:
    assert one(said("ma", "BUY", None), said("rsi", "SELL", None)).disagree == ("rsi",)
    assert one(said("ma", "BUY", None), said("rsi", "SELL", 0.0)).disagree == ()


def test_consensus_with_zero_weights_is_full() -> None:
    assert consensus_of([said("a", "BUY"), said("b", "SELL")], {"a": 0, "b": 0}, 1)[0].share == 1
    assert one(said("mute", "BUY"), said("ma", "SELL")).share == 0


def slowly(voices: Sequence[Vote], weights: Mapping[str, float], window: float) -> list[Consensus]:
    found = []
    for me in voices:
        near = [
            each
            for each in voices
            if each.symbol == me.symbol
            and me.side
            and (each.time == me.time if None in {each.time, me.time} else abs(each.time - me.time) <= window)  # type: ignore[operator]
        ]
        same, contrary = ({each.strategy for each in near if each.side == side} for side in (me.side, -me.side))
        agree, disagree = (same - contrary) | {me.strategy}, contrary - same - {me.strategy}
        against, both = (sum(weights.get(name, 1.0) for name in names) for names in (disagree, disagree | agree))
        found.append(Consensus(1 - against / both if both else 1.0, tuple(sorted(agree)), tuple(sorted(disagree))))
    return found


voices = st.builds(
    Vote,
    strategy=st.sampled_from(["ma", "rsi", "mute", "other"]),
    symbol=st.sampled_from(["BTC", "ETH"]),
    action=st.sampled_from(["BUY", "SELL", "HOLD"]),
    time=st.none() | st.integers(0, 300).map(float),
)


@given(st.lists(voices, max_size=30), st.integers(0, 120))
def test_consensus_window_agrees_with_pairwise_comparison(given_: list[Vote], window: int) -> None:
    quick, slow = consensus_of(given_, WEIGHTS, window), slowly(given_, WEIGHTS, window)
    assert [(each.agree, each.disagree) for each in quick] == [(each.agree, each.disagree) for each in slow]
    assert [each.share for each in quick] == pytest.approx([each.share for each in slow])
