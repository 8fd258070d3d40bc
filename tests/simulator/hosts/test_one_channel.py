"""Hosts with several webhooks of one channel send to it like one host, also when a host has only some of the webhooks."""

from __future__ import annotations

import pytest
from tests.bench.table import percentile
from tests.simulator.hosts.cluster import Case, Fault, What
from tests.simulator.hosts.test_several_hosts import SILENT, clean
from tests.simulator.many import ONE
from tests.simulator.server import Model

from tocsind.policy.delivery import Priority

Webhooks = tuple[tuple[int, ...], ...]
ALL, SOME, ONE_EACH = ((0, 1), (0, 1)), ((0, 1), (1, 0), (1,), (2,)), ((0,), (1,), (2,))


@pytest.mark.parametrize("model", [ONE, SILENT], ids=str)
@pytest.mark.parametrize("webhooks", [ALL, SOME], ids=str)
def test_burst_over_webhooks_takes_as_long_as_at_one_host(model: Model, webhooks: Webhooks) -> None:
    every = tuple(sorted({each for some in webhooks for each in some}))
    alone = clean(Case(model, "burst of 500", 2, webhooks=(every,))).record
    together = clean(Case(model, "burst of 500", 2, len(webhooks), webhooks=webhooks)).record
    assert together.copies == 0
    for percent in (50, 99, 100):
        waits = [percentile([wait for _, wait in each.waits[Priority.NORMAL]], percent) for each in (alone, together)]
        assert waits[1] <= 1.1 * waits[0], percent


def test_steady_signals_to_webhooks_that_every_host_has_wait_as_long_as_at_one_host() -> None:
    every = (0, 1, 2)
    cases = [Case(ONE, "1/s", 0, hosts, length=150.0, webhooks=(every,)) for hosts in (0, 4)]
    alone, together = (clean(case).record.waits[Priority.NORMAL] for case in cases)
    for percent in (50, 99):
        waits = [percentile([wait for _, wait in each], percent) for each in (alone, together)]
        assert waits[1] <= 1.1 * waits[0], percent


@pytest.mark.parametrize("webhooks", [ONE_EACH, SOME], ids=str)
def test_urgent_of_any_host_goes_before_low_at_other_webhooks(webhooks: Webhooks) -> None:
    case = Case(ONE, "backlog, 4 urgent", 0, len(webhooks), length=150.0, webhooks=webhooks)
    waits = [wait for _, wait in clean(case).record.waits[Priority.URGENT]]
    assert max(waits) <= 2.5


@pytest.mark.parametrize("webhooks", [ALL, SOME], ids=str)
@pytest.mark.parametrize("fault", [What.KILL, What.STOP, What.AWAY, What.FORGET], ids=str)
def test_fault_with_several_webhooks_refuses_and_loses_nothing(fault: What, webhooks: Webhooks) -> None:
    faults = (Fault(9.5, fault, None, 0.5), Fault(21.0, fault, 1, 4.0), Fault(35.0, fault, None, 12.0))
    clean(Case(ONE, "mixed", 3, len(webhooks), faults, length=60.0, webhooks=webhooks))
