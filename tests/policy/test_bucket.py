from __future__ import annotations

from math import inf, nextafter

from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import Bucket, Rate

rates = st.builds(Rate, st.integers(1, 12), st.floats(0.25, 120))
starts = st.floats(-1e6, 1e6)  # a monotonic clock begins anywhere
pauses = st.lists(st.floats(0, 200), max_size=60)


@given(rates, starts, pauses)
def test_no_window_holds_more_than_count_when_ready_at_is_asked_first(
    rate: Rate, start: float, pauses: list[float]
) -> None:
    bucket, now, taken = Bucket(rate), start, list[float]()
    for pause in pauses:
        now = bucket.ready_at(now + pause)
        bucket.take(now)
        taken.append(now)
    for first, one_more_than_count in zip(taken, taken[rate.count :], strict=False):
        assert one_more_than_count >= first + rate.per


@given(rates, starts, pauses, st.integers(0, 12))
def test_ready_at_is_the_first_instant_at_which_it_says_now(
    rate: Rate, start: float, pauses: list[float], keep: int
) -> None:
    bucket, now = Bucket(rate), start
    for pause in pauses:
        now += pause
        bucket.take(now)
    when = bucket.ready_at(now, keep)
    assert when >= now
    if when == inf:
        assert keep >= rate.count
    else:
        assert bucket.ready_at(when, keep) == when
        assert bucket.left(when) > keep
    if now < when < inf:
        just_before = nextafter(when, -inf)
        assert bucket.ready_at(just_before, keep) == when


@given(rates, starts)
def test_asking_changes_nothing(rate: Rate, now: float) -> None:
    bucket = Bucket(rate)
    bucket.take(now)
    answers = {(bucket.ready_at(now), bucket.ready_at(now, 1), bucket.left(now)) for _ in range(3)}
    assert len(answers) == 1


def test_each_token_comes_back_by_itself() -> None:
    bucket = Bucket(Rate(2, 10.0))
    assert [bucket.left(0.0), bucket.ready_at(0.0)] == [2, 0.0]
    bucket.take(0.0)
    bucket.take(4.0)
    assert [bucket.left(4.0), bucket.ready_at(4.0)] == [0, 10.0]
    assert [bucket.left(10.0), bucket.ready_at(10.0)] == [1, 10.0]
    bucket.take(10.0)
    assert [bucket.left(10.0), bucket.ready_at(10.0)] == [0, 14.0]
    assert bucket.left(30.0) == 2


def test_a_full_bucket_is_no_second_helping() -> None:
    """The classic bucket refills while it is emptied, and lets twice its count through in one window."""
    bucket = Bucket(Rate(30, 60.0))
    for _ in range(30):
        assert bucket.ready_at(100.0) == 100.0
        bucket.take(100.0)
    assert bucket.ready_at(159.9) == 160.0


def test_what_must_be_kept_is_not_offered() -> None:
    bucket = Bucket(Rate(3, 10.0))
    bucket.take(0.0)
    assert bucket.ready_at(1.0, keep=1) == 1.0
    bucket.take(1.0)
    assert bucket.ready_at(2.0, keep=1) == 10.0
    assert bucket.ready_at(2.0) == 2.0


def test_a_reserve_as_large_as_the_bucket_leaves_nothing_ever() -> None:
    assert Bucket(Rate(2, 10.0)).ready_at(0.0, keep=2) == inf


def test_what_was_taken_beyond_the_last_token_is_counted_and_not_refused() -> None:
    bucket = Bucket(Rate(2, 10.0))
    for now in (0.0, 1.0, 2.0):
        bucket.take(now)
    assert bucket.ready_at(3.0) == 11.0
    assert bucket.left(3.0) == 0


def test_a_rate_reads_as_people_say_it() -> None:
    assert str(Rate(30, 60.0)) == "30 in 60 s"
    assert str(Rate(1, 0.5)) == "1 in 0.5 s"
