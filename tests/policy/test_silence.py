from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.factories import NOW

from tocsin.signals import Signal
from tocsind.policy.delivery import Priority
from tocsind.policy.routes import ROUTE_KEYS, Route
from tocsind.policy.routes import matches as route_matches
from tocsind.policy.silence import LONGEST, MAX_PAIRS, MAX_TEXT, Pair, Silence, matches, next_end, problem

values = st.sampled_from(["a", "b"])
pairs = st.lists(st.tuples(st.sampled_from([*ROUTE_KEYS[2:-1]]), values), min_size=1, max_size=3)
signals = st.builds(lambda **fields: Signal("t", **fields), **{key: st.none() | values for key in ROUTE_KEYS[2:-1]})


def silence(*when: Pair, until: float = NOW + 60) -> Silence:
    return Silence("S", when, 1000, NOW, until, "deploy")


def applies(silence: Silence, now: float = NOW, **fields: object) -> bool:
    signal = Signal("t", **fields)
    return matches(silence, signal, Priority.NORMAL, signal.source, now)


@given(pairs, signals)
def test_silence_matches_as_a_route_for_each_of_its_pairs(when: list[Pair], signal: Signal) -> None:
    rules = [Route(("d",), {key: (value,)}) for key, value in when]
    expected = all(route_matches(rule, signal, Priority.NORMAL) for rule in rules)
    assert matches(silence(*when), signal, Priority.NORMAL, signal.source, NOW) is expected


def test_silence_needs_all_of_its_pairs() -> None:
    both = silence(("symbol", "BTC"), ("tier", "free"))
    assert applies(both, symbol="BTC", tier="free")
    assert not applies(both, symbol="BTC", tier="premium")
    assert applies(silence(("tag", "x"), ("tag", "y")), tags=["x", "y", "z"])
    assert not applies(silence(("tag", "x"), ("tag", "y")), tags=["x"])


def test_silence_by_priority_uses_the_priority_that_routing_found() -> None:
    low = silence(("priority", "low"))
    assert matches(low, Signal("t"), Priority.LOW, None, NOW)
    assert not matches(low, Signal("t"), Priority.HIGH, None, NOW)


def test_silence_ends_at_its_time() -> None:
    found = silence(("symbol", "BTC"), until=NOW + 60)
    assert applies(found, NOW + 59.9, symbol="BTC")
    assert not applies(found, NOW + 60, symbol="BTC")


def test_silence_spares_the_daemons_own_signals_unless_it_names_their_source() -> None:
    assert not applies(silence(("priority", "normal")), source="tocsin")
    assert not applies(silence(("tier", "free")), source="tocsin", tier="free")
    assert applies(silence(("source", "tocsin")), source="tocsin")


def test_silence_describes_itself_for_why() -> None:
    assert (
        silence(("symbol", "BTC"), ("tier", "free")).settlement()
        == "silence S of uid 1000 (symbol=BTC tier=free): deploy"
    )
    assert Silence("S", (("key", "k"),), 7, NOW, NOW + 1).settlement() == "silence S of uid 7 (key=k)"


@pytest.mark.parametrize(
    ("when", "seconds", "reason", "words"),
    [
        ([("symbol", "BTC")], 0.0, None, "more than no time"),
        ([("symbol", "BTC")], float("nan"), None, "more than no time"),
        ([("symbol", "BTC")], LONGEST + 1, None, "at most 366 days"),
        ([], 60.0, None, "at least one KEY=VALUE"),
        ([("tag", str(n)) for n in range(MAX_PAIRS + 1)], 60.0, None, "at most 20"),
        ([("symbol", "B" * (MAX_TEXT + 1))], 60.0, None, "at most 256 characters"),
        ([("symbol", "BTC")], 60.0, "r" * (MAX_TEXT + 1), "at most 256 characters"),
        ([("tier", "a"), ("colour", "red")], 60.0, None, "unknown key 'colour'"),
        ([("priority", "loud")], 60.0, None, "no priority is called 'loud'"),
        ([("symbol", "BTC"), ("symbol", "ETH")], 60.0, None, "two values for symbol"),
    ],
)
def test_problem_names_what_is_wrong(when: list[Pair], seconds: float, reason: str | None, words: str) -> None:
    assert words in str(problem(when, seconds, reason))


def test_problem_accepts_every_key_and_several_tags() -> None:
    when = [(key, "low" if key == "priority" else "x") for key in ROUTE_KEYS]
    assert problem([*when, ("tag", "y")], LONGEST, "why") is None


def test_next_end_is_the_nearest_that_is_still_to_come() -> None:
    found = [silence(("key", "k"), until=NOW + end) for end in (-5, 30, 10)]
    assert next_end(found, NOW) == NOW + 10
    assert next_end(found, NOW + 30) == inf
