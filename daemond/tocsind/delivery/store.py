"""What lanes and limiters need of the store: `core.settle.JournalStore`, and `testing.store.MemoryStore` in tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from tocsind.journal import LaneState, LimitState, RequestRecord, RequestStart
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement
from tocsind.policy.outcomes import Outcome


class LimitStore(Protocol):
    """Where limits are saved."""

    async def load_limit(self, scope: str) -> LimitState:
        """What was saved of a limit; empty if nothing was."""

    async def requests(self, channel: str, destination: str) -> list[RequestRecord]:
        """The latest requests to a channel, and of a destination to any channel, in the order of their answers."""


class DeliveryStore(LimitStore, Protocol):
    """The queue of a lane, the record of its attempts, and where its state is saved. All methods wait for the journal's commit."""

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next queued deliveries after number `after`, in order of acceptance."""

    async def begin(self, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        """Claim deliveries, and record the attempt. Only the deliveries that are returned may be sent."""

    def gathering_seconds(self, destination: str) -> float:
        """How long a message that is not full waits, from the acceptance of its first delivery on, for what other hosts accepted then."""

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        memory: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> list[Settlement]:
        """Record the outcomes and what was learned, in one commit. Returns what follows for each delivery."""

    async def settle_and_begin(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        memory: LaneState | None,
        scopes: Sequence[LimitState],
        *,
        following: Sequence[Delivery],
        asking: RequestStart,
    ) -> tuple[list[Settlement], list[Delivery]]:
        """`settle`, and `begin` for the batch that follows, in one commit. Returns the results of both."""

    async def divert(self, destination: str, reason: str) -> bool:
        """Move a chunk of a queue to the fallback. False when nothing was left, or there is no fallback."""

    async def reroute(self, destination: str, over: Collection[Priority], reason: str, *, hurried: bool) -> list[int]:
        """Move a chunk of a failing destination's queue to fallbacks that work: deliveries with a priority in `over`, and with `hurried`
        also deliveries that moved here because their patience was over. Returns the numbers of those that moved. A delivery for which
        no fallback works stays.
        """

    def notify_lanes(self) -> None:
        """The fitness of a destination has changed: each lane whose queue waits for a fallback checks again. Does not wait."""

    async def load_lane(self, destination: str) -> LaneState:
        """What was saved of a lane; empty if nothing was."""

    async def save(self, memory: LaneState | None, scopes: Sequence[LimitState]) -> None:
        """Save what the next run of the daemon must know."""
