"""Where signals go. A destination turns a batch of deliveries into one request and returns an outcome for each.

It never logs, retries, sleeps or counts, and it knows neither the journal nor the lane that calls it: those decide what an outcome
means. It is handed one batch at a time. What may go wrong comes back as a value; an exception out of `deliver` is a bug and takes the
daemon down, which costs nothing, because the attempt is on record.

    http       the one place that imports httpx: a shared client whose every request ends in a value, and no URL in any error
    causes     why a connection failed, in our own words
    answers    what each answer of Discord means, as a table
    discord    webhooks
    file       JSON lines, synced
    registry   kind -> how to build one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Outcome

__all__ = ["Destination"]


class Destination(Protocol):
    """The far end of a lane. `most` is how many deliveries one request may carry."""

    @property
    def most(self) -> int:
        """How many deliveries one call of `deliver` may be given."""

    async def deliver(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Send them in this order; answer one outcome for each. Cancelling it leaves the outcome unknown."""

    async def aclose(self) -> None:
        """Let go of files and connections."""
