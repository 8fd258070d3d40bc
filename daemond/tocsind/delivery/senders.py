"""The four senders of a lane, one per priority; none while the lane is disabled or looks for its channel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tocsind.policy.delivery import Priority

from .sender import Sender


class Senders:
    """The senders of one period of service, URGENT first."""

    def __init__(self, senders: Iterable[Sender] = ()) -> None:
        self._by_priority = {sender.priority: sender for sender in senders}

    def __iter__(self) -> Iterator[Sender]:
        return iter(self._by_priority.values())

    def __getitem__(self, priority: Priority) -> Sender:
        return self._by_priority[priority]

    def __len__(self) -> int:
        return len(self._by_priority)

    def lead(self) -> Priority | None:
        """The highest priority that has a delivery to send."""
        return next((sender.priority for sender in self if sender.has_work()), None)

    def expects_more_above(self, priority: Priority) -> bool:
        """Whether a higher priority has not read the journal to its end: what it finds would be sent first."""
        return any(sender.may_hold_more() for sender in self if sender.priority < priority)

    def is_idle(self) -> bool:
        """Whether they serve, hold nothing, and know of nothing in the journal."""
        return len(self) > 0 and all(sender.is_idle() for sender in self)

    def rewind(self) -> None:
        """The journal queued deliveries again: read it from the beginning."""
        for sender in self:
            sender.rewind()

    def remove(self, numbers: Collection[int]) -> None:
        """These deliveries moved to a fallback."""
        for sender in self if numbers else ():
            sender.moved(numbers)

    def retry_deferred_now(self) -> None:
        """The destination answers again: make all deferred deliveries due."""
        for sender in self:
            sender.retry_deferred_now()
