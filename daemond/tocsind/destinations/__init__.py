"""Where signals go. A destination turns a batch of deliveries into one request and reports an outcome for each.

It never logs, retries, sleeps or counts, and it knows neither the journal nor the lane that calls it: those decide what an outcome
means. It says what a delivery would take of a message (`share`), `policy.batch` chooses who travels together, and it is handed one
batch at a time. What may go wrong comes back as a value; an exception out of it is a bug and takes the daemon down, which costs
nothing, because the attempt is on record.

    http         the one place that imports httpx: a shared client whose every request ends in a value, and no URL in any error
    environment  proxies and certificates as the environment names them, and which destinations that leaves without a way
    causes       why a connection failed, in our own words
    reading      an answer of Discord's, taken apart
    answers      what each answer means, as a table
    faults       a message that was refused for what is in it: whose fault it is, and what that means for each delivery
    discord      webhooks
    multipart    a request body with files in it
    file         JSON lines, synced
    registry     kind -> how to build one, and how fast it may be asked
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import ChannelInfo, Report

__all__ = ["Destination"]


class Destination(Protocol):
    """The far end of a lane."""

    @property
    def max_items(self) -> int:
        """How many deliveries one request may carry."""

    @property
    def edits(self) -> bool:
        """Whether it can change what it told: then the signals of one key share a living message there (policy.living)."""

    @property
    def max_chars(self) -> float:
        """How many code points they may have together; infinity where nobody counts."""

    @property
    def max_bytes(self) -> float:
        """How many bytes their attachments may have together; infinity where none are sent."""

    def footprint(self, delivery: Delivery) -> Footprint:
        """What it would take of a message, and with whom it may travel."""

    async def discover(self) -> ChannelInfo:
        """Ask where it leads. One request, or none where there is nothing to ask."""

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        """Send them in this order, in one request: one to `most`, of one key, with room for all. Cancelling it leaves it unknown.

        Those of a living message carry what is to be told instead (`telling`), and however many they are, one is shown.
        """

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        """What `deliver` would send, for a person: `payload`; `limits`, each a `name`, `used`, `most`; and `notes`. No secret is in it."""

    async def aclose(self) -> None:
        """Let go of files and connections."""
