"""B5: pacing in virtual time, over all ways in which a server may count, beside other senders. Nothing here depends on the machine.

tests/simulator describes the models. A row is a workload and a sender; its figure is that of the worst model.

    429s, of 100    refusals, and how many there were for each hundred requests
    p50 s, p99 s    from the hand-off to the instant at which the server counted it, of what was accepted
    x floor         the end of a burst against the least that full messages, without latency, can take for a sender that does not know
                    how the limits are counted: sliding logs of both (`tests.simulator.floor`). The median over the seeds
    x omniscient    the same against a sender that knows how and in which phase the server counts, which is impossible
    lost            not accepted when the address was banned (10,000 invalid requests in 10 min), or within six hours
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from statistics import median
from typing import NamedTuple

from tests.simulator.floor import omniscient, universal
from tests.simulator.many import RATES, REAL, models, run_all
from tests.simulator.record import RunRecord
from tests.simulator.scenario import Foreign, Scenario, ahead
from tests.simulator.server import Model
from tests.simulator.world import BEGIN

from tocsind.policy.delivery import Priority

from .command import Size, main
from .table import Row, Table, percentile

TOCSIN = "tocsin"
SENDERS = (TOCSIN, "headers only", "one each")
SEEDS = {Size.TINY: 1, Size.QUICK: 1, Size.FULL: 3}
BURST = "burst of 500"

Runs = Sequence[tuple[Scenario, RunRecord]]


class Case(NamedTuple):
    """The rows of all senders with the same scenarios."""

    name: str
    workload: str
    models: Sequence[Model]
    kills: int = 0
    foreign: Foreign | None = None
    senders: tuple[str, ...] = SENDERS

    def scenarios(self, sender: str, seeds: int) -> list[Scenario]:
        """Every model with every seed."""
        return [
            Scenario(model, self.workload, seed, sender, kills=self.kills, foreign=self.foreign)
            for model in self.models
            for seed in range(seeds)
        ]


def measure(size: Size) -> Table:
    """The table of B5."""
    rows, sent, arrived = list[Row](), 0, 0
    for case in _cases(size):  # one by one: all runs at once would not fit into memory
        jobs = {sender: case.scenarios(sender, SEEDS[size]) for sender in case.senders}
        records = iter(run_all([scenario for scenarios in jobs.values() for scenario in scenarios]))
        for sender, scenarios in jobs.items():
            runs = [(scenario, next(records)) for scenario in scenarios]
            rows += _rows(case, sender, runs)
            if sender == TOCSIN:
                sent += sum(record.signals for _, record in runs)
                arrived += sum(record.signals - record.lost for _, record in runs)
    return Table(
        bench="b5",
        title="pacing in virtual time: the worst over all models of a server",
        rows=rows,
        counts={"sent": sent, "arrived": arrived},
        notes=[
            (
                f"{len(_every(size))} models of {len(models())}, {SEEDS[size]} seeds each: webhook and channel each fixed window, "
                f"aligned, sliding log, leaky; 5 in 1, 2, 5 s; with and without headers; 30 in 60 s in the channel"
            ),
        ],
    )


def _cases(size: Size) -> Iterator[Case]:
    every = _every(size)
    for rate in RATES:
        some = models([rate], silent=False)[:: {Size.TINY: 8, Size.QUICK: 3, Size.FULL: 1}[size]]
        yield Case(f"{BURST}, webhook {rate[0]} in {rate[1]:g} s", BURST, some)
    for workload in ("1/s", "4/s", "bar closes", "mixed"):
        yield Case(workload, workload, every)
    yield Case("mixed, 6 power cuts", "mixed", every, kills=6, senders=(TOCSIN,))
    others = models([REAL], silent=False)[:: {Size.TINY: 16, Size.QUICK: 3, Size.FULL: 1}[size]]
    yield Case("1/s, others post 10 a minute", "1/s", others, foreign=Foreign(10))
    yield Case("4/s, others post 4 at a time", "4/s", others, foreign=Foreign(8, 4))


def _every(size: Size) -> list[Model]:
    """As many seeds as the size allows."""
    return models()[:: {Size.TINY: 40, Size.QUICK: 7, Size.FULL: 1}[size]]


def _rows(case: Case, sender: str, runs: Runs) -> Iterator[Row]:
    yield Row(f"{case.name}: {sender}", _figures(runs))
    priorities = sorted({priority for _, record in runs for priority in record.waits})
    for priority in priorities if len(priorities) > 1 else ():
        yield Row(f"{case.name}, {priority.label}: {sender}", _patience(runs, (priority,)))


def _figures(runs: Runs) -> dict[str, float]:
    records = [record for _, record in runs]
    refused = sum(record.refused.total() for record in records)
    figures = {"429s": float(refused), "of 100": 100 * refused / sum(record.requests for record in records)}
    figures |= _patience(runs, Priority)
    lost = sum(record.lost for record in records)
    if runs[0][0].workload == BURST and not lost:
        figures |= _endings(runs)
    return {**figures, "lost": float(lost)}


def _patience(runs: Runs, priorities: Iterable[Priority]) -> dict[str, float]:
    """The waits under the worst model, over its seeds."""
    found: dict[Model, list[float]] = {}
    for (scenario, record), priority in product(runs, priorities):
        found.setdefault(scenario.model, []).extend(wait for _, wait in record.waits.get(priority, ()))
    return {f"p{n} s": max(percentile(waits, n) for waits in found.values() if waits) for n in (50, 99)}


def _endings(runs: Runs) -> dict[str, float]:
    floor: dict[Model, list[float]] = {}
    clairvoyant: dict[Model, list[float]] = {}
    for scenario, record in runs:
        model, took = scenario.model, record.finished - BEGIN
        floor.setdefault(model, []).append(took / universal(model, record.signals))
        clairvoyant.setdefault(model, []).append(took / omniscient(model, record.signals, BEGIN + ahead(scenario.seed)))
    return {
        name: max(map(median, ratios.values())) for name, ratios in (("x floor", floor), ("x omniscient", clairvoyant))
    }


if __name__ == "__main__":
    main({"b5": measure})
