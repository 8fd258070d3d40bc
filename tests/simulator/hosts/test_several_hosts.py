"""Several hosts send to one webhook like one host, whatever happens to them and to their engine."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bench.table import percentile
from tests.simulator.hosts.cluster import PASSING, Case, Fault, Finding, What, run
from tests.simulator.many import ONE, REAL, models
from tests.simulator.record import RunRecord
from tests.simulator.server import Model

from tocsind.policy.delivery import Priority

SILENT = Model.parse("fixed:5/2,leaky:30/60,silent")


def clean(case: Case) -> Finding:
    """Run; nothing may be refused, lost, left behind, or come again without a mark."""
    found = run(case)
    assert (found.record.lost, found.unmarked, found.left) == (0, 0, []), case
    assert not found.record.refused.total(), case
    return found


@pytest.mark.parametrize(("model", "hosts"), [(ONE, 2), (SILENT, 10)], ids=str)
def test_burst_over_hosts_takes_as_long_as_at_one_host(model: Model, hosts: int) -> None:
    alone, together = (clean(Case(model, "burst of 500", 0, n)).record for n in (0, hosts))
    assert (together.copies, together.overtaken) == (0, 0)
    for percent in (50, 99, 100):
        waits = [percentile([wait for _, wait in each.waits[Priority.NORMAL]], percent) for each in (alone, together)]
        assert waits[1] <= 1.1 * waits[0], percent


@pytest.mark.parametrize("seed", range(3))
def test_alerts_of_one_moment_over_hosts_share_their_messages(seed: int) -> None:
    alone, together = (clean(Case(ONE, "bar closes", seed, hosts, length=1.0)).record for hosts in (0, 12))
    assert alone.signals == together.signals == 60
    assert together.requests <= alone.requests
    assert mean_wait(together) <= 1.1 * mean_wait(alone)


@pytest.mark.parametrize("on_outage", ["degrade", "hold"])
def test_outage_of_the_engine_delays_no_longer_than_a_stop_of_one_host(on_outage: str) -> None:
    def disturbed(fault: What, hosts: int, seconds: float) -> RunRecord:
        faults = tuple(Fault(at, fault, None, seconds) for at in (7.0, 23.0, 41.0))
        return clean(Case(ONE, "mixed", 0, hosts, faults, on_outage, length=120.0)).record

    stopped = disturbed(What.STOP, 0, 12.5)  # until hosts have reported what they sent, and one has the lease
    assert mean_wait(disturbed(What.AWAY, 3, 10.0)) <= 1.1 * mean_wait(stopped)


def mean_wait(record: RunRecord) -> float:
    return fmean(wait for each in record.waits.values() for _, wait in each)


@pytest.mark.parametrize("fault", What, ids=str)
def test_fault_refuses_and_loses_nothing(fault: What) -> None:
    lengths = (0.5, 1.0, 2.0) if fault is What.LOSE_TAIL else (0.5, 4.0, 12.0)
    faults = tuple(Fault(at, fault, None, length) for at, length in zip((9.5, 21.0, 35.0), lengths, strict=True))
    clean(Case(ONE, "mixed", 3, 3, faults, length=60.0))


FOUND = {
    "news of an item whose offer was not answered": Case(
        ONE, "4/s", 16, 3, (Fault(25.0, What.DEAF, 1, 12.8), Fault(38.1, What.CUT_OFF)), length=60.0
    ),
    "an old holder returns after the engine forgot": Case(
        ONE,
        "mixed",
        2019,
        3,
        (
            Fault(6.53, What.TERMINATE, None, 0.65),
            Fault(14.71, What.STOP, None, 14.83),
            Fault(22.3, What.KILL, 0, 3.13),
            Fault(36.85, What.FORGET),
        ),
        "hold",
        length=60.0,
    ),
    "what was sent before the engine forgot is offered to a new holder": Case(
        ONE,
        "4/s",
        1018,
        4,
        (Fault(8.67, What.STOP, 1, 13.47), Fault(12.99, What.FORGET), Fault(19.09, What.KILL, 0, 3.93)),
        "hold",
        length=60.0,
    ),
    "a new holder after a failover": Case(
        ONE, "4/s", 1023, 4, (Fault(57.21, What.LOSE_TAIL, None, 1.07),), length=60.0
    ),
    "news of what is about to be sent here as well": Case(
        ONE, "4/s", 0, 2, tuple(Fault(at * 1.013, What.STOP, None, 3.0) for at in range(3, 36, 4)), length=40.0
    ),
    "a failover forgets ends": Case(ONE, "burst of 500", 1006, 3, (Fault(0.74, What.LOSE_TAIL, None, 0.71),), "hold"),
}


@pytest.mark.parametrize("case", FOUND.values(), ids=FOUND)
def test_schedule_that_once_failed(case: Case) -> None:
    clean(case)


@st.composite
def schedules(draw: st.DrawFn) -> Case:
    """Any faults of any length at any time; an engine's outages do not overlap."""
    hosts = draw(st.integers(2, 4))
    some = st.builds(
        Fault,
        st.floats(0.0, 60.0),
        st.sampled_from(PASSING),
        st.none() | st.integers(0, hosts - 1),
        st.floats(0.1, 2.0) | st.floats(0.1, 15.0),
    )
    faults, free_from = list[Fault](), 0.0
    for each in sorted(draw(st.lists(some, max_size=6)), key=lambda each: each.at):
        seconds = min(each.seconds, 2.0) if each.what is What.LOSE_TAIL else each.seconds
        if each.what in {What.AWAY, What.RESTART, What.LOSE_TAIL}:
            if each.at - seconds < free_from:
                continue
            free_from = each.at + seconds + 1.0
        faults.append(each._replace(seconds=seconds))
    model = draw(st.sampled_from(models([REAL])))
    workload, outage = draw(st.sampled_from(["mixed", "4/s", "bar closes"])), draw(st.sampled_from(["hold", "degrade"]))
    return Case(model, workload, draw(st.integers(0, 999)), hosts, tuple(faults), outage, length=60.0)


@settings(max_examples=5, derandomize=True)
@given(schedules())
def test_any_schedule_of_faults_refuses_and_loses_nothing(case: Case) -> None:
    clean(case)


@pytest.mark.slow
@settings(max_examples=15, derandomize=True)
@given(schedules())
def test_many_schedules_of_faults_refuse_and_lose_nothing(case: Case) -> None:
    clean(case)
