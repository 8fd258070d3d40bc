"""All models, and many runs at once on all processors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

from tocsind.testing.limits import Limit
from tocsind.testing.limits import Model as Way

from .record import RunRecord
from .scenario import Scenario, run
from .server import Model

RATES = ((5, 1.0), (5, 2.0), (5, 5.0))  # of a webhook, as measured
REAL = (5, 2.0)  # as Discord's staff stated it
CHANNEL = 30, 60.0
ONE = Model.parse("sliding:5/2,sliding:30/60")  # the model of tests that need only one
SMALL = 24  # below so many runs a second process is slower


def models(rates: Sequence[tuple[int, float]] = RATES, *, silent: bool = True) -> list[Model]:
    """Every way of counting for the webhook and for the channel; with `silent` also those without headers.

    Without headers a sender cannot know of a window longer than the published two seconds.
    """
    found = []
    for rate, webhook, channel in product(rates, Way, Way):
        limits = Limit(webhook, *rate), Limit(channel, *CHANNEL)
        found.append(Model(*limits))
        if silent and rate[1] <= REAL[1]:
            found.append(Model(*limits, headers=False))
    return found


def run_all(scenarios: Sequence[Scenario]) -> list[RunRecord]:
    """The records of all scenarios."""
    if len(scenarios) <= SMALL:
        return [run(scenario) for scenario in scenarios]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, scenarios, chunksize=4))
