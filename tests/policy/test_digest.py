from __future__ import annotations

from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from tocsind.policy.delivery import Priority
from tocsind.policy.digest import MIN_DIGEST, Budgets, digest_surplus

URGENT, HIGH, NORMAL, LOW = Priority
BUDGETS = Budgets()
queues = st.dictionaries(st.sampled_from(Priority), st.integers(0, 5000))
budgets = st.builds(Budgets, st.none() | st.floats(1, 600), st.none() | st.floats(1, 600))


@given(queues, budgets, st.floats(0.01, 100))
def test_digest_surplus_is_within_waiting_of_normal_and_low(
    waiting: dict[Priority, int], budgets: Budgets, rate: float
) -> None:
    for priority, count in digest_surplus(waiting, budgets, rate).items():
        assert MIN_DIGEST <= count <= waiting[priority]
        assert budgets.of(priority) is not None


@given(queues, st.floats(0.01, 100))
@example({NORMAL: 20}, 0.125)  # too many by 13, which are too few for a digest
def test_digest_surplus_leaves_what_drains_in_time(waiting: dict[Priority, int], rate: float) -> None:
    surplus = digest_surplus(waiting, BUDGETS, rate)
    left = {priority: n - surplus.get(priority, 0) for priority, n in waiting.items()}
    for priority, budget in ((NORMAL, 120.0), (LOW, 300.0)):
        ahead = sum(n for other, n in left.items() if other <= priority)
        surplus_left = min(left.get(priority, 0), ahead - budget * rate / 2)
        assert ahead <= budget * rate or surplus_left < MIN_DIGEST


def test_digest_surplus_is_empty_when_backlog_drains_in_time() -> None:
    assert digest_surplus({LOW: 1200, NORMAL: 100}, BUDGETS, 4.34) == {}
    assert digest_surplus({LOW: 10**6}, BUDGETS, inf) == {}


def test_digest_surplus_goes_down_to_half_the_budget() -> None:
    assert digest_surplus({LOW: 400}, BUDGETS, 1.0) == {LOW: 250}


def test_digest_surplus_counts_deliveries_of_higher_priority() -> None:
    assert digest_surplus({URGENT: 100, LOW: 250}, BUDGETS, 1.0) == {LOW: 200}
    assert digest_surplus({NORMAL: 130, LOW: 30}, BUDGETS, 1.0) == {NORMAL: 70}


def test_digest_surplus_of_normal_shortens_wait_of_low() -> None:
    assert digest_surplus({NORMAL: 500, LOW: 200}, BUDGETS, 1.0) == {NORMAL: 440}


def test_digest_surplus_never_has_urgent_or_high() -> None:
    assert digest_surplus({URGENT: 5000, HIGH: 5000}, BUDGETS, 1.0) == {}


def test_digest_surplus_below_minimum_is_left_alone() -> None:
    assert digest_surplus({URGENT: 300, LOW: MIN_DIGEST - 1}, BUDGETS, 1.0) == {}
    assert digest_surplus({URGENT: 300, LOW: MIN_DIGEST}, BUDGETS, 1.0) == {LOW: MIN_DIGEST}


def test_digest_surplus_is_empty_without_budget() -> None:
    assert digest_surplus({NORMAL: 5000, LOW: 5000}, Budgets(normal=None, low=None), 1.0) == {}
    assert digest_surplus({NORMAL: 5000, LOW: 5000}, None, 1.0) == {}
