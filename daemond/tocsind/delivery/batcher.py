"""Forms the next batch of a lane from what its senders offer at the moment when the batch may leave.

While the breaker is open the batch is a probe, a single delivery. A delivery that was tried often then goes after the others, because it
may itself be the cause of the failures. After a failure that may have arrived (a 503, a timeout) a batch is a single delivery as well,
until a request is answered; of equal priority, a delivery that is already marked as a possible duplicate goes first. So an outage leaves
few possible duplicates, and a reader can take the mark seriously.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsind.destinations import Destination
from tocsind.policy.batch import Batch, Footprint, form
from tocsind.policy.breaker import Breaker
from tocsind.policy.delivery import Delivery

from .sender import Sender

ALONE_WEIGHT = 1 / 8  # of a live message, which is a batch of its own, in the average size of a full batch
TRIES = 5  # probes with one delivery; then another delivery is the probe


class Batcher:
    """Forms batches, and measures each delivery once. `max_items` says how many deliveries the last full batches carried."""

    def __init__(self, destination: Destination, breaker: Breaker) -> None:
        self._destination = destination
        self._breaker = breaker
        self._footprints: dict[int, Footprint] = {}  # by number, of deliveries on offer
        self.max_items = float(destination.max_items)

    def is_full(self, senders: Iterable[Sender]) -> bool:
        """Whether no later arrival could join the next batch."""
        return self._form(self._offers(senders)).is_full

    def load(self, senders: Iterable[Sender]) -> list[Delivery]:
        """Take the next batch from the senders."""
        offers = self._offers(senders)
        formed = self._form(offers)
        batch = [offers[index] for index in formed.chosen]
        if formed.is_full and not self._breaker.is_probing:
            self.max_items += (len(batch) - self.max_items) * (
                ALONE_WEIGHT if self._footprint(batch[0]).must_be_alone else 1
            )
        numbers = {delivery.number for delivery in batch}
        for sender in senders:
            sender.take(numbers)
        for number in numbers:
            self.forget(number)
        return batch

    def forget(self, number: int) -> None:
        """Measure this delivery again when it is offered again: it may have another format then."""
        self._footprints.pop(number, None)

    def _offers(self, senders: Iterable[Sender]) -> list[Delivery]:
        """What may be sent, in order."""
        offers = [each for sender in senders for each in sender.offers(self._destination.max_items)]
        if self._breaker.is_probing:
            offers.sort(
                key=lambda delivery: (delivery.attempts // TRIES, delivery.priority, not delivery.maybe_duplicate)
            )
        return offers

    def _form(self, offers: Sequence[Delivery]) -> Batch:
        most = 1 if self._breaker.is_probing else self._destination.max_items
        return form(
            [self._footprint(delivery) for delivery in offers],
            most,
            self._destination.max_chars,
            self._destination.max_bytes,
        )

    def _footprint(self, delivery: Delivery) -> Footprint:
        footprint = self._footprints.get(delivery.number)
        if footprint is None:
            footprint = self._footprints[delivery.number] = self._destination.footprint(delivery)
        return footprint
