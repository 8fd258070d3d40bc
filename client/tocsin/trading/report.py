"""The report of `aggregate_signals` and of a generator, beside the signals that they return."""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.signals import Receipt

from .decisions import Decision
from .parsing import Rejected


@dataclass(frozen=True, slots=True)
class Failed:
    """A strategy that raised an exception, with the reason. Its signals until then count."""

    strategy: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """One run. `verdicts` are in the order of the returned signals, `rejected` in the order of the input.

    `receipts` are those of the alerts, the oldest first; they are added by the hand-off, which `flush()` waits for.
    """

    verdicts: tuple[Decision, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    failed: tuple[Failed, ...] = ()
    receipts: list[Receipt] = field(default_factory=list)
