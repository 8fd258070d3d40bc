from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import LENT, Rate
from tocsind.policy.outcomes import Told
from tocsind.policy.scopes import (
    CLEAN,
    GUARD,
    LEAST,
    LESSON,
    MARGIN,
    MOST_PATIENCE,
    SLOW,
    Address,
    Channel,
    Endpoint,
    Memory,
    Scope,
)

FIVE, THIRTY = Rate(5, 2.0), Rate(30, 60.0)
blocks = st.lists(st.tuples(st.floats(1, 100), st.text()), max_size=5)


def sent(scope: Scope, *times: float, pressing: bool = True) -> None:
    """Requests that left and were answered then."""
    for at in times:
        scope.take(at, pressing=pressing)
        scope.give(at, pressing=pressing)


# --- all of them --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Endpoint(), Channel(), Address()])
def test_what_the_far_end_does_not_limit_is_always_open(scope: Scope) -> None:
    sent(scope, *[1.0] * 100)
    scope.take(1.0, pressing=True)
    scope.put_back(pressing=True)
    scope.remember(1.0, pressing=True)
    scope.keep_to(Rate(1, 60.0))
    assert scope.ready_at(1.0, pressing=False) == 1.0


@pytest.mark.parametrize("make", [Endpoint, Channel, Address])
@given(blocks=blocks)
def test_a_block_ends_with_the_last_instant_told_and_with_its_reason(
    make: type[Scope], blocks: list[tuple[float, str]]
) -> None:
    scope = make()
    for until, reason in blocks:
        scope.block(until, reason or "429")
    ends = max((until for until, _ in blocks), default=0.5)
    assert scope.ready_at(0.5) == scope.block_ends(0.5) == ends
    assert scope.ready_at(ends) == ends


def test_a_block_never_shortens_an_earlier_one() -> None:
    scope = Scope()
    scope.block(8.0, "long")
    scope.block(5.0, "short")
    scope.block(8.0, "as long")
    assert (scope.blocked_until, scope.blocked_because) == (8.0, "long")


def test_a_person_may_lift_a_block() -> None:
    scope = Scope()
    scope.block(8.0, "429")
    scope.unblock()
    assert scope.ready_at(1.0) == 1.0


@pytest.mark.parametrize("make", [Endpoint, Channel, Address])
def test_a_block_survives_a_restart(make: type[Scope]) -> None:
    before, after = make(), make()
    after.restore(before.memory())
    assert after.ready_at(1.0) == 1.0
    before.block(8.0, "429")
    after.restore(before.memory())
    assert (after.ready_at(1.0), after.blocked_because) == (8.0, "429")


def test_a_block_remembers_how_long_it_was_when_it_was_set() -> None:
    scope = Scope()
    scope.block(8.0, "429", 5.0)
    scope.block(7.0, "shorter", 6.0)
    assert scope.memory() == Memory(8.0, "429", blocked_for=5.0)
    scope.unblock()
    assert scope.memory() == Memory()


def test_a_block_whose_reason_was_not_written_down_holds_too() -> None:
    scope = Scope()
    scope.restore(Memory(blocked_until=8.0))
    assert (scope.ready_at(1.0), scope.blocked_because) == (8.0, "as before the restart")


def test_the_configuration_may_name_another_rate() -> None:
    scope = Address(Rate(2, 1.0))
    sent(scope, 1.0, 1.1)
    assert scope.ready_at(1.2) == 2.0
    scope.keep_to(Rate(3, 1.0))
    assert scope.ready_at(1.2) == 1.2


# --- the endpoint -----------------------------------------------------------------------------------------------------------


def test_without_headers_our_own_log_decides() -> None:
    scope = Endpoint(FIVE)
    for n in range(5):
        sent(scope, n / 10)
        scope.hear(n / 10, None)
    assert scope.ready_at(0.5) == 2.0 + MARGIN


def test_a_header_that_says_none_are_left_closes_although_the_log_has_room() -> None:
    """Another program posts through the same webhook."""
    scope = Endpoint(FIVE)
    sent(scope, 1.0)
    scope.hear(1.0, Told(limit=5, remaining=0, reset_after=1.5))
    assert scope.ready_at(1.0) == 2.5


def test_a_header_that_says_some_are_left_opens_although_the_log_is_full() -> None:
    """The window was nearly over when ours began."""
    scope = Endpoint(FIVE)
    sent(scope, 1.0, 1.1, 1.2, 1.3, 1.4)
    scope.hear(1.4, Told(limit=5, remaining=3, reset_after=1.9))
    assert scope.ready_at(1.4) == 1.4


def test_after_an_answer_that_was_lost_a_whole_window_is_waited_for_and_then_the_log_is_right() -> None:
    scope = Endpoint(FIVE)
    scope.hear(1.0, Told(limit=5, remaining=0, reset_after=100.0))
    scope.hear(2.0, None)
    assert scope.ready_at(2.0) == 4.0 + MARGIN
    sent(scope, 4.1)
    scope.hear(4.1, None)
    assert scope.ready_at(4.1) == 4.1


def test_after_an_answer_that_was_lost_what_was_left_before_it_is_used_and_then_a_window_is_waited_for() -> None:
    scope = Endpoint(FIVE)
    scope.hear(1.0, Told(limit=5, remaining=3, reset_after=1.9))
    for at in (1.1, 1.2):
        assert scope.ready_at(at) == at
        sent(scope, at)
        scope.hear(at, None)
    assert scope.ready_at(1.2) == 1.2, "one is left"
    sent(scope, 1.3)
    scope.hear(1.3, None)
    assert scope.ready_at(1.3) == pytest.approx(3.3 + MARGIN)


def test_an_endpoint_without_a_rate_obeys_its_headers_and_learns_nothing() -> None:
    scope = Endpoint()
    scope.hear(1.0, Told(limit=5, remaining=0, reset_after=3.0))
    assert scope.window_opens(1.0) == 4.0
    scope.remember(1.0, pressing=False)
    assert (scope.window_opens(1.0), scope.memory()) == (4.0, Memory())


def rate_of(scope: Endpoint, now: float) -> Rate:
    scope.ready_at(now)
    assert scope.bucket is not None
    return scope.bucket.rate


def test_longer_windows_and_smaller_counts_are_learned_and_survive_a_restart() -> None:
    before, after = Endpoint(FIVE), Endpoint(FIVE)
    before.hear(1.0, Told(limit=5, remaining=4, reset_after=5.0))
    before.hear(2.0, Told(limit=3, remaining=2, reset_after=1.0))
    assert before.memory() == Memory(count=3, per=5.0 + MARGIN, learned_at=1.0)
    after.restore(before.memory())
    sent(after, 10.0, 10.1, 10.2)
    assert after.ready_at(10.3) == 15.0 + MARGIN
    after.restore(Memory())
    assert after.ready_at(10.3) == 15.0 + MARGIN


def test_shorter_windows_and_larger_counts_are_not_learned() -> None:
    scope = Endpoint(FIVE)
    scope.hear(1.0, Told(limit=50, remaining=40, reset_after=0.3))
    assert (rate_of(scope, 1.0), scope.memory()) == (Rate(5, 2.0 + MARGIN), Memory())


def test_a_window_that_is_spent_teaches_nothing_for_good() -> None:
    scope = Endpoint(FIVE)
    scope.hear(1.0, Told(limit=1, remaining=0, reset_after=59.0))
    assert (rate_of(scope, 1.0), scope.memory()) == (Rate(5, 2.0 + MARGIN), Memory())


def test_what_no_answer_confirms_is_forgotten_after_a_while() -> None:
    scope = Endpoint(FIVE)
    scope.hear(100.0, Told(limit=4, remaining=2, reset_after=30.0))
    scope.hear(100.0 + LESSON - 1, Told(limit=4, remaining=2, reset_after=1.0))
    assert rate_of(scope, 99.0 + 2 * LESSON) == Rate(4, 30.0 + MARGIN)
    scope.hear(99.0 + 2 * LESSON, Told(limit=5, remaining=2, reset_after=7.0))
    assert rate_of(scope, 100.0 + 2 * LESSON) == Rate(5, 7.0 + MARGIN)
    assert rate_of(scope, 100.0 + 3 * LESSON) == Rate(5, 2.0 + MARGIN)
    assert scope.memory() == Memory()


def test_what_answers_confirm_again_and_again_stays() -> None:
    scope = Endpoint(FIVE)
    for n in range(10):
        scope.hear(n * LESSON, Told(limit=5, remaining=4, reset_after=5.0))
        assert rate_of(scope, n * LESSON) == Rate(5, 5.0 + MARGIN)


def test_a_looser_configuration_takes_effect_at_once_and_what_was_learned_still_holds() -> None:
    scope = Endpoint(Rate(1, 30.0))
    scope.keep_to(FIVE)
    assert rate_of(scope, 1.0) == Rate(5, 2.0 + MARGIN)
    scope.hear(1.0, Told(limit=5, remaining=4, reset_after=5.0))
    scope.keep_to(Rate(10, 1.0))
    assert rate_of(scope, 1.0) == Rate(5, 5.0 + MARGIN)
    scope.keep_to(Rate(1, 30.0))
    assert rate_of(scope, 1.0) == Rate(1, 30.0 + MARGIN)


def test_a_rate_that_was_configured_is_not_remembered_as_learned() -> None:
    strict, after = Endpoint(Rate(1, 30.0)), Endpoint(FIVE)
    strict.hear(1.0, Told(limit=5, remaining=4, reset_after=2.0))
    after.restore(strict.memory())
    assert rate_of(after, 2.0) == Rate(5, 2.0 + MARGIN)


def test_a_rate_from_a_journal_that_did_not_tell_configured_from_learned_is_passed_over() -> None:
    scope = Endpoint(FIVE)
    scope.restore(Memory(count=1, per=30.0))
    assert rate_of(scope, 2.0) == Rate(5, 2.0 + MARGIN)


def test_the_first_request_after_a_restart_waits_only_while_the_slowest_webhook_might_be_spent() -> None:
    scope = Endpoint(FIVE)
    for at in (9.0, 6.0, 10.0, 8.0):
        scope.remember(at, pressing=False)
    assert scope.ready_at(10.5) == 10.5, "four of five in five seconds"
    scope.remember(7.0, pressing=False)
    assert scope.ready_at(10.5) == 6.0 + SLOW.per
    scope.remember(10.4, pressing=False)
    assert scope.ready_at(10.5) == 7.0 + SLOW.per
    scope.remember(10.45, pressing=False)
    scope.remember(10.46, pressing=False)
    scope.remember(10.47, pressing=False)
    assert scope.ready_at(10.5) == 10.47 + 2.0 + MARGIN, "a whole window at most"


def test_the_answer_to_the_first_request_after_a_restart_tells_anew() -> None:
    scope = Endpoint(FIVE)
    for n in range(5):
        scope.remember(10.0 + n / 10, pressing=False)
    assert scope.ready_at(10.5) == 10.4 + 2.0 + MARGIN
    sent(scope, 12.5)
    scope.hear(12.5, Told(limit=5, remaining=1, reset_after=0.3))
    assert scope.ready_at(12.5) == 12.5


def test_a_request_in_flight_at_a_kill_delays_nothing_where_the_window_is_nearly_unused() -> None:
    scope = Endpoint(THIRTY)
    scope.remember(100.0, pressing=True)
    assert scope.ready_at(100.1) == 100.1
    for n in range(29):
        scope.remember(50.0 + n, pressing=True)
    assert scope.ready_at(100.1) == pytest.approx(50.0 + 60.0 + MARGIN)


# --- the channel --------------------------------------------------------------------------------------------------------------


def full(count: int = 30) -> Channel:
    """A channel whose log is full but for those who must not send any more."""
    scope = Channel(THIRTY)
    for n in range(count):
        sent(scope, n / 10)
    return scope


def learned(scope: Channel, now: float) -> int:
    scope.ready_at(now)
    assert scope.bucket is not None
    return scope.bucket.count


def test_thirty_of_a_minute_are_counted_and_some_kept() -> None:
    scope = Channel(THIRTY)
    sent(scope, *[1.0] * 26, pressing=False)
    assert scope.ready_at(2.0, pressing=False) == 61.0 + MARGIN - LENT
    assert scope.ready_at(2.0) == 2.0
    sent(scope, *[3.0] * 4)
    assert scope.ready_at(4.0) == 61.0 + MARGIN


def test_a_shared_429_closes_for_as_long_as_it_says_and_leaves_one_less_than_passed() -> None:
    scope = full(20)  # the twentieth is the one that did not pass
    scope.limited(2.0, 7.0, "429 shared")
    assert (scope.block_ends(2.0), scope.blocked_because) == (9.0, "429 shared")
    assert learned(scope, 9.0) == 18


def test_one_more_is_dared_for_each_clean_minute_until_all_are_believed_again() -> None:
    scope = full(28)
    scope.limited(3.0, 1.0, "429")
    assert [learned(scope, 3.0 + minutes * CLEAN) for minutes in (0, 0.9, 1, 2, 4, 50)] == [26, 26, 27, 28, 30, 30]


def test_where_daring_is_punished_again_it_becomes_slower() -> None:
    scope = full(10)
    scope.limited(1.0, 1.0, "429")
    assert learned(scope, 1.0 + CLEAN) == 9
    scope.limited(1.0 + CLEAN, 1.0, "429")
    now = 1.0 + CLEAN
    low = learned(scope, now)
    assert [learned(scope, now + minutes * CLEAN) - low for minutes in (1, 2, 3, 4)] == [0, 1, 1, 2]
    for _ in range(10):
        scope.limited(now, 1.0, "429")
    assert learned(scope, now + MOST_PATIENCE - 1) == learned(scope, now)
    assert learned(scope, now + MOST_PATIENCE) == learned(scope, now) + 1


def test_some_are_always_left_to_try_with() -> None:
    scope = Channel(THIRTY)
    sent(scope, 1.0)
    scope.limited(1.0, 1.0, "429")
    assert learned(scope, 2.0) == LEAST


def test_a_channel_without_a_rate_is_closed_and_learns_nothing() -> None:
    scope = Channel()
    scope.limited(1.0, 5.0, "429")
    assert (scope.ready_at(1.0), scope.memory()) == (6.0, Memory(6.0, "429", blocked_for=5.0))


def test_what_a_channel_learned_survives_a_restart() -> None:
    before, after = full(20), Channel(THIRTY)
    before.limited(2.0, 7.0, "429")
    after.restore(before.memory())
    assert learned(after, 9.0) == 18
    assert learned(after, 2.0 + 2 * CLEAN) == 20
    untouched = Channel(THIRTY)
    untouched.restore(Channel(THIRTY).memory())
    assert learned(untouched, 9.0) == 30


def test_requests_of_before_a_restart_count_and_those_that_pressed_were_wished_for() -> None:
    scope = Channel(THIRTY)
    for n in range(12):
        scope.remember(float(n), pressing=n < 6)
    assert scope.bucket is not None
    assert (scope.bucket.used(12.0), scope.bucket.keep(12.0)) == (12, 9)


# --- the address ------------------------------------------------------------------------------------------------------------


def test_every_request_of_the_address_counts() -> None:
    scope = Address(Rate(2, 1.1))
    sent(scope, 1.0, 1.1)
    assert scope.ready_at(1.2) == pytest.approx(2.1)


def test_too_many_invalid_requests_stop_all_until_the_oldest_is_forgotten() -> None:
    scope = Address()
    for n in range(GUARD.count):
        assert scope.ready_at(float(n)) == n
        scope.hear(float(n), invalid=True)
        scope.hear(float(n), invalid=False)
    assert scope.ready_at(500.0) == scope.guard_ends(500.0) == GUARD.per
    assert scope.ready_at(GUARD.per) == GUARD.per


def test_an_address_is_shut_while_it_is_blocked_or_guarded_and_not_for_a_full_window() -> None:
    scope = Address(Rate(1, 1.1))
    sent(scope, 1.0)
    assert not scope.is_shut(1.0)
    scope.block(5.0, "429")
    assert [scope.is_shut(now) for now in (1.0, 5.0)] == [True, False]
    for _ in range(GUARD.count):
        scope.hear(5.0, invalid=True)
    assert [scope.is_shut(now) for now in (5.0, 5.0 + GUARD.per)] == [True, False]


def test_a_block_without_a_time_is_believed_longer_each_time_until_somebody_answers() -> None:
    scope = Address()
    assert [scope.untold() for _ in range(8)] == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]
    scope.answers()
    assert scope.untold() == 60.0


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        (None, LENT),
        (Rate(5, 2.0), LENT),
        (Rate(5, 5.0), 5.0 + MARGIN),
        (Rate(6, 5.0), LENT),  # a backlog does not use it up at once
        (Rate(5, 6.0), LENT),  # a loan that long would be a reserve that is never there
    ],
    ids=str,
)
def test_endpoint_lends_the_reserve_for_longer_only_where_an_urgent_request_waits_for_it_anyway(
    rate: Rate | None, seconds: float
) -> None:
    assert Endpoint(rate).lends() == seconds
