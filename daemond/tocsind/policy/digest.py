"""When more deliveries wait than can be sent in time, one digest replaces the oldest ones.

A lane drains at a known pace: so many requests a second, so many deliveries in each. When the last LOW or NORMAL delivery would wait longer
than the budget of its priority, the oldest ones of that priority are merged into digests until the rest fits. A digest is one delivery and
takes the place of the oldest. URGENT and HIGH are never merged: a person may have to act on each of them.

Merging stops at half the budget. Otherwise each small excess would become a digest of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .delivery import Priority

DIGESTED = (Priority.NORMAL, Priority.LOW)  # in sending order: merging NORMAL also shortens the wait of LOW
MIN_DIGEST = 20  # deliveries; fewer fill only two messages and are not worth a digest


class Budgets(msgspec.Struct, frozen=True):
    """How long each priority's queue may take to drain, in seconds; None: it is never merged."""

    normal: float | None = 120.0
    low: float | None = 300.0

    def of(self, priority: Priority) -> float | None:
        """The budget of one priority."""
        return {Priority.NORMAL: self.normal, Priority.LOW: self.low}.get(priority)


NEVER = Budgets(None, None)


def digest_surplus(waiting: Mapping[Priority, int], budgets: Budgets | None, rate: float) -> dict[Priority, int]:
    """How many of the oldest of each priority to merge. `rate` is in deliveries a second, infinity for a lane without limits."""
    budgets, waiting = budgets or NEVER, dict(waiting)
    surplus = {priority: _surplus(waiting, priority, budgets.of(priority), rate) for priority in DIGESTED}
    return {priority: n for priority, n in surplus.items() if n}


def _surplus(waiting: dict[Priority, int], priority: Priority, budget: float | None, rate: float) -> int:
    """How many of this priority are too many; they are subtracted from `waiting`."""
    own = waiting.get(priority, 0)
    ahead = sum(n for other, n in waiting.items() if other <= priority)
    if budget is None or ahead <= budget * rate:
        return 0
    surplus = min(own, int(ahead - budget * rate / 2))
    if surplus < MIN_DIGEST:
        return 0
    waiting[priority] = own - surplus
    return surplus
