from __future__ import annotations

from itertools import pairwise
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import BORROW_TIME, EARLY_PACE, Bucket, Rate
from tocsind.policy.reserve import Reserve

rates = st.builds(Rate, st.integers(1, 12), st.floats(0.25, 120))
starts = st.floats(1e4, 1e6)  # a monotonic clock starts anywhere
pauses = st.lists(st.floats(0, 200), max_size=60)
journeys = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 5), st.floats(0, 1), st.booleans()), max_size=60)
SAME = 1e-6  # s; a smaller difference counts as the same instant


def sent(bucket: Bucket, now: float, *, expedited: bool = True) -> float:
    """Wait for the bucket, send, and get the answer at once; returns when."""
    now = bucket.ready_at(now, expedited=expedited)
    bucket.acquire(now, expedited=expedited)
    bucket.release(now, expedited=expedited)
    return now


@given(rates, starts, journeys)
def test_bucket_keeps_every_server_window_within_count_for_any_latency(
    rate: Rate, now: float, journeys: list[tuple[float, float, float, bool]]
) -> None:
    """The server counts at any instant between sending and answer."""
    bucket, counted = Bucket(rate, Reserve()), list[float]()
    for pause, latency, share, expedited in journeys:
        now = bucket.ready_at(now + pause, expedited=expedited)
        bucket.acquire(now, expedited=expedited)
        counted.append(now + share * latency)
        now += latency
        bucket.release(now, expedited=expedited)
    for first, one_more_than_count in zip(counted, counted[rate.count :], strict=False):
        assert one_more_than_count >= first + rate.per - SAME


@given(rates, starts, pauses, st.booleans())
def test_bucket_ready_at_is_the_first_ready_instant(
    rate: Rate, now: float, pauses: list[float], expedited: bool
) -> None:
    bucket = Bucket(rate, Reserve())
    for pause in pauses:
        now += pause
        bucket.acquire(now, expedited=expedited)
        bucket.release(now, expedited=expedited)
    when = bucket.ready_at(now, expedited=expedited)
    assert now <= when < inf
    assert bucket.ready_at(when, expedited=expedited) == when
    if when > now:
        assert bucket.ready_at(nextafter(when, -inf), expedited=expedited) == when


@given(rates, starts, st.lists(st.booleans(), max_size=40))
def test_bucket_reserve_is_borrowed_for_borrow_time_at_most(rate: Rate, now: float, who: list[bool]) -> None:
    bucket = Bucket(rate, Reserve())
    for expedited in who:
        now = sent(bucket, now, expedited=expedited)
        if not expedited:
            patient = sum(1 for at in bucket._normal if at + rate.per > now + BORROW_TIME + SAME)
            assert patient <= rate.count - bucket.reserved(now)


def test_bucket_ready_at_changes_nothing() -> None:
    bucket = Bucket(Rate(5, 10.0), Reserve())
    sent(bucket, 1.0)
    answers = {(bucket.ready_at(2.0), bucket.ready_at(2.0, expedited=False), bucket.used(2.0)) for _ in range(3)}
    assert answers == {(2.0, 2.0, 1)}


def test_bucket_tokens_come_back_one_by_one() -> None:
    bucket = Bucket(Rate(2, 10.0))
    assert [bucket.used(0.0), bucket.ready_at(0.0)] == [0, 0.0]
    sent(bucket, 0.0)
    sent(bucket, 4.0)
    assert [bucket.used(4.0), bucket.ready_at(4.0)] == [2, 10.0]
    assert [bucket.used(10.0), bucket.ready_at(10.0)] == [1, 10.0]
    sent(bucket, 10.0)
    assert [bucket.used(10.0), bucket.ready_at(10.0)] == [2, 14.0]
    assert bucket.used(30.0) == 0


def test_bucket_token_is_used_from_sending_and_comes_back_after_answer() -> None:
    bucket = Bucket(Rate(1, 10.0))
    bucket.acquire(0.0)
    assert [bucket.used(3.0), bucket.ready_at(3.0)] == [1, 13.0]
    bucket.release(4.0)
    assert [bucket.used(4.0), bucket.ready_at(4.0)] == [1, 14.0]


def test_bucket_never_permits_twice_its_count_in_a_window() -> None:
    """The classic bucket refills while it is emptied, and permits twice its count in one window."""
    bucket = Bucket(Rate(30, 60.0))
    for _ in range(30):
        assert sent(bucket, 100.0) == 100.0
    assert bucket.ready_at(159.9) == 160.0


def test_bucket_reserve_is_for_expedited_requests() -> None:
    bucket = Bucket(Rate(3, 10.0), Reserve())
    sent(bucket, 0.0, expedited=False)
    sent(bucket, 1.0, expedited=False)
    assert bucket.ready_at(2.0) == 2.0
    assert bucket.ready_at(2.0, expedited=False) == 10.0 - BORROW_TIME
    bucket.acquire(2.0, expedited=False)
    assert bucket.ready_at(3.0, expedited=False) == 10.0
    assert Bucket(Rate(3, 10.0)).reserved(0.0) == 0


def test_bucket_reserve_grows_with_demand() -> None:
    kept = Bucket(Rate(30, 60.0), Reserve())
    shared = Bucket(Rate(30, 60.0))
    for at in range(6):
        kept.note_demand(float(at))
        shared.note_demand(float(at))
    assert (kept.reserved(10.0), shared.reserved(10.0)) == (9, 0)


def test_bucket_counts_requests_beyond_the_last_token() -> None:
    bucket = Bucket(Rate(2, 10.0))
    for now in (0.0, 1.0, 2.0):
        bucket.acquire(now)
        bucket.release(now)
    assert bucket.ready_at(3.0) == 11.0


def test_bucket_keeps_counted_requests_after_set_rate() -> None:
    bucket = Bucket(Rate(3, 10.0))
    for now in (0.0, 1.0, 2.0):
        sent(bucket, now)
    bucket.set_rate(Rate(2, 20.0))
    assert bucket.ready_at(3.0) == 21.0


def test_bucket_restores_requests_in_any_order() -> None:
    bucket = Bucket(Rate(3, 10.0), Reserve())
    for at in (5.0, 3.0, 4.0):
        bucket.restore_request(at, expedited=False)
    assert [bucket.ready_at(6.0), bucket.ready_at(13.5), bucket.used(13.5)] == [13.0, 13.5, 2]


def test_bucket_restores_the_latest_requests() -> None:
    bucket = Bucket(Rate(2, 10.0))
    for at in (5.0, 3.0, 4.0):
        bucket.restore_request(at)
    assert bucket.ready_at(6.0) == 14.0


# --- the pace -----------------------------------------------------------------------------------------------------------------


def test_bucket_does_not_pace_few_requests() -> None:
    bucket = Bucket(Rate(30, 60.0), Reserve())
    for now in (0.0, 0.1, 0.2):
        assert bucket.paced_at(now) == now
        sent(bucket, now, expedited=False)
    assert bucket.paced_at(0.3) == 0.3
    sent(bucket, 0.3, expedited=False)
    assert bucket.paced_at(0.4) > 2.0


def test_bucket_paces_steady_stream_evenly_and_never_blocks_it() -> None:
    bucket, now, left = Bucket(Rate(30, 60.0), Reserve()), 1000.0, list[float]()
    for _ in range(200):
        paced = bucket.paced_at(now)
        assert bucket.ready_at(paced, expedited=False) == paced
        bucket.acquire(paced, expedited=False)
        bucket.release(paced + 0.2, expedited=False)
        left.append(paced)
        now = paced + 0.2
    waits = [after - before for before, after in pairwise(left[4:])]
    assert max(waits) < 2.6
    assert waits[-1] == pytest.approx(60.0 / 26, abs=0.02)


def test_bucket_pace_is_counted_from_sending_to_sending() -> None:
    """From answers it would be slower by the latency."""
    quick, slow = (Bucket(Rate(30, 60.0), Reserve()) for _ in range(2))
    for bucket, latency in ((quick, 0.0), (slow, 1.0)):
        for n in range(20):
            bucket.acquire(3.0 * n, expedited=False)
            bucket.release(3.0 * n + latency, expedited=False)
    assert slow.paced_at(58.5) - quick.paced_at(58.0) == pytest.approx(0.0, abs=0.1)


def test_bucket_pace_after_burst_is_at_most_twice_the_even_pace() -> None:
    bucket = Bucket(Rate(30, 60.0), Reserve())
    for _ in range(25):
        sent(bucket, 100.0, expedited=False)
    assert bucket.paced_at(100.0) == pytest.approx(100.0 + 2 * 60.0 / 26)


def test_bucket_expedited_requests_do_not_slow_the_pace() -> None:
    bucket = Bucket(Rate(30, 60.0), Reserve())
    for _ in range(10):
        sent(bucket, 0.0, expedited=True)
    assert bucket.paced_at(0.0) == 0.0


def test_bucket_has_a_pace_when_the_reserve_exceeds_free_tokens() -> None:
    bucket = Bucket(Rate(30, 60.0), Reserve())
    for _ in range(26):
        sent(bucket, 0.0, expedited=False)
    for at in range(20):
        bucket.note_demand(float(at))
    assert bucket.paced_at(20.0) == 20.0
    assert bucket.ready_at(20.0, expedited=False) == 60.0 - BORROW_TIME


def test_bucket_pace_continues_from_last_answer_after_restart() -> None:
    bucket = Bucket(Rate(30, 60.0), Reserve())
    for n in range(20):
        bucket.restore_request(3.0 * n, expedited=False)
    assert 57.0 < bucket.paced_at(57.0) < 60.0


def test_rate_reads_as_text() -> None:
    assert str(Rate(30, 60.0)) == "30 in 60 s"
    assert str(Rate(1, 0.5)) == "1 in 0.5 s"


def test_bucket_log_is_bounded_by_its_window() -> None:
    bucket = Bucket(Rate(100_000, 1.0), Reserve())
    for n in range(1000):
        sent(bucket, n / 10, expedited=False)
    assert len(bucket._all) == len(bucket._normal) == 10


@pytest.mark.parametrize(("count", "early"), [(30, 10), (20, 10), (15, 10), (10, 7), (5, 2)])
def test_bucket_paces_first_requests_of_empty_window_faster(count: int, early: int) -> None:
    bucket, now, held = Bucket(Rate(count, 60.0), Reserve()), 1000.0, list[float]()
    for _ in range(early):
        paced = bucket.paced_at(now)
        held.append(paced - now)
        now = sent(bucket, paced, expedited=False)
    assert max(held) <= EARLY_PACE + SAME
    if count < 30:  # a window of 30 is paced about equally everywhere
        assert bucket.paced_at(now) - now > EARLY_PACE


@given(st.floats(0, 10))
def test_bucket_borrows_reserve_for_borrow_seconds_before_own_token(borrow: float) -> None:
    bucket = Bucket(Rate(30, 60.0), Reserve())
    for _ in range(26):
        sent(bucket, 100.0, expedited=False)
    assert bucket.ready_at(101.0, expedited=False, borrow=borrow) == 160.0 - borrow
