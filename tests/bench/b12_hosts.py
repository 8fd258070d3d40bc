"""B12: several hosts that share one webhook, beside one host alone at the same load, over all ways in which a server may count.

Virtual time. The hosts run the daemon's own code from acceptance to messages, with leases, hand-over and the engine in memory
(tests/simulator/hosts). The signals of a workload fall on hosts at random; the hosts' clocks differ by up to a day.

    429s            refusals over all models
    p50 s, p99 s    from the hand-off to the instant at which the server counted it: the worst model
    p50 x, p99 x    the same against one host under the same model: the worst ratio
    URGENT p99 s    the same for URGENT alone: the worst model
    left            what was lost, or has an end that some host or the engine will never learn
    copies          arrivals beyond the first: what was in flight at a fault
    unmarked        copies that do not say so
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final, NamedTuple

from tests.simulator.hosts.cluster import Case, Fault, Finding, What, run
from tests.simulator.many import SMALL, models
from tests.simulator.server import Model

from tocsind.policy.delivery import Priority

from .command import Size, main
from .table import Row, Table, percentile

EVERY: Final = {Size.TINY: 80, Size.QUICK: 10, Size.FULL: 1}  # so many models are one
SECONDS: Final = {Size.TINY: 20.0, Size.QUICK: 120.0, Size.FULL: 120.0}  # of a workload that lasts
MANY, EVERY_OF_MANY = 100, 16  # the largest number of hosts, and for it one model of so many
HOSTS: Final = {Size.TINY: (2,), Size.QUICK: (2, 10), Size.FULL: (2, 10, MANY)}
WORKLOADS: Final = ("burst of 500", "1/s", "mixed")
BURST: Final = WORKLOADS[0]
FEW: Final = 3  # hosts, where there are faults
TIMES: Final = (7.0, 23.0, 41.0)  # s at which there is a fault


class Fate(NamedTuple):
    """Faults: their name in the table, and what happens at each of the times."""

    name: str
    what: What
    seconds: float
    on_outage: str = "degrade"


FATES: Final = (
    Fate("the sending host is killed", What.KILL, 5.0),
    Fate("the sending host is stopped for 5 s", What.STOP, 5.0),
    Fate("the sending host is cut off for 5 s", What.CUT_OFF, 5.0),
    Fate("the engine restarts within 5 s, hold", What.RESTART, 5.0, "hold"),
    Fate("the engine is away for 10 s, degrade", What.AWAY, 10.0),
    Fate("the engine forgets everything", What.FORGET, 0.0),
    Fate("the engine fails over, its last 2 s lost", What.LOSE_TAIL, 2.0),
)


def measure(size: Size) -> Table:
    """The table of B12."""
    groups = dict(_groups(size))
    cases = list(dict.fromkeys(case for group in groups.values() for case in group))
    found = dict(zip(cases, _run_all(cases), strict=True))
    return Table(
        bench="b12",
        title="several hosts on one webhook, in virtual time: the worst over all models of a server",
        rows=[Row(name, _figures(group, found)) for name, group in groups.items()],
        counts={
            "sent": sum(each.record.signals for each in found.values()),
            "arrived": sum(each.record.signals - each.record.lost for each in found.values()),
        },
        notes=[
            f"{len(_models(size))} models of {len(models())}; for {MANY} hosts and for faults one model in {EVERY_OF_MANY}",
            f"1/s and mixed for {SECONDS[size]:g} s; faults at {FEW} hosts, three in each run of mixed",
        ],
    )


def _groups(size: Size) -> Iterator[tuple[str, list[Case]]]:
    for workload in WORKLOADS:
        length = None if workload == BURST else SECONDS[size]
        for hosts in (0, *HOSTS[size]):
            every = EVERY_OF_MANY if hosts == MANY else 1
            name = f"{workload}: {hosts} hosts" if hosts else f"{workload}: one host"
            yield name, [Case(model, workload, 0, hosts, length=length) for model in _models(size)[::every]]
    for fate in FATES if size is not Size.TINY else ():
        faults = tuple(Fault(at, fate.what, None, fate.seconds) for at in TIMES)
        some = models()[::EVERY_OF_MANY]
        yield (
            fate.name,
            [Case(model, "mixed", 0, FEW, faults, fate.on_outage, length=SECONDS[size]) for model in some],
        )


def _models(size: Size) -> list[Model]:
    return models()[:: EVERY[size]]


def _run_all(cases: Sequence[Case]) -> list[Finding]:
    if len(cases) <= SMALL:
        return [run(case) for case in cases]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, cases))


def _figures(group: Sequence[Case], found: dict[Case, Finding]) -> dict[str, float]:
    every = [found[case] for case in group]
    waits = [_waits(each) for each in every]
    alone = [found.get(case._replace(hosts=0, faults=(), on_outage="degrade")) for case in group]
    figures = {"429s": float(sum(each.record.refused.total() for each in every))}
    figures |= {f"p{n} s": max(percentile(each, n) for each in waits) for n in (50, 99)}
    if group[0].hosts:
        pairs = [(mine, _waits(one)) for mine, one in zip(waits, alone, strict=True) if one]
        figures |= {f"p{n} x": max(percentile(a, n) / percentile(b, n) for a, b in pairs) for n in (50, 99)}
    urgent = [[wait for _, wait in each.record.waits.get(Priority.URGENT, ())] for each in every]
    if all(urgent):
        figures["URGENT p99 s"] = max(percentile(each, 99) for each in urgent)
    figures["left"] = float(sum(each.record.lost + len(each.left) for each in every))
    figures["copies"] = float(sum(each.record.copies for each in every))
    figures["unmarked"] = float(sum(each.unmarked for each in every))
    return figures


def _waits(found: Finding) -> list[float]:
    return [wait for priority in Priority for _, wait in found.record.waits.get(priority, ())]


if __name__ == "__main__":
    main({"b12": measure})
