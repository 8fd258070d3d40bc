from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.reserve import Reserve


def keeps(*wishes: float, now: float = 60.0, count: int = 30) -> int:
    reserve = Reserve()
    for at in wishes:
        reserve.note_demand(at)
    return reserve.reserved(now, count, 60.0)


@pytest.mark.parametrize(
    ("count", "kept"), [(1, 0), (2, 1), (3, 1), (10, 1), (11, 1), (12, 2), (15, 2), (20, 3), (30, 4), (300, 40)]
)
def test_reserve_is_four_of_thirty_and_at_least_one_of_two(count: int, kept: int) -> None:
    assert keeps(count=count) == kept


def test_reserve_is_one_and_a_half_times_the_busiest_minute() -> None:
    assert keeps(*(2.0 * n for n in range(4))) == 6
    assert keeps(*(2.0 * n for n in range(8))) == 12


def test_reserve_busiest_minute_may_begin_anywhere() -> None:
    assert keeps(50.0, 52.0, 54.0, 56.0, 62.0, 64.0, 66.0, 68.0, now=130.0) == 12


def test_reserve_is_half_at_most() -> None:
    assert keeps(*(float(n) for n in range(60))) == 15
    assert keeps(*(float(n) for n in range(60)), count=5) == 3


def test_reserve_drops_demand_after_three_minutes() -> None:
    wishes = [2.0 * n for n in range(8)]
    assert keeps(*wishes, now=179.0) == 12
    assert keeps(*wishes, now=195.0) == 4


def test_reserve_counts_simultaneous_demand_once() -> None:
    assert keeps(*(1.0 + n / 1000 for n in range(100))) == 4


@given(st.lists(st.floats(0, 200), max_size=300), st.integers(1, 60))
def test_reserve_leaves_tokens_for_any_demand(wishes: list[float], count: int) -> None:
    kept = keeps(*sorted(wishes), now=200.0, count=count)
    assert 0 <= kept < max(count, 2)
    assert kept >= min(1, count - 1)
