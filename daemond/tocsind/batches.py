"""A lane's next message, formed of what its senders offer at the moment when it may go.

While the breaker is open the message is a probe, a single delivery; one that was tried often steps behind the others then, because it may
itself be what the far end fails at. After a failure that may have arrived (a 503, a timeout) it is a single one as well, until something is
answered; of equal priority, one goes that is in doubt already. So an outage leaves few possible duplicates, and that mark is worth reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .destinations import Destination
from .policy.batch import Batch, Share, form
from .policy.breaker import Breaker
from .policy.delivery import Delivery
from .sender import Sender

LONE = 1 / 8  # how far a living message, which carries one, moves the measure of what a full message carries
TRIES = 5  # of one delivery at a resting far end; then another one is the probe


class Batches:
    """Forms messages, and measures each delivery once. `carried` is how many a full one holds: the last, less for living ones."""

    def __init__(self, destination: Destination, breaker: Breaker) -> None:
        self._destination = destination
        self._breaker = breaker
        self._shares: dict[int, Share] = {}  # by number, of what is offered
        self.carried = float(destination.most)

    def is_full(self, senders: Iterable[Sender]) -> bool:
        """Whether no late arrival could join the next message."""
        return self._form(self._offers(senders)).full

    def load(self, senders: Iterable[Sender]) -> list[Delivery]:
        """The next message, taken from its senders."""
        offers = self._offers(senders)
        formed = self._form(offers)
        batch = [offers[place] for place in formed.chosen]
        if formed.full and not self._breaker.wants_one:
            self.carried += (len(batch) - self.carried) * (LONE if self._share(batch[0]).alone else 1)
        numbers = {delivery.number for delivery in batch}
        for sender in senders:
            sender.take(numbers)
        for number in numbers:
            self.forget(number)
        return batch

    def forget(self, number: int) -> None:
        """Measure it anew when it comes again: it may have another form then."""
        self._shares.pop(number, None)

    def _offers(self, senders: Iterable[Sender]) -> list[Delivery]:
        """What could go, the first first."""
        offers = [each for sender in senders for each in sender.offers(self._destination.most)]
        if self._breaker.wants_one:
            offers.sort(key=lambda delivery: (delivery.attempts // TRIES, delivery.priority, not delivery.doubt))
        return offers

    def _form(self, offers: Sequence[Delivery]) -> Batch:
        most = 1 if self._breaker.wants_one else self._destination.most
        return form(
            [self._share(delivery) for delivery in offers], most, self._destination.room, self._destination.load
        )

    def _share(self, delivery: Delivery) -> Share:
        share = self._shares.get(delivery.number)
        if share is None:
            share = self._shares[delivery.number] = self._destination.share(delivery)
        return share
