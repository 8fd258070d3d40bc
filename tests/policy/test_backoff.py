from __future__ import annotations

from math import inf, isfinite

from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.backoff import Retry, backoff, ceiling

retries = st.builds(Retry, first=st.floats(0.001, 1e4), most=st.floats(0.001, 1e6))
attempts = st.integers(0, 10**9)
jitters = st.floats(0, 1, exclude_max=True)


@given(retries, attempts, jitters)
def test_backoff_is_in_the_upper_half_of_its_ceiling_for_any_number_of_attempts(
    retry: Retry, attempts: int, jitter: float
) -> None:
    wait = backoff(retry, attempts, jitter)
    assert isfinite(wait)
    assert ceiling(retry, attempts) / 2 <= wait <= ceiling(retry, attempts) <= retry.most


@given(retries, attempts)
def test_backoff_ceiling_never_falls(retry: Retry, attempts: int) -> None:
    assert ceiling(retry, attempts) <= ceiling(retry, attempts + 1)


@given(retries, attempts, jitters, jitters)
def test_backoff_is_drawn_evenly(retry: Retry, attempts: int, one: float, other: float) -> None:
    assert (backoff(retry, attempts, one) <= backoff(retry, attempts, other)) or one > other
    assert backoff(retry, attempts, 0.5) == ceiling(retry, attempts) * 0.75


def test_backoff_ceiling_doubles_from_first_to_longest() -> None:
    retry = Retry(first=1.0, most=60.0)
    assert [ceiling(retry, attempts) for attempts in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]


def test_backoff_ceiling_is_finite_for_huge_settings() -> None:
    assert ceiling(Retry(first=1.0, most=inf), 10**9) == 2.0**60
