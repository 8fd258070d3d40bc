"""Hosts report of expired signals what the server saw, through faults of the hosts and of their engine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.simulator.hosts.cluster import Case, Fault, Finding, What, run
from tests.simulator.hosts.test_several_hosts import schedules
from tests.simulator.many import ONE

SOON = (0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 16.0)  # s: some expire before they are handed over, some in flight


def true(case: Case) -> Finding:
    """Run; no host may contradict the server, and nothing may be left behind or come again without a mark."""
    found = run(case)
    assert (found.contradictions, found.unmarked, found.left) == ([], 0, []), case
    return found


@pytest.mark.parametrize("hosts", [0, 3])
def test_signals_expire_or_are_sent_as_their_hosts_say(hosts: int) -> None:
    found = true(Case(ONE, "burst of 500", 1, hosts, expires=SOON))
    assert set(found.states) == {"sent", "expired"}
    assert min(found.states.values()) > 20


@pytest.mark.parametrize("fault", What, ids=str)
def test_hosts_say_the_truth_after_a_fault(fault: What) -> None:
    faults = (Fault(5.0, fault, None, 1.5), Fault(15.0, fault, 0, 0.5), Fault(25.0, fault, None, 6.0))
    true(Case(ONE, "mixed", 5, 3, faults, length=40.0, expires=SOON))


@settings(max_examples=5, derandomize=True)
@given(schedules())
def test_hosts_say_the_truth_after_any_schedule_of_faults(case: Case) -> None:
    true(case._replace(expires=SOON))


@pytest.mark.slow
@settings(max_examples=15, derandomize=True)
@given(schedules())
def test_hosts_say_the_truth_after_many_schedules_of_faults(case: Case) -> None:
    true(case._replace(expires=SOON))
