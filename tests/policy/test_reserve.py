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
def test_it_is_four_of_thirty_and_at_least_one_where_there_is_something_to_share(count: int, kept: int) -> None:
    assert keeps(count=count) == kept


def test_half_as_many_again_are_kept_as_were_wanted_in_the_busiest_minute() -> None:
    assert keeps(*(2.0 * n for n in range(4))) == 6
    assert keeps(*(2.0 * n for n in range(8))) == 12


def test_the_busiest_minute_may_begin_anywhere() -> None:
    assert keeps(50.0, 52.0, 54.0, 56.0, 62.0, 64.0, 66.0, 68.0, now=130.0) == 12


def test_half_at_most_is_kept() -> None:
    assert keeps(*(float(n) for n in range(60))) == 15
    assert keeps(*(float(n) for n in range(60)), count=5) == 3


def test_what_was_wanted_three_minutes_ago_is_forgotten() -> None:
    wishes = [2.0 * n for n in range(8)]
    assert keeps(*wishes, now=179.0) == 12
    assert keeps(*wishes, now=195.0) == 4


def test_wishes_of_one_moment_count_once_because_they_share_a_message() -> None:
    assert keeps(*(1.0 + n / 1000 for n in range(100))) == 4


@given(st.lists(st.floats(0, 200), max_size=300), st.integers(1, 60))
def test_however_many_wish_somebody_else_may_send_too(wishes: list[float], count: int) -> None:
    kept = keeps(*sorted(wishes), now=200.0, count=count)
    assert 0 <= kept < max(count, 2)
    assert kept >= min(1, count - 1)
