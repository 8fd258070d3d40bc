"""B6: URGENT at random instants into a backlog of LOW that never ends, on one channel; beside a sender without priorities.

Virtual time (tests/simulator), webhook 5 in 2 s and channel 30 in 60 s, each counted in every way; the worst model is shown. 1,000 LOW
wait at the beginning, three a second come behind them, and in each of ten minutes so many URGENT fall at random. The other sender is as
good as tocsin at everything else: the same limits, the same full messages, no reserve to keep, first come, first served.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.simulator.many import REAL, models, run_all
from tests.simulator.record import RunRecord
from tests.simulator.scenario import Scenario
from tests.simulator.server import Model
from tests.simulator.world import BEGIN

from tocsind.policy.delivery import Priority

from .command import Size, main
from .table import Row, Table, percentile

SENDERS = ("tocsin", "first come")
SEEDS = {Size.TINY: 1, Size.QUICK: 5, Size.FULL: 10}
RATES = (4, 10)
ADAPTED = 120.0  # seconds: by then the reserve has learned the demand


def measure(size: Size) -> Table:
    """The table of B6."""
    every = models([REAL])[:: {Size.TINY: 16, Size.QUICK: 5, Size.FULL: 1}[size]]
    jobs = [
        (
            urgent,
            sender,
            [Scenario(m, f"backlog, {urgent} urgent", n, sender) for m in every for n in range(SEEDS[size])],
        )
        for urgent in RATES
        for sender in SENDERS
    ]
    records = iter(run_all([scenario for _, _, scenarios in jobs for scenario in scenarios]))
    found = [
        (urgent, sender, [(scenario, next(records)) for scenario in scenarios]) for urgent, sender, scenarios in jobs
    ]
    tocsins = [record for _, sender, runs in found if sender == SENDERS[0] for _, record in runs]
    return Table(
        bench="b6",
        title="URGENT into 1,000 LOW on one channel, in virtual time: the worst over all models of a server",
        rows=[Row(f"{urgent} a minute: {sender}", _figures(runs)) for urgent, sender, runs in found],
        counts={
            "sent": sum(record.signals for record in tocsins),
            "arrived": sum(record.signals - record.lost for record in tocsins),
        },
        notes=[
            f"{len(every)} models, {SEEDS[size]} seeds each; waits of URGENT from hand-off to acceptance; adapted: after two minutes"
        ],
    )


def _figures(runs: Sequence[tuple[Scenario, RunRecord]]) -> dict[str, float]:
    return {
        "429s": float(sum(record.refused.total() for _, record in runs)),
        "p50 s": _worst(runs, Priority.URGENT, 50),
        "p99 s": _worst(runs, Priority.URGENT, 99),
        "p99 s adapted": _worst(runs, Priority.URGENT, 99, after=ADAPTED),
        "LOW p50 s": _worst(runs, Priority.LOW, 50),
        "LOW p99 s": _worst(runs, Priority.LOW, 99),
    }


def _worst(runs: Iterable[tuple[Scenario, RunRecord]], priority: Priority, percent: float, after: float = 0.0) -> float:
    found: dict[Model, list[float]] = {}
    for scenario, record in runs:
        waits = (wait for at, wait in record.waits[priority] if at >= BEGIN + after)
        found.setdefault(scenario.model, []).extend(waits)
    return max(percentile(waits, percent) for waits in found.values())


if __name__ == "__main__":
    main({"b6": measure})
