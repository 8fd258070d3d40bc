from __future__ import annotations

from copy import deepcopy
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority
from tocsind.policy.gate import Gate, reserve_of

URGENT, HIGH, NORMAL, LOW = Priority
rates = st.builds(Rate, st.integers(2, 40), st.floats(0.25, 120))
requests = st.lists(st.tuples(st.floats(0, 30), st.sampled_from(Priority)), max_size=80)
blocks = st.lists(st.tuples(st.floats(-10, 100), st.text()), max_size=5)


def sent(gate: Gate, now: float, priority: Priority) -> float:
    """Wait for the gate and send; when that was."""
    now = gate.ready_at(now, priority)
    gate.take(now)
    return now


@given(rates, requests)
def test_the_reserve_is_never_eaten_by_normal_and_low(rate: Rate, requests: list[tuple[float, Priority]]) -> None:
    gate, now = Gate(rate), 0.0
    for pause, priority in requests:
        now = sent(gate, now + pause, priority)
        if priority >= NORMAL:
            pressing = deepcopy(gate)
            assert [sent(pressing, now, URGENT) for _ in range(reserve_of(rate))] == [now] * reserve_of(rate)


@given(rates, requests)
def test_whatever_the_priorities_no_window_holds_more_than_the_limit(
    rate: Rate, requests: list[tuple[float, Priority]]
) -> None:
    gate, now, times = Gate(rate), 0.0, list[float]()
    for pause, priority in requests:
        now = sent(gate, now + pause, priority)
        times.append(now)
    for first, one_too_many in zip(times, times[rate.count :], strict=False):
        assert one_too_many >= first + rate.per


@given(st.none() | rates, requests, blocks, st.sampled_from(Priority))
def test_the_gate_opens_when_it_said_and_not_before(
    rate: Rate | None, requests: list[tuple[float, Priority]], blocks: list[tuple[float, str]], priority: Priority
) -> None:
    gate, now = Gate(rate), 0.0
    for pause, _ in requests:
        now += pause
        gate.take(now)
    for until, reason in blocks:
        gate.block(now + until, reason)
    when = gate.ready_at(now, priority)
    assert now <= when < inf
    assert gate.ready_at(when, priority) == when
    if when > now:
        assert gate.ready_at(nextafter(when, -inf), priority) == when


@pytest.mark.parametrize(
    ("count", "kept"), [(1, 0), (2, 1), (3, 1), (10, 1), (11, 1), (12, 2), (15, 2), (20, 3), (30, 4), (300, 40)]
)
def test_the_reserve_is_four_of_thirty_and_at_least_one_where_there_is_something_to_share(
    count: int, kept: int
) -> None:
    assert reserve_of(Rate(count, 60.0)) == kept


def test_high_may_use_the_reserve_and_normal_may_not() -> None:
    gate = Gate(Rate(2, 10.0))
    gate.take(0.0)
    assert {priority: gate.ready_at(1.0, priority) for priority in Priority} == {
        URGENT: 1.0,
        HIGH: 1.0,
        NORMAL: 10.0,
        LOW: 10.0,
    }


def test_without_a_limit_the_gate_is_always_open() -> None:
    gate = Gate(None)
    for _ in range(100):
        gate.take(5.0)
    assert gate.ready_at(5.0, LOW) == 5.0
    assert gate.why_closed(5.0, LOW) is None


def test_a_block_holds_for_every_priority_and_ends() -> None:
    gate = Gate(None)
    gate.block(8.0, "429 from Discord")
    assert {gate.ready_at(3.0, priority) for priority in Priority} == {8.0}
    assert gate.why_closed(3.0, URGENT) == "429 from Discord"
    assert gate.ready_at(8.0, URGENT) == 8.0
    assert gate.why_closed(8.0, URGENT) is None


def test_a_block_never_shortens_an_earlier_one() -> None:
    gate = Gate(None)
    gate.block(8.0, "long")
    gate.block(5.0, "short")
    assert (gate.ready_at(0.0, URGENT), gate.why_closed(0.0, URGENT)) == (8.0, "long")
    gate.block(9.0, "longer")
    assert (gate.ready_at(0.0, URGENT), gate.why_closed(0.0, URGENT)) == (9.0, "longer")
    gate.block(9.0, "as long")
    assert gate.why_closed(0.0, URGENT) == "longer"


def test_the_later_of_block_and_limit_counts() -> None:
    gate = Gate(Rate(1, 10.0))
    gate.take(0.0)
    gate.block(4.0, "a pause")
    assert gate.ready_at(1.0, URGENT) == 10.0
    gate.block(40.0, "a long pause")
    assert gate.ready_at(1.0, URGENT) == 40.0


def test_the_gate_says_that_it_is_our_own_limit() -> None:
    gate = Gate(Rate(1, 10.0))
    assert gate.why_closed(0.0, URGENT) is None
    gate.take(0.0)
    assert gate.why_closed(1.0, URGENT) == "our limit of 1 in 10 s"
    assert gate.why_closed(10.0, URGENT) is None


def test_requests_of_before_a_restart_count() -> None:
    gate = Gate(Rate(2, 10.0))
    gate.remember([-8.0, -3.0])
    assert gate.ready_at(0.0, URGENT) == 2.0
    assert gate.ready_at(0.0, LOW) == 7.0


def test_a_person_may_lift_a_block_and_what_is_left_of_it_is_told() -> None:
    gate = Gate(None)
    assert gate.blocked_for(5.0) == 0
    gate.block(35.0, "429")
    assert gate.blocked_for(5.0) == 30
    gate.unblock()
    assert (gate.blocked_for(5.0), gate.ready_at(5.0, Priority.LOW), gate.why_closed(5.0, Priority.LOW)) == (
        0,
        5.0,
        None,
    )
