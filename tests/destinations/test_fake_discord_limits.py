"""The limiter models are pure, so their laws are stated for any limit, any window and any sequence of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.testing.limits import Limit, Limiter, Model

models = st.sampled_from(list(Model))
limits = st.builds(Limit, models, st.integers(1, 12), st.sampled_from([0.02, 0.6, 1.0, 2.0, 60.0]))
# In windows: bursts at one instant, requests inside a window, and pauses longer than one.
steps = st.lists(st.one_of(st.just(0.0), st.floats(0.001, 0.5), st.floats(0.9, 2.5)), min_size=1, max_size=60)
starts = st.floats(0, 1e6)


def passed_at(limiter: Limiter, start: float, gaps: list[float]) -> list[float]:
    """Request after each gap (in windows); the instants that passed."""
    passed, now = [], start
    for gap in gaps:
        now += gap * limiter.window
        if limiter.take(now).passes:
            passed.append(now)
    return passed


def most_within(instants: list[float], span: float) -> int:
    """The most instants in any half-open interval of that length."""
    return max((sum(1 for other in instants if at <= other < at + span - 1e-6) for at in instants), default=0)


@given(limits, starts, steps)
def test_looking_changes_nothing(limit: Limit, start: float, gaps: list[float]) -> None:
    looked_at, left_alone = limit.build(), limit.build()
    now = start
    for gap in gaps:
        now += gap * limit.window
        looked_at.look(now)
        assert looked_at.take(now) == left_alone.take(now)


@given(limits, starts, steps)
def test_limit_has_nothing_left_exactly_when_the_next_request_is_refused(
    limit: Limit, start: float, gaps: list[float]
) -> None:
    limiter = limit.build()
    now = start
    for gap in gaps:
        now += gap * limit.window
        left = limiter.take(now).remaining
        assert limiter.look(now).passes is (left > 0)
        assert 0 <= left < limit.requests


@given(limits, starts, steps)
def test_client_that_waits_as_told_finds_more_room(limit: Limit, start: float, gaps: list[float]) -> None:
    limiter = limit.build()
    now = start
    for gap in gaps:
        now += gap * limit.window
        said = limiter.take(now)
        later = limiter.look(now + said.reset_after + 1e-6)
        assert later.passes
        assert later.remaining > said.remaining
        assert said.reset_after <= limit.window + 1e-6


@given(limits, starts)
def test_limit_without_requests_is_whole(limit: Limit, start: float) -> None:
    said = limit.build().look(start)
    assert (said.passes, said.remaining, said.reset_after) == (True, limit.requests, 0.0)


@given(limits, starts, st.integers(1, 50))
def test_requests_at_a_closed_limit_do_not_keep_it_closed(limit: Limit, start: float, blows: int) -> None:
    limiter = limit.build()
    said = [limiter.take(start) for _ in range(limit.requests + 1)][-1]
    assert not said.passes
    for _ in range(blows):
        assert limiter.take(start) == said


@given(limits, starts, steps)
def test_any_two_neighbouring_windows_hold_at_most_twice_the_limit(
    limit: Limit, start: float, gaps: list[float]
) -> None:
    passed = passed_at(limit.build(), start, gaps)
    assert most_within(passed, limit.window) <= 2 * limit.requests


@given(st.integers(1, 12), st.sampled_from([0.02, 2.0, 60.0]), starts, steps)
def test_sliding_log_holds_in_every_window(requests: int, window: float, start: float, gaps: list[float]) -> None:
    passed = passed_at(Limit(Model.SLIDING, requests, window).build(), start, gaps)
    assert most_within(passed, window) <= requests


@given(st.integers(1, 12), st.sampled_from([0.02, 2.0, 60.0]), starts, steps, st.floats(0.1, 3.0))
def test_leaky_bucket_passes_its_size_and_what_leaks(
    requests: int, window: float, start: float, gaps: list[float], spans: float
) -> None:
    passed = passed_at(Limit(Model.LEAKY, requests, window).build(), start, gaps)
    assert most_within(passed, spans * window) <= requests + requests * spans + 1e-3


def test_fixed_window_opens_with_the_first_request() -> None:
    limiter = Limit(Model.FIXED, 2, 10.0).build()
    assert limiter.take(9.0).reset_after == 10.0
    assert limiter.take(18.0).reset_after == 1.0
    assert not limiter.take(18.5).passes
    assert limiter.take(19.0).passes


def test_aligned_window_passes_twice_the_limit_across_its_edge() -> None:
    limiter = Limit(Model.ALIGNED, 5, 10.0).build()
    assert passed_at(limiter, 9.9, [0.0] * 6) == [9.9] * 5
    assert passed_at(limiter, 10.0, [0.0] * 6) == [10.0] * 5


def test_leaky_bucket_frees_one_request_at_a_time() -> None:
    limiter = Limit(Model.LEAKY, 5, 10.0).build()
    assert passed_at(limiter, 0.0, [0.0] * 6) == [0.0] * 5
    assert limiter.look(0.0).reset_after == pytest.approx(2.0)
    assert passed_at(limiter, 2.0, [0.0] * 2) == [2.0]


def test_limit_is_written_as_model_requests_and_seconds() -> None:
    assert Limit.parse("sliding:30/60") == Limit(Model.SLIDING, 30, 60.0)


@pytest.mark.parametrize("text", ["", "sliding", "round:30/60", "fixed:0/60", "fixed:5/0", "fixed:5/-1", "fixed:x/1"])
def test_limit_without_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Limit.parse(text)


def test_scaling_shortens_the_window_and_leaves_the_requests() -> None:
    limiter = Limit(Model.SLIDING, 30, 60.0).build(scale=0.01)
    assert limiter.limit == 30
    assert limiter.window == pytest.approx(0.6)
    assert repr(limiter) == "<SlidingLog 30 per 0.6 s>"
