"""B12: several hosts that share one webhook, beside one host alone at the same load, over all ways in which a server may count.

Virtual time. The hosts run the daemon's own code from acceptance to messages, with leases, hand-over and the engine in memory
(tests/simulator/hosts). The signals of a workload fall on hosts at random; the hosts' clocks differ by up to a day.

    429s            refusals over all models
    p50 s, p99 s    from the hand-off to the instant at which the server counted it, over all loads of a model: the worst model
    mean s          the same, the mean
    p50 x, p99 x    the same against one host under the same model and the same loads: the worst ratio
    mean x
    URGENT p99 s    the same for URGENT alone: the worst model
    left            what was lost, or has an end that some host or the engine will never learn
    copies          arrivals beyond the first: what was in flight at a fault
    unmarked        copies that do not say so

Half of the alerts of a mixed load leave at once, the others wait for the next message, seconds later. Where the median lies between the
two, 20 ms more or less make it another one, at one host as well: under `fixed:5/5,fixed:30/60` one host has 1.24 to 1.80 s, if nothing but
the latencies of the server is drawn again. So the loads that last are drawn several times, and the waits of all draws are one sample; the
row "one host, other latencies" is one host against itself, which shows how much of a ratio is chance.

During an outage of the engine other priorities wait, by design. The row "one host is stopped" is what such a break costs one host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import fmean
from typing import Final, NamedTuple

from tests.simulator.hosts.cluster import Case, Fault, Finding, What, run
from tests.simulator.many import SMALL, models
from tests.simulator.server import Model

from tocsind.policy.delivery import Priority

from .command import Size, main
from .table import Row, Table, percentile

EVERY: Final = {Size.TINY: 80, Size.QUICK: 10, Size.FULL: 1}  # so many models are one
LOADS: Final = {Size.TINY: 1, Size.QUICK: 3, Size.FULL: 3}  # draws of a mixed load, and of a load with faults
SECONDS: Final = {Size.TINY: 20.0, Size.QUICK: 120.0, Size.FULL: 120.0}  # of a workload that lasts
MANY, EVERY_OF_MANY = 100, 16  # the largest number of hosts, and for it one model of so many
HOSTS: Final = {Size.TINY: (2,), Size.QUICK: (2, 10), Size.FULL: (2, 10, MANY)}
WORKLOADS: Final = ("burst of 500", "1/s", "mixed")
BURST, MIXED = WORKLOADS[0], WORKLOADS[2]
FEW: Final = 3  # hosts, where there are faults
TIMES: Final = (7.0, 23.0, 41.0)  # s at which there is a fault
STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "p50": lambda waits: percentile(waits, 50),
    "p99": lambda waits: percentile(waits, 99),
    "mean": fmean,
}


class Fate(NamedTuple):
    """Faults: their name in the table, and what happens at each of the times."""

    name: str
    what: What
    seconds: float
    on_outage: str = "degrade"
    hosts: int = FEW


FATES: Final = (
    Fate("the sending host is killed", What.KILL, 5.0),
    Fate("the sending host is stopped for 5 s", What.STOP, 5.0),
    Fate("the sending host is cut off for 5 s", What.CUT_OFF, 5.0),
    Fate("the engine restarts within 5 s, hold", What.RESTART, 5.0, "hold"),
    Fate("the engine is away for 10 s, degrade", What.AWAY, 10.0),
    Fate("the engine is away for 10 s, hold", What.AWAY, 10.0, "hold"),
    Fate("one host is stopped for 12 s", What.STOP, 12.0, hosts=0),
    Fate("the engine forgets everything", What.FORGET, 0.0),
    Fate("the engine fails over, its last 2 s lost", What.LOSE_TAIL, 2.0),
)


def measure(size: Size) -> Table:
    """The table of B12."""
    groups = dict(_groups(size))
    cases = list(dict.fromkeys(each for group in groups.values() for case in group for each in (case, _one_host(case))))
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
            f"{LOADS[size]} loads where it is mixed, but for {MANY} hosts",
        ],
    )


def _groups(size: Size) -> Iterator[tuple[str, list[Case]]]:
    for workload in WORKLOADS:
        length = None if workload == BURST else SECONDS[size]
        for hosts in (0, *HOSTS[size]):
            every = EVERY_OF_MANY if hosts == MANY else 1
            name = f"{workload}: {hosts} hosts" if hosts else f"{workload}: one host"
            loads = LOADS[size] if workload == MIXED and hosts != MANY else 1
            cases = [Case(model, workload, 0, hosts, length=length) for model in _models(size)[::every]]
            yield name, _over(cases, loads)
            if workload == MIXED and not hosts:
                yield f"{name}, other latencies", _over([case._replace(answers=1) for case in cases], loads)
    for fate in FATES if size is not Size.TINY else ():
        faults = tuple(Fault(at, fate.what, None, fate.seconds) for at in TIMES)
        some = models()[::EVERY_OF_MANY]
        cases = [Case(model, MIXED, 0, fate.hosts, faults, fate.on_outage, length=SECONDS[size]) for model in some]
        yield fate.name, _over(cases, LOADS[size])


def _over(cases: Sequence[Case], loads: int) -> list[Case]:
    """Each case with each of so many loads."""
    return [case._replace(seed=seed) for case in cases for seed in range(loads)]


def _models(size: Size) -> list[Model]:
    return models()[:: EVERY[size]]


def _run_all(cases: Sequence[Case]) -> list[Finding]:
    if len(cases) <= SMALL:
        return [run(case) for case in cases]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, cases))


def _figures(group: Sequence[Case], found: dict[Case, Finding]) -> dict[str, float]:
    every = [found[case] for case in group]
    waits = _by_model(group, found)
    figures = {"429s": float(sum(each.record.refused.total() for each in every))}
    figures |= {f"{name} s": max(map(of, waits.values())) for name, of in STATISTICS.items()}
    one = [_one_host(case) for case in group]
    if one != group:
        alone = _by_model(one, found)
        figures |= {
            f"{name} x": max(of(waits[model]) / of(alone[model]) for model in waits) for name, of in STATISTICS.items()
        }
    urgent = list(_by_model(group, found, (Priority.URGENT,)).values())
    if all(urgent):
        figures["URGENT p99 s"] = max(percentile(each, 99) for each in urgent)
    figures["left"] = float(sum(each.record.lost + len(each.left) for each in every))
    figures["copies"] = float(sum(each.record.copies for each in every))
    figures["unmarked"] = float(sum(each.unmarked for each in every))
    return figures


def _one_host(case: Case) -> Case:
    """The same load at one host, undisturbed."""
    return case._replace(hosts=0, faults=(), on_outage="degrade", answers=0)


def _by_model(
    group: Sequence[Case], found: dict[Case, Finding], priorities: Iterable[Priority] = tuple(Priority)
) -> dict[Model, list[float]]:
    """The waits over all loads of each model."""
    waits: dict[Model, list[float]] = {case.model: [] for case in group}
    for case in group:
        for priority in priorities:
            waits[case.model] += [wait for _, wait in found[case].record.waits.get(priority, ())]
    return waits


if __name__ == "__main__":
    main({"b12": measure})
