"""The goals of pacing, over every way in which a server may count."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bench.table import percentile
from tests.simulator.floor import universal
from tests.simulator.journal import Rules
from tests.simulator.many import ONE, RATES, REAL, models
from tests.simulator.record import RunRecord, waits
from tests.simulator.scenario import Foreign, Scenario, run
from tests.simulator.server import Model
from tests.simulator.workloads import WORKLOADS
from tests.simulator.world import BEGIN

from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority

EVERY = models()
REALS = models([REAL], silent=False)
SOME = REALS[::5]  # each way of counting once for the webhook and once for the channel


def ran(scenario: Scenario) -> RunRecord:
    """Run; every signal must arrive, in order."""
    record = run(scenario)
    assert (record.lost, record.overtaken, record.banned) == (0, 0, False), scenario
    return record


def clean(scenario: Scenario) -> RunRecord:
    """Run; as above, and no request may be refused."""
    record = ran(scenario)
    assert not record.refused.total(), scenario
    return record


@settings(max_examples=40)
@pytest.mark.slow
@given(
    model=st.sampled_from(EVERY),
    workload=st.sampled_from(list(WORKLOADS)),
    seed=st.integers(0, 2**32),
    kills=st.integers(0, 12),
    webhooks=st.integers(1, 3),
    keys=st.integers(1, 2),
)
def test_any_scenario_with_kills_refuses_loses_and_overtakes_nothing(
    *, model: Model, workload: str, seed: int, kills: int, webhooks: int, keys: int
) -> None:
    record = clean(Scenario(model, workload, seed, kills=kills, webhooks=webhooks, keys=keys))
    assert kills or not record.copies


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_burst_with_kills_is_refused_by_no_model(model: Model) -> None:
    for seed in range(4):
        clean(Scenario(model, "burst of 500", seed, kills=8))


@pytest.mark.parametrize("rate", RATES)
def test_burst_ends_within_five_percent_of_the_floor(rate: tuple[int, float]) -> None:
    """A sender uses the published rate for a silent webhook, so only that rate is tested without headers."""
    for model in models([rate], silent=rate == REAL):
        took = [clean(Scenario(model, "burst of 500", seed)).finished - BEGIN for seed in range(5)]
        assert median(took) <= 1.05 * universal(model, 500), model


def test_one_signal_a_second_has_p99_wait_of_2500_ms() -> None:
    for model in SOME:
        found = waits((clean(Scenario(model, "1/s", seed)) for seed in range(5)), Priority.NORMAL)
        assert percentile(found, 99) <= 2.5, model


@pytest.mark.parametrize("ours", [None, Rate(30, 60.0), Rate(20, 60.0), Rate(15, 60.0)], ids=str)
def test_first_ten_signals_of_quiet_channel_leave_within_three_seconds(ours: Rate | None) -> None:
    for model in SOME:
        records = [clean(Scenario(model, "first ten", seed, rules=Rules(ours=ours))) for seed in range(20)]
        assert max(waits(records, Priority.NORMAL)) <= 3.0, model


@pytest.mark.parametrize("foreign", [Foreign(1), Foreign(10), Foreign(8, 4), Foreign(10, 10)])
def test_foreign_posts_cause_429s_in_less_than_three_percent_of_requests(foreign: Foreign) -> None:
    for model in SOME:
        records = [ran(Scenario(model, load, seed, foreign=foreign)) for load in ("1/s", "mixed") for seed in range(3)]
        assert sum(record.refused["shared"] for record in records) < 0.03 * sum(
            record.requests for record in records
        ), model
        assert not any(record.refused["user"] for record in records), model


@pytest.mark.parametrize(("urgent", "after"), [(4, 0.0), (10, 120.0)])
def test_urgent_signal_overtakes_thousand_low_ones(urgent: int, after: float) -> None:
    for model in SOME[::2]:
        records = [clean(Scenario(model, f"backlog, {urgent} urgent", seed)) for seed in range(12)]
        assert percentile(waits(records, Priority.URGENT, after), 99) <= 2.5, model


def test_configured_limit_holds_in_every_minute() -> None:
    left: list[float] = []
    scenario = Scenario(ONE, "mixed", 0, kills=4, rules=Rules(ours=Rate(10, 60.0)))
    run(scenario, lambda now, line: left.append(now) if line.startswith("send") else None)
    assert len(left) > 100
    assert all(eleventh >= first + 60.0 for first, eleventh in zip(left, left[10:], strict=False)), scenario


def test_several_webhooks_share_the_limit_of_their_channel() -> None:
    record = clean(Scenario(ONE, "burst of 500", 0, webhooks=3))
    assert record.finished - BEGIN > 60.0
