"""The queue that alerts of strategies go through, so that the caller does not wait for a hand-off. One for each process.

Batches are handed over one after the other, in the order of the calls. A batch for which there is no room is refused, and its receipts
say so. An exception of a job is logged, and the next job runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tocsin.background import WorkQueue, own_queue

MAX_WAITING = 10_000  # signals: some ten megabytes

_log = logging.getLogger("tocsin.trading")


class SubmitQueue(WorkQueue):
    """Jobs, each a function that hands signals over; the size of one is how many."""

    def __init__(self) -> None:
        super().__init__("tocsin.trading", MAX_WAITING, batch=1)

    def handle(self, items: list[Any], *, flushing: bool) -> None:  # noqa: ARG002 - it hands over at once in any case
        """Run the jobs."""
        jobs: list[Callable[[], None]] = items
        for job in jobs:
            try:
                job()
            except Exception:  # noqa: BLE001 - a strict client may raise anything, and the next batch is not to blame
                _log.warning("alerts were not handed over", exc_info=True)


_queues: dict[int, SubmitQueue] = {}


def submit_queue() -> SubmitQueue:
    """This process's queue."""
    return own_queue(_queues, SubmitQueue)
