"""The order of tests: the slow ones first, so that none runs alone at the end."""

from __future__ import annotations

import pytest


def slow_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in an order in which each worker begins with its share of those that are marked as slow.

    `--dist worksteal` gives each worker a contiguous part at first. Later a worker without tests takes the last half of another's.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        size = (len(items) - len(ordered)) // (workers - worker)
        share = slow[worker::workers]
        count = max(0, size - len(share))
        ordered += [*share, *others[:count]]
        del others[:count]
    return ordered
