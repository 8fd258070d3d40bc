"""Several hosts send to one webhook like one host, whatever happens to them and to their engine."""

from __future__ import annotations

import pytest
from tests.bench.table import percentile
from tests.simulator.hosts.cluster import Case, Fault, Finding, What, run
from tests.simulator.many import ONE
from tests.simulator.server import Model

from tocsind.policy.delivery import Priority

SILENT = Model.parse("fixed:5/2,leaky:30/60,silent")


def clean(case: Case) -> Finding:
    """Run; nothing may be refused, lost, left behind, or come again without a mark."""
    found = run(case)
    assert (found.record.lost, found.unmarked, found.left) == (0, 0, []), case
    assert not found.record.refused.total(), case
    return found


@pytest.mark.parametrize("model", [ONE, SILENT], ids=str)
@pytest.mark.parametrize("hosts", [2, 10])
def test_burst_over_hosts_takes_as_long_as_at_one_host(model: Model, hosts: int) -> None:
    alone, together = (clean(Case(model, "burst of 500", 0, n)).record for n in (0, hosts))
    assert (together.copies, together.overtaken) == (0, 0)
    for percent in (50, 99, 100):
        waits = [percentile([wait for _, wait in each.waits[Priority.NORMAL]], percent) for each in (alone, together)]
        assert waits[1] <= 1.1 * waits[0], percent


@pytest.mark.parametrize(
    "fault", [What.KILL, What.TERMINATE, What.STOP, What.CUT_OFF, What.DEAF, What.AWAY, What.FORGET], ids=str
)
def test_fault_refuses_and_loses_nothing(fault: What) -> None:
    faults = (Fault(9.5, fault, None, 0.5), Fault(21.0, fault, None, 4.0), Fault(35.0, fault, None, 12.0))
    clean(Case(ONE, "mixed", 3, 3, faults, length=60.0))
