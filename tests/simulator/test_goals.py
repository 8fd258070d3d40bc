"""What is promised of pace, over every way in which a server may count."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bench.table import percentile
from tests.simulator.floor import universal
from tests.simulator.journal import Rules
from tests.simulator.many import ONE, RATES, REAL, models
from tests.simulator.record import Book, waits
from tests.simulator.scenario import Foreign, Scenario, run
from tests.simulator.server import Model
from tests.simulator.workloads import WORKLOADS
from tests.simulator.world import BEGIN

from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority

EVERY = models()
REALS = models([REAL], silent=False)
SOME = REALS[::5]  # each way of counting once for the webhook and once for the channel


def ran(scenario: Scenario) -> Book:
    """What became of it: everything arrived, in order."""
    book = run(scenario)
    assert (book.lost, book.overtaken, book.banned) == (0, 0, False), scenario
    return book


def clean(scenario: Scenario) -> Book:
    """And nothing was refused."""
    book = ran(scenario)
    assert not book.refused.total(), scenario
    return book


@settings(max_examples=40)
@given(
    model=st.sampled_from(EVERY),
    workload=st.sampled_from(list(WORKLOADS)),
    seed=st.integers(0, 2**32),
    kills=st.integers(0, 12),
    webhooks=st.integers(1, 3),
    keys=st.integers(1, 2),
)
def test_nothing_is_refused_lost_or_overtaken_whatever_is_cut(
    *, model: Model, workload: str, seed: int, kills: int, webhooks: int, keys: int
) -> None:
    book = clean(Scenario(model, workload, seed, kills=kills, webhooks=webhooks, keys=keys))
    assert kills or not book.copies


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_no_model_refuses_anything_of_a_burst_with_power_cuts_in_it(model: Model) -> None:
    for seed in range(4):
        clean(Scenario(model, "burst of 500", seed, kills=8))


@pytest.mark.parametrize("rate", RATES)
def test_a_burst_ends_within_five_percent_of_the_floor(rate: tuple[int, float]) -> None:
    """A silent webhook is asked by the rate that is known for all of them, so only that rate is tried without headers."""
    for model in models([rate], silent=rate == REAL):
        took = [clean(Scenario(model, "burst of 500", seed)).finished - BEGIN for seed in range(5)]
        assert median(took) <= 1.05 * universal(model, 500), model


def test_at_one_a_second_at_most_one_of_a_hundred_waits_longer_than_two_and_a_half_seconds() -> None:
    for model in SOME:
        found = waits((clean(Scenario(model, "1/s", seed)) for seed in range(5)), Priority.NORMAL)
        assert percentile(found, 99) <= 2.5, model


@pytest.mark.parametrize("ours", [None, Rate(30, 60.0), Rate(20, 60.0), Rate(15, 60.0)], ids=str)
def test_first_ten_alerts_of_a_quiet_channel_leave_within_three_seconds(ours: Rate | None) -> None:
    for model in SOME:
        books = [clean(Scenario(model, "first ten", seed, rules=Rules(ours=ours))) for seed in range(20)]
        assert max(waits(books, Priority.NORMAL)) <= 3.0, model


@pytest.mark.parametrize("foreign", [Foreign(1), Foreign(10), Foreign(8, 4), Foreign(10, 10)])
def test_where_others_post_too_less_than_three_of_a_hundred_requests_are_refused(foreign: Foreign) -> None:
    for model in SOME:
        books = [ran(Scenario(model, load, seed, foreign=foreign)) for load in ("1/s", "mixed") for seed in range(3)]
        assert sum(book.refused["shared"] for book in books) < 0.03 * sum(book.requests for book in books), model
        assert not any(book.refused["user"] for book in books), model


@pytest.mark.parametrize(("urgent", "after"), [(4, 0.0), (10, 120.0)])
def test_an_urgent_one_never_stands_behind_a_thousand_low(urgent: int, after: float) -> None:
    for model in SOME[::2]:
        books = [clean(Scenario(model, f"backlog, {urgent} urgent", seed)) for seed in range(12)]
        assert percentile(waits(books, Priority.URGENT, after), 99) <= 2.5, model


def test_no_minute_holds_more_than_the_users_own_limit() -> None:
    left: list[float] = []
    scenario = Scenario(ONE, "mixed", 0, kills=4, rules=Rules(ours=Rate(10, 60.0)))
    run(scenario, lambda now, line: left.append(now) if line.startswith("send") else None)
    assert len(left) > 100
    assert all(eleventh >= first + 60.0 for first, eleventh in zip(left, left[10:], strict=False)), scenario


def test_several_webhooks_share_the_channel_and_are_no_faster_for_it() -> None:
    book = clean(Scenario(ONE, "burst of 500", 0, webhooks=3))
    assert book.finished - BEGIN > 60.0
