"""When there is more to tell than can be told in time, the oldest is told in sum.

A lane drains at a known pace: so many requests a second, so many deliveries in each. When what stands before the last LOW or NORMAL one
would take longer than its budget, the oldest of that priority are merged into digests, until what is left fits. A digest travels as one
delivery in the place of the oldest. URGENT and HIGH are never merged: each of them is somebody's decision.

To fold a few now and a few a moment later would make a digest of each few; so when folding begins it goes down to half the budget.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .delivery import Priority

DIGESTED = (Priority.NORMAL, Priority.LOW)  # the more pressing first: what is merged there makes room for the others
MIN_DIGEST = 20  # fewer are not worth a digest: they fill two messages


class Budgets(msgspec.Struct, frozen=True):
    """How long each priority's backlog may take to drain, in seconds; None: it is never merged."""

    normal: float | None = 120.0
    low: float | None = 300.0

    def of(self, priority: Priority) -> float | None:
        """That of one priority."""
        return {Priority.NORMAL: self.normal, Priority.LOW: self.low}.get(priority)


NEVER = Budgets(None, None)


def digest_surplus(waiting: Mapping[Priority, int], budgets: Budgets | None, rate: float) -> dict[Priority, int]:
    """How many of the oldest of each priority to merge; `rate` is in deliveries a second, infinity for a lane without limits."""
    budgets, waiting = budgets or NEVER, dict(waiting)
    folded = {priority: _surplus(waiting, priority, budgets.of(priority), rate) for priority in DIGESTED}
    return {priority: n for priority, n in folded.items() if n}


def _surplus(waiting: dict[Priority, int], priority: Priority, budget: float | None, rate: float) -> int:
    """How many too many there are; they are taken off `waiting`."""
    mine = waiting.get(priority, 0)
    until_the_last = sum(n for other, n in waiting.items() if other <= priority)
    if budget is None or until_the_last <= budget * rate:
        return 0
    surplus = min(mine, int(until_the_last - budget * rate / 2))
    if surplus < MIN_DIGEST:
        return 0
    waiting[priority] = mine - surplus
    return surplus
