"""What lanes and limiters need of the store: `core.settle.JournalStore`, and `testing.store.MemoryStore` in tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from tocsind.journal import LaneState, LimitState, RequestRecord, RequestStart
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement
from tocsind.policy.outcomes import Outcome


class LimitStore(Protocol):
    """What gates need of the journal's keeper."""

    async def load_limit(self, scope: str) -> LimitState:
        """What was remembered of a scope."""

    async def requests(self, channel: str, destination: str) -> list[RequestRecord]:
        """When a channel, and a destination wherever it led, were last asked."""


class DeliveryStore(LimitStore, Protocol):
    """What a lane needs of the journal's keeper: its queue, and a place to write down what it did and learned."""

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        """The next queued deliveries after number `after`, in order of acceptance."""

    async def begin(self, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        """Claim deliveries: only what is answered may be sent."""

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        memory: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> list[Settlement]:
        """Write down how attempts ended, and what was learned; answers what follows for each."""

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
        """`settle`, and `begin` what follows in the same commit; answers what each of them answers."""

    async def divert(self, destination: str, reason: str) -> bool:
        """Send a chunk of a queue to the fallback. False when nothing was left, or there is no fallback."""

    async def reroute(self, destination: str, over: Collection[Priority], reason: str, *, hurried: bool) -> list[int]:
        """Move a chunk of a failing destination's queue to fallbacks that work: all with a priority in `over`, and with `hurried` also
        what came here because its patience was over elsewhere. Answers the numbers of what has moved; what no working fallback can take
        stays.
        """

    def notify_lanes(self) -> None:
        """What one destination can do has changed: each lane whose queue waits for a fallback looks again."""

    async def load_lane(self, destination: str) -> LaneState:
        """What was remembered of a lane."""

    async def save(self, memory: LaneState | None, scopes: Sequence[LimitState]) -> None:
        """Keep what must be known after a restart."""
