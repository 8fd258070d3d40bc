"""What `aggregate_signals` and a generator have to say beside the signals that they return."""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.signals import Receipt

from .decisions import Decision
from .parsing import Rejected


@dataclass(frozen=True, slots=True)
class Failed:
    """A strategy that could not say all it had to say, and why. What it had said before counts."""

    strategy: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """One run. `verdicts` stand in the order of what was returned, `rejected` in the order of the input.

    `receipts` are those of the alerts, the oldest first and then as they were raised; they come with the hand-off, which `flush()`
    waits for.
    """

    verdicts: tuple[Decision, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    failed: tuple[Failed, ...] = ()
    receipts: list[Receipt] = field(default_factory=list)
