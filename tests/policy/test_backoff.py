from __future__ import annotations

from math import inf, isfinite

from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.backoff import Retry, backoff, ceiling

retries = st.builds(Retry, first=st.floats(0.001, 1e4), most=st.floats(0.001, 1e6))
attempts = st.integers(0, 10**9)
jitters = st.floats(0, 1, exclude_max=True)


@given(retries, attempts, jitters)
def test_a_wait_lies_below_its_ceiling_and_no_number_of_tries_overflows(
    retry: Retry, attempts: int, jitter: float
) -> None:
    wait = backoff(retry, attempts, jitter)
    assert isfinite(wait)
    assert 0 <= wait <= ceiling(retry, attempts) <= retry.most
    assert wait < ceiling(retry, attempts)


@given(retries, attempts)
def test_ceilings_never_fall(retry: Retry, attempts: int) -> None:
    assert ceiling(retry, attempts) <= ceiling(retry, attempts + 1)


@given(retries, attempts, jitters, jitters)
def test_the_wait_is_drawn_evenly(retry: Retry, attempts: int, one: float, other: float) -> None:
    assert (backoff(retry, attempts, one) <= backoff(retry, attempts, other)) or one > other
    assert backoff(retry, attempts, 0.5) == ceiling(retry, attempts) / 2


def test_ceilings_double_from_the_first_wait_to_the_longest() -> None:
    retry = Retry(first=1.0, most=60.0)
    assert [ceiling(retry, attempts) for attempts in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_ceiling_without_end_still_has_a_number() -> None:
    assert ceiling(Retry(first=1.0, most=inf), 10**9) == 2.0**60
