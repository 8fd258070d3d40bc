from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import BORROW_TIME, Rate
from tocsind.policy.outcomes import RateHeaders
from tocsind.policy.pace import GUARD
from tocsind.policy.rate_limits import (
    CLEAN_TIME,
    MARGIN,
    MAX_CLEAN_TIME,
    MIN_LEARNED,
    OBSERVATION_PERIOD,
    SLOWEST_WEBHOOK,
    ChannelLimit,
    HostLimit,
    RateLimit,
    SavedLimit,
    WebhookLimit,
)

FIVE, THIRTY = Rate(5, 2.0), Rate(30, 60.0)
blocks = st.lists(st.tuples(st.floats(1, 100), st.text()), max_size=5)


def sent(scope: RateLimit, *times: float, expedited: bool = True) -> None:
    """Requests that left and were answered at these instants."""
    for at in times:
        scope.acquire(at, expedited=expedited)
        scope.release(at, expedited=expedited)


# --- all limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [WebhookLimit(), ChannelLimit(), HostLimit()])
def test_limit_without_rate_is_always_open(scope: RateLimit) -> None:
    sent(scope, *[1.0] * 100)
    scope.acquire(1.0, expedited=True)
    scope.cancel(expedited=True)
    scope.restore_request(1.0, expedited=True)
    scope.apply_rate(Rate(1, 60.0))
    assert scope.ready_at(1.0, expedited=False) == 1.0


@pytest.mark.parametrize("make", [WebhookLimit, ChannelLimit, HostLimit])
@given(blocks=blocks)
def test_block_ends_at_the_last_instant_with_its_reason(make: type[RateLimit], blocks: list[tuple[float, str]]) -> None:
    scope = make()
    for until, reason in blocks:
        scope.block(until, reason or "429")
    ends = max((until for until, _ in blocks), default=0.5)
    assert scope.ready_at(0.5) == scope.block_ends(0.5) == ends
    assert scope.ready_at(ends) == ends


def test_block_never_shortens_an_earlier_one() -> None:
    scope = RateLimit()
    scope.block(8.0, "long")
    scope.block(5.0, "short")
    scope.block(8.0, "as long")
    assert (scope.blocked_until, scope.blocked_because) == (8.0, "long")


def test_unblock_drops_a_block() -> None:
    scope = RateLimit()
    scope.block(8.0, "429")
    scope.unblock()
    assert scope.ready_at(1.0) == 1.0


@pytest.mark.parametrize("make", [WebhookLimit, ChannelLimit, HostLimit])
def test_block_survives_restart(make: type[RateLimit]) -> None:
    before, after = make(), make()
    after.restore(before.saved())
    assert after.ready_at(1.0) == 1.0
    before.block(8.0, "429")
    after.restore(before.saved())
    assert (after.ready_at(1.0), after.blocked_because) == (8.0, "429")


def test_block_keeps_its_original_length() -> None:
    scope = RateLimit()
    scope.block(8.0, "429", 5.0)
    scope.block(7.0, "shorter", 6.0)
    assert scope.saved() == SavedLimit(8.0, "429", blocked_for=5.0)
    scope.unblock()
    assert scope.saved() == SavedLimit()


def test_block_without_saved_reason_holds() -> None:
    scope = RateLimit()
    scope.restore(SavedLimit(blocked_until=8.0))
    assert (scope.ready_at(1.0), scope.blocked_because) == (8.0, "as before the restart")


def test_apply_rate_changes_the_configured_rate() -> None:
    scope = HostLimit(Rate(2, 1.0))
    sent(scope, 1.0, 1.1)
    assert scope.ready_at(1.2) == 2.0
    scope.apply_rate(Rate(3, 1.0))
    assert scope.ready_at(1.2) == 1.2


# --- webhook ----------------------------------------------------------------------------------------------------------------


def test_webhook_without_headers_uses_its_log() -> None:
    scope = WebhookLimit(FIVE)
    for n in range(5):
        sent(scope, n / 10)
        scope.on_response(n / 10, None)
    assert scope.ready_at(0.5) == 2.0 + MARGIN


def test_webhook_header_without_remaining_closes_although_log_has_room() -> None:
    """Another program posts through the same webhook."""
    scope = WebhookLimit(FIVE)
    sent(scope, 1.0)
    scope.on_response(1.0, RateHeaders(limit=5, remaining=0, reset_after=1.5))
    assert scope.ready_at(1.0) == 2.5


def test_webhook_header_with_remaining_opens_although_log_is_full() -> None:
    """The server's window was nearly over when the log's began."""
    scope = WebhookLimit(FIVE)
    sent(scope, 1.0, 1.1, 1.2, 1.3, 1.4)
    scope.on_response(1.4, RateHeaders(limit=5, remaining=3, reset_after=1.9))
    assert scope.ready_at(1.4) == 1.4


def test_webhook_waits_one_window_after_lost_response_and_then_uses_its_log() -> None:
    scope = WebhookLimit(FIVE)
    scope.on_response(1.0, RateHeaders(limit=5, remaining=0, reset_after=100.0))
    scope.on_response(2.0, None)
    assert scope.ready_at(2.0) == 4.0 + MARGIN
    sent(scope, 4.1)
    scope.on_response(4.1, None)
    assert scope.ready_at(4.1) == 4.1


def test_webhook_uses_remaining_of_earlier_response_after_lost_response_and_then_waits_one_window() -> None:
    scope = WebhookLimit(FIVE)
    scope.on_response(1.0, RateHeaders(limit=5, remaining=3, reset_after=1.9))
    for at in (1.1, 1.2):
        assert scope.ready_at(at) == at
        sent(scope, at)
        scope.on_response(at, None)
    assert scope.ready_at(1.2) == 1.2, "one is left"
    sent(scope, 1.3)
    scope.on_response(1.3, None)
    assert scope.ready_at(1.3) == pytest.approx(3.3 + MARGIN)


def test_webhook_without_rate_obeys_headers_and_learns_nothing() -> None:
    scope = WebhookLimit()
    scope.on_response(1.0, RateHeaders(limit=5, remaining=0, reset_after=3.0))
    assert scope.window_opens(1.0) == 4.0
    scope.restore_request(1.0, expedited=False)
    assert (scope.window_opens(1.0), scope.saved()) == (4.0, SavedLimit())


def rate_of(scope: WebhookLimit, now: float) -> Rate:
    scope.ready_at(now)
    assert scope.bucket is not None
    return scope.bucket.rate


def test_webhook_learns_longer_windows_and_smaller_counts_over_restart() -> None:
    before, after = WebhookLimit(FIVE), WebhookLimit(FIVE)
    before.on_response(1.0, RateHeaders(limit=5, remaining=4, reset_after=5.0))
    before.on_response(2.0, RateHeaders(limit=3, remaining=2, reset_after=1.0))
    assert before.saved() == SavedLimit(count=3, per=5.0 + MARGIN, learned_at=1.0)
    after.restore(before.saved())
    sent(after, 10.0, 10.1, 10.2)
    assert after.ready_at(10.3) == 15.0 + MARGIN
    after.restore(SavedLimit())
    assert after.ready_at(10.3) == 15.0 + MARGIN


def test_webhook_does_not_learn_shorter_windows_or_larger_counts() -> None:
    scope = WebhookLimit(FIVE)
    scope.on_response(1.0, RateHeaders(limit=50, remaining=40, reset_after=0.3))
    assert (rate_of(scope, 1.0), scope.saved()) == (Rate(5, 2.0 + MARGIN), SavedLimit())


def test_webhook_learns_nothing_from_used_up_window() -> None:
    scope = WebhookLimit(FIVE)
    scope.on_response(1.0, RateHeaders(limit=1, remaining=0, reset_after=59.0))
    assert (rate_of(scope, 1.0), scope.saved()) == (Rate(5, 2.0 + MARGIN), SavedLimit())


def test_webhook_drops_unconfirmed_observations() -> None:
    scope = WebhookLimit(FIVE)
    scope.on_response(100.0, RateHeaders(limit=4, remaining=2, reset_after=30.0))
    scope.on_response(100.0 + OBSERVATION_PERIOD - 1, RateHeaders(limit=4, remaining=2, reset_after=1.0))
    assert rate_of(scope, 99.0 + 2 * OBSERVATION_PERIOD) == Rate(4, 30.0 + MARGIN)
    scope.on_response(99.0 + 2 * OBSERVATION_PERIOD, RateHeaders(limit=5, remaining=2, reset_after=7.0))
    assert rate_of(scope, 100.0 + 2 * OBSERVATION_PERIOD) == Rate(5, 7.0 + MARGIN)
    assert rate_of(scope, 100.0 + 3 * OBSERVATION_PERIOD) == Rate(5, 2.0 + MARGIN)
    assert scope.saved() == SavedLimit()


def test_webhook_keeps_confirmed_observations() -> None:
    scope = WebhookLimit(FIVE)
    for n in range(10):
        scope.on_response(n * OBSERVATION_PERIOD, RateHeaders(limit=5, remaining=4, reset_after=5.0))
        assert rate_of(scope, n * OBSERVATION_PERIOD) == Rate(5, 5.0 + MARGIN)


def test_webhook_apply_rate_is_immediate_and_learned_limit_still_holds() -> None:
    scope = WebhookLimit(Rate(1, 30.0))
    scope.apply_rate(FIVE)
    assert rate_of(scope, 1.0) == Rate(5, 2.0 + MARGIN)
    scope.on_response(1.0, RateHeaders(limit=5, remaining=4, reset_after=5.0))
    scope.apply_rate(Rate(10, 1.0))
    assert rate_of(scope, 1.0) == Rate(5, 5.0 + MARGIN)
    scope.apply_rate(Rate(1, 30.0))
    assert rate_of(scope, 1.0) == Rate(1, 30.0 + MARGIN)


def test_webhook_does_not_save_configured_rate_as_learned() -> None:
    strict, after = WebhookLimit(Rate(1, 30.0)), WebhookLimit(FIVE)
    strict.on_response(1.0, RateHeaders(limit=5, remaining=4, reset_after=2.0))
    after.restore(strict.saved())
    assert rate_of(after, 2.0) == Rate(5, 2.0 + MARGIN)


def test_webhook_ignores_saved_rate_without_learned_at() -> None:
    scope = WebhookLimit(FIVE)
    scope.restore(SavedLimit(count=1, per=30.0))
    assert rate_of(scope, 2.0) == Rate(5, 2.0 + MARGIN)


def test_webhook_after_restart_waits_only_while_slowest_webhook_might_be_used_up() -> None:
    scope = WebhookLimit(FIVE)
    for at in (9.0, 6.0, 10.0, 8.0):
        scope.restore_request(at, expedited=False)
    assert scope.ready_at(10.5) == 10.5, "four of five in five seconds"
    scope.restore_request(7.0, expedited=False)
    assert scope.ready_at(10.5) == 6.0 + SLOWEST_WEBHOOK.per
    scope.restore_request(10.4, expedited=False)
    assert scope.ready_at(10.5) == 7.0 + SLOWEST_WEBHOOK.per
    scope.restore_request(10.45, expedited=False)
    scope.restore_request(10.46, expedited=False)
    scope.restore_request(10.47, expedited=False)
    assert scope.ready_at(10.5) == 10.47 + 2.0 + MARGIN, "a whole window at most"


def test_webhook_first_response_after_restart_has_current_headers() -> None:
    scope = WebhookLimit(FIVE)
    for n in range(5):
        scope.restore_request(10.0 + n / 10, expedited=False)
    assert scope.ready_at(10.5) == 10.4 + 2.0 + MARGIN
    sent(scope, 12.5)
    scope.on_response(12.5, RateHeaders(limit=5, remaining=1, reset_after=0.3))
    assert scope.ready_at(12.5) == 12.5


def test_webhook_request_in_flight_at_kill_delays_nothing_in_nearly_unused_window() -> None:
    scope = WebhookLimit(THIRTY)
    scope.restore_request(100.0, expedited=True)
    assert scope.ready_at(100.1) == 100.1
    for n in range(29):
        scope.restore_request(50.0 + n, expedited=True)
    assert scope.ready_at(100.1) == pytest.approx(50.0 + 60.0 + MARGIN)


# --- channel -----------------------------------------------------------------------------------------------------------------


def full(count: int = 30) -> ChannelLimit:
    """A channel without tokens for NORMAL and LOW."""
    scope = ChannelLimit(THIRTY)
    for n in range(count):
        sent(scope, n / 10)
    return scope


def learned(scope: ChannelLimit, now: float) -> int:
    scope.ready_at(now)
    assert scope.bucket is not None
    return scope.bucket.count


def test_channel_counts_thirty_a_minute_with_reserve() -> None:
    scope = ChannelLimit(THIRTY)
    sent(scope, *[1.0] * 26, expedited=False)
    assert scope.ready_at(2.0, expedited=False) == 61.0 + MARGIN - BORROW_TIME
    assert scope.ready_at(2.0) == 2.0
    sent(scope, *[3.0] * 4)
    assert scope.ready_at(4.0) == 61.0 + MARGIN


def test_channel_shared_429_blocks_and_leaves_one_less_than_passed() -> None:
    scope = full(20)  # the twentieth is the refused one
    scope.on_limited(2.0, 7.0, "429 shared")
    assert (scope.block_ends(2.0), scope.blocked_because) == (9.0, "429 shared")
    assert learned(scope, 9.0) == 18


def test_channel_count_rises_by_one_per_clean_minute() -> None:
    scope = full(28)
    scope.on_limited(3.0, 1.0, "429")
    assert [learned(scope, 3.0 + minutes * CLEAN_TIME) for minutes in (0, 0.9, 1, 2, 4, 50)] == [26, 26, 27, 28, 30, 30]


def test_channel_count_rises_more_slowly_after_repeated_429() -> None:
    scope = full(10)
    scope.on_limited(1.0, 1.0, "429")
    assert learned(scope, 1.0 + CLEAN_TIME) == 9
    scope.on_limited(1.0 + CLEAN_TIME, 1.0, "429")
    now = 1.0 + CLEAN_TIME
    low = learned(scope, now)
    assert [learned(scope, now + minutes * CLEAN_TIME) - low for minutes in (1, 2, 3, 4)] == [0, 1, 1, 2]
    for _ in range(10):
        scope.on_limited(now, 1.0, "429")
    assert learned(scope, now + MAX_CLEAN_TIME - 1) == learned(scope, now)
    assert learned(scope, now + MAX_CLEAN_TIME) == learned(scope, now) + 1


def test_channel_count_never_falls_below_minimum() -> None:
    scope = ChannelLimit(THIRTY)
    sent(scope, 1.0)
    scope.on_limited(1.0, 1.0, "429")
    assert learned(scope, 2.0) == MIN_LEARNED


def test_channel_without_rate_is_blocked_and_learns_nothing() -> None:
    scope = ChannelLimit()
    scope.on_limited(1.0, 5.0, "429")
    assert (scope.ready_at(1.0), scope.saved()) == (6.0, SavedLimit(6.0, "429", blocked_for=5.0))


def test_channel_learned_count_survives_restart() -> None:
    before, after = full(20), ChannelLimit(THIRTY)
    before.on_limited(2.0, 7.0, "429")
    after.restore(before.saved())
    assert learned(after, 9.0) == 18
    assert learned(after, 2.0 + 2 * CLEAN_TIME) == 20
    untouched = ChannelLimit(THIRTY)
    untouched.restore(ChannelLimit(THIRTY).saved())
    assert learned(untouched, 9.0) == 30


def test_channel_counts_restored_requests_and_demand_of_expedited_ones() -> None:
    scope = ChannelLimit(THIRTY)
    for n in range(12):
        scope.restore_request(float(n), expedited=n < 6)
    assert scope.bucket is not None
    assert (scope.bucket.used(12.0), scope.bucket.reserved(12.0)) == (12, 9)


@given(
    rates=st.lists(st.builds(Rate, st.integers(1, 5), st.floats(0.5, 20)), min_size=1, max_size=3),
    gaps=st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=40),
)
@pytest.mark.parametrize("make", [WebhookLimit, ChannelLimit, HostLimit])
def test_no_window_of_a_limit_ever_holds_more_requests_than_its_rate(
    make: type[WebhookLimit | ChannelLimit | HostLimit], rates: list[Rate], gaps: list[tuple[float, bool]]
) -> None:
    scope, now, left = make(tuple(rates)), 1000.0, list[float]()
    for gap, expedited in gaps:
        now = scope.ready_at(now + gap, expedited=expedited)
        now = max(now, scope.ready_at(now, expedited=expedited))
        sent(scope, now, expedited=expedited)
        left.append(now)
        for rate in rates:
            # A server's window is open at one end: (now - per, now].
            assert sum(1 for at in left if at > now - rate.per + 1e-6) <= rate.count


def test_limit_with_several_windows_waits_for_the_one_that_opens_last() -> None:
    scope = HostLimit((Rate(2, 10.0), Rate(1, 1.0)))
    sent(scope, 100.0)
    assert scope.ready_at(100.0) == 101.0
    sent(scope, 101.0)
    assert scope.ready_at(101.0) == 110.0
    scope.apply_rate((Rate(3, 10.0), Rate(1, 2.0)))
    assert scope.ready_at(101.0) == 103.0


def test_host_without_guard_counts_no_invalid_requests() -> None:
    scope = HostLimit()
    for _ in range(GUARD.count + 1):
        scope.on_response(1.0, invalid=True)
    assert scope.guard_ends(1.0) == 1.0


# --- host --------------------------------------------------------------------------------------------------------------------


def test_host_counts_every_request() -> None:
    scope = HostLimit(Rate(2, 1.1))
    sent(scope, 1.0, 1.1)
    assert scope.ready_at(1.2) == pytest.approx(2.1)


def test_host_guard_stops_requests_until_oldest_invalid_one_is_old() -> None:
    scope = HostLimit(guard=GUARD)
    for n in range(GUARD.count):
        assert scope.ready_at(float(n)) == n
        scope.on_response(float(n), invalid=True)
        scope.on_response(float(n), invalid=False)
    assert scope.ready_at(500.0) == scope.guard_ends(500.0) == GUARD.per
    assert scope.ready_at(GUARD.per) == GUARD.per


def test_host_is_blocked_by_block_or_guard_but_not_by_full_window() -> None:
    scope = HostLimit(Rate(1, 1.1), GUARD)
    sent(scope, 1.0)
    assert not scope.is_blocked(1.0)
    scope.block(5.0, "429")
    assert [scope.is_blocked(now) for now in (1.0, 5.0)] == [True, False]
    for _ in range(GUARD.count):
        scope.on_response(5.0, invalid=True)
    assert [scope.is_blocked(now) for now in (5.0, 5.0 + GUARD.per)] == [True, False]


def test_host_unstated_block_doubles_until_a_request_passes() -> None:
    scope = HostLimit()
    assert [scope.on_unstated_block() for _ in range(8)] == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]
    scope.on_answer()
    assert scope.on_unstated_block() == 60.0


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        (None, BORROW_TIME),
        (Rate(5, 2.0), BORROW_TIME),
        (Rate(5, 5.0), 5.0 + MARGIN),
        (Rate(6, 5.0), BORROW_TIME),  # a backlog does not use it up at once
        (Rate(5, 6.0), BORROW_TIME),  # with so long a time the reserve would never be there
    ],
    ids=str,
)
def test_webhook_borrows_reserve_longer_only_where_urgent_request_waits_anyway(
    rate: Rate | None, seconds: float
) -> None:
    assert WebhookLimit(rate).may_borrow() == seconds


# --- requests of other senders into a channel -----------------------------------------------------------------------------------


def test_channel_that_other_senders_fill_waits_for_them() -> None:
    limit = ChannelLimit(THIRTY)
    limit.hold(5.0, expedited=False)
    assert (limit.ready_at(1.0), limit.ready_at(1.0, expedited=False)) == (1.0, 5.0)
    limit.hold(3.0, expedited=True)
    limit.hold(2.0, expedited=True)
    assert (limit.ready_at(1.0), limit.ready_at(1.0, expedited=False)) == (3.0, 5.0)
    assert limit.ready_at(6.0, expedited=False) == 6.0


@pytest.mark.parametrize("expedited", [True, False])
def test_requests_of_other_senders_use_up_the_channel(expedited: bool) -> None:
    limit = ChannelLimit(Rate(3, 60.0))
    for at in (1.0, 2.0, 3.0):
        limit.count_foreign(at, expedited=expedited)
    assert limit.ready_at(10.0) == pytest.approx(61.0, abs=2 * MARGIN)


def test_pace_goes_on_from_the_latest_request_of_any_sender() -> None:
    alone, both = ChannelLimit(THIRTY), ChannelLimit(THIRTY)
    for limit in (alone, both):
        for n in range(10):
            sent(limit, float(n), expedited=False)
    paced = alone.buckets[0].paced_at(9.0)
    both.count_foreign(9.0, expedited=True)
    assert both.buckets[0].paced_at(9.0) == pytest.approx(paced, abs=0.5)
    both.count_foreign(paced - 0.5, expedited=False)
    assert both.buckets[0].paced_at(paced) > paced
    both.count_foreign(1.0, expedited=False)  # one that is learned of late does not bring the pace forward
    assert both.buckets[0].paced_at(paced) > paced


def test_pace_begins_with_the_first_request_of_another_sender() -> None:
    limit = ChannelLimit(THIRTY)
    limit.count_foreign(1.0, expedited=False)
    assert limit.buckets[0].paced_at(1.1) == 1.1, "few requests are not paced"
