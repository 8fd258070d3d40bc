"""A lane's next message, formed of what its senders offer at the moment when it may go.

While the breaker is open the message is a probe, a single delivery; one that was tried often steps behind the others then, because it may
itself be what the far end fails at. After a failure that may have arrived (a 503, a timeout) it is a single one as well, until something is
answered; of equal priority, one goes that is in doubt already. So an outage leaves few possible duplicates, and that mark is worth reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsind.destinations import Destination
from tocsind.policy.batch import Batch, Footprint, form
from tocsind.policy.breaker import Breaker
from tocsind.policy.delivery import Delivery

from .sender import Sender

LONE = 1 / 8  # how far a living message, which carries one, moves the measure of what a full message carries
TRIES = 5  # of one delivery at a resting far end; then another one is the probe


class Batcher:
    """Forms messages, and measures each delivery once. `carried` is how many a full one holds: the last, less for living ones."""

    def __init__(self, destination: Destination, breaker: Breaker) -> None:
        self._destination = destination
        self._breaker = breaker
        self._shares: dict[int, Footprint] = {}  # by number, of what is offered
        self.max_items = float(destination.max_items)

    def is_full(self, senders: Iterable[Sender]) -> bool:
        """Whether no late arrival could join the next message."""
        return self._form(self._offers(senders)).is_full

    def load(self, senders: Iterable[Sender]) -> list[Delivery]:
        """The next message, taken from its senders."""
        offers = self._offers(senders)
        formed = self._form(offers)
        batch = [offers[place] for place in formed.chosen]
        if formed.is_full and not self._breaker.is_probing:
            self.max_items += (len(batch) - self.max_items) * (LONE if self._share(batch[0]).must_be_alone else 1)
        numbers = {delivery.number for delivery in batch}
        for sender in senders:
            sender.take(numbers)
        for number in numbers:
            self.forget_shares(number)
        return batch

    def forget_shares(self, number: int) -> None:
        """Measure it anew when it comes again: it may have another form then."""
        self._shares.pop(number, None)

    def _offers(self, senders: Iterable[Sender]) -> list[Delivery]:
        """What could go, the first first."""
        offers = [each for sender in senders for each in sender.offers(self._destination.max_items)]
        if self._breaker.is_probing:
            offers.sort(
                key=lambda delivery: (delivery.attempts // TRIES, delivery.priority, not delivery.maybe_duplicate)
            )
        return offers

    def _form(self, offers: Sequence[Delivery]) -> Batch:
        most = 1 if self._breaker.is_probing else self._destination.max_items
        return form(
            [self._share(delivery) for delivery in offers],
            most,
            self._destination.max_chars,
            self._destination.max_bytes,
        )

    def _share(self, delivery: Delivery) -> Footprint:
        share = self._shares.get(delivery.number)
        if share is None:
            share = self._shares[delivery.number] = self._destination.footprint(delivery)
        return share
