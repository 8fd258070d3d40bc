"""The fields of a signal that limiter and batch use."""

from __future__ import annotations

from typing import NamedTuple

from tocsind.policy.delivery import Priority


class Signal(NamedTuple):
    """One signal for one webhook. `number` is the order of acceptance."""

    number: int
    at: float
    priority: Priority
    webhook: int = 0
    size: int = 300  # code points
    key: int = 0  # only those with the same may share a message
    host: int = 0  # that accepts it
    expires: float | None = None  # s
