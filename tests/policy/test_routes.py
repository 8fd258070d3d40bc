from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.signals import Signal
from tocsind.policy import routes
from tocsind.policy.delivery import Priority
from tocsind.policy.routes import (
    ROUTE_KEYS,
    Route,
    Router,
    Thresholds,
    applying,
    chain,
    delays,
    matches,
    priority_of,
    route,
)

graphs = st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefg"), max_size=4))


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"priority": "low", "confidence": 0.99}, Priority.LOW),
        ({"priority": "urgent"}, Priority.URGENT),
        ({"priority": "high"}, Priority.HIGH),
        ({"priority": "normal"}, Priority.NORMAL),
        ({"confidence": 0.91}, Priority.URGENT),
        ({"confidence": 0.90}, Priority.HIGH),
        ({"confidence": 0.81}, Priority.HIGH),
        ({"confidence": 0.80}, Priority.NORMAL),
        ({"confidence": 0.0}, Priority.NORMAL),
        ({}, Priority.NORMAL),
    ],
)
def test_priority_is_the_signals_own_or_follows_confidence(fields: dict[str, Any], priority: Priority) -> None:
    assert priority_of(Signal("t", **fields), Thresholds()) is priority


def test_priority_uses_configured_thresholds() -> None:
    assert priority_of(Signal("t", confidence=0.5), Thresholds(urgent=0.4, high=0.1)) is Priority.URGENT


@pytest.mark.parametrize(
    ("when", "matched"),
    [
        ({}, True),
        ({"tier": ("free", "premium")}, True),
        ({"tier": ("free",)}, False),
        ({"priority": ("urgent", "high")}, True),
        ({"priority": ("low",)}, False),
        ({"tag": ("eth", "btc")}, True),
        ({"tag": ("eth",)}, False),
        ({"strategy": ("ma",), "symbol": ("BTCUSDT",), "action": ("BUY",), "source": ("bot",), "key": ("k",)}, True),
        ({"strategy": ("ma",), "symbol": ("ETHUSDT",)}, False),
    ],
)
def test_rule_matches_when_each_key_has_one_of_its_values(when: dict[str, tuple[str, ...]], *, matched: bool) -> None:
    signal = Signal(
        "t", tier="premium", strategy="ma", symbol="BTCUSDT", action="BUY", source="bot", key="k", tags=["btc", "spot"]
    )
    assert matches(Route(("d",), when), signal, Priority.HIGH) is matched


@pytest.mark.parametrize("key", [key for key in ROUTE_KEYS if key != "priority"])
def test_rule_does_not_match_missing_field(key: str) -> None:
    assert not matches(Route(("d",), {key: ("", "None", "x")}), Signal("t"), Priority.NORMAL)


def test_first_matching_rule_wins() -> None:
    rules = (Route(("never",), {"tier": ("x",)}), Route(("first",)), Route(("second",)))
    assert route(Signal("t"), Priority.NORMAL, rules) == ("first",)


def test_continue_goes_on_and_names_each_destination_once() -> None:
    rules = (Route(("b", "a"), continues=True), Route(("a", "c")), Route(("d",)))
    assert route(Signal("t"), Priority.NORMAL, rules) == ("b", "a", "c")


def test_signal_without_matching_rule_has_no_destination() -> None:
    assert route(Signal("t"), Priority.NORMAL, (Route(("a",), {"tier": ("x",)}),)) == ()


def test_signals_own_destinations_precede_rules() -> None:
    assert route(Signal("t", to=["b", "a", "b"]), Priority.NORMAL, (Route(("c",)),)) == ("b", "a")


@given(graphs, st.sampled_from("abcdefg"))
def test_chain_has_each_reachable_destination_once_without_itself(graph: dict[str, list[str]], start: str) -> None:
    found = chain(start, graph)
    reachable, new = set[str](), {start}
    while new:
        new = {name for each in new for name in graph.get(each, [])} - reachable
        reachable |= new
    assert sorted(found) == sorted(reachable - {start})


def test_chain_is_walked_depth_first() -> None:
    graph = {"a": ["b", "c"], "b": ["d"], "d": ["a", "e"]}
    assert chain("a", graph) == ("b", "d", "e", "c")


def test_chain_ends_at_a_loop() -> None:
    assert chain("a", {"a": ["b"], "b": ["a", "b"]}) == ("b",)
    assert chain("a", {"a": ["a"]}) == ()
    assert chain("unknown", {}) == ()


KEYS = ("tier", "strategy", "symbol", "priority", "tag")
values = st.sampled_from(["a", "b", "high"])
rules = st.lists(
    st.builds(
        Route,
        st.tuples(st.sampled_from("xyz")),
        st.dictionaries(st.sampled_from(KEYS), st.tuples(values), max_size=2),
        st.booleans(),
    ),
    max_size=4,
)
signals = st.builds(
    lambda fields: Signal("t", **fields),
    st.fixed_dictionaries(
        {},
        optional={
            "tier": values,
            "strategy": values,
            "symbol": values,
            "confidence": st.sampled_from([0.1, 0.85, 0.95]),
            "priority": st.sampled_from(["high", "low"]),
            "tags": st.lists(values, max_size=2),
            "to": st.lists(st.sampled_from("xyz"), max_size=2),
        },
    ),
)


@given(rules, st.lists(signals, max_size=8))
def test_router_cache_gives_same_result_as_rules(rules: list[Route], signals: list[Signal]) -> None:
    router = Router(Thresholds(), rules)
    for signal in signals:
        priority = priority_of(signal, Thresholds())
        assert router(signal) == (priority, route(signal, priority, rules))


def test_router_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_CACHED", 2)
    router = Router(Thresholds(), [Route(("a",), {"key": ("k1", "k5")})])
    found = [router(Signal("t", key=f"k{number}"))[1] for number in range(8)]
    assert found == [("a",) if number in {1, 5} else () for number in range(8)]
    assert len(router._cache) <= 2


def test_delay_belongs_to_its_route() -> None:
    free = Route(("free", "log"), {"tier": ("free",)}, continues=True, delay=900.0)
    rules = [free, Route(("log", "all")), Route(("never",), delay=5.0)]
    assert delays(Signal("t", tier="free"), Priority.LOW, rules) == {"free": 900.0, "log": 900.0}
    assert delays(Signal("t", tier="paid"), Priority.LOW, rules) == {}
    assert delays(Signal("t", tier="free", to=["free"]), Priority.LOW, rules) == {}


def test_router_returns_the_delays_of_its_routes() -> None:
    held = Router(Thresholds(), [Route(("a",), delay=5.0)])
    assert held.delays(Signal("t"), Priority.LOW) == {"a": 5.0}
    assert Router(Thresholds(), [Route(("a",))]).delays(Signal("t"), Priority.LOW) == {}


def test_applying_rules_have_their_numbers_and_end_with_the_first_that_does_not_continue() -> None:
    rules = [Route(("a",), {"tier": ("free",)}), Route(("b",), continues=True), Route(("c",)), Route(("d",))]
    assert [number for number, _ in applying(Signal("t", tier="x"), Priority.LOW, rules)] == [2, 3]
    assert list(applying(Signal("t"), Priority.LOW, rules[:1])) == []
