"""Where alerts go: by the daemon's routes, or to the webhook that this process brings along, where the daemon permits that.

A webhook is lent with the first batch, on the courier's thread, and then it is a destination for good: the daemon keeps it over its
restarts, and what is spooled while it is away may name it. Until it is lent the routes hold, since an alert in the wrong channel is better
than none; so they do once a person took it back, which the daemon says by refusing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.client import Client
from tocsin.signals import Receipt, Signal


class WebhookTarget:
    """Hands over by one client. `trouble` says why the webhook is not used, and never says the webhook."""

    def __init__(self, client: Client, webhook: str | None) -> None:
        self.problem: str | None = None
        self._client = client
        self._webhook = webhook
        self._destination: str | None = None  # what the webhook became

    def send(self, signals: Sequence[Signal]) -> list[Receipt]:
        """Receipts, in order. Never raises, unless the client is strict."""
        self._register()
        if self._destination is None:
            return self._client.send_many(signals)
        to = self._destination
        receipts = self._client.send_many([_addressed(signal, to) for signal in signals])
        refused = [signal for signal, receipt in zip(signals, receipts, strict=True) if receipt.state == "refused"]
        if not refused:
            return receipts
        self._destination = None
        again = iter(self._client.send_many(refused))
        return [next(again) if receipt.state == "refused" else receipt for receipt in receipts]

    def _register(self) -> None:
        if self._webhook is None or self._destination is not None:
            return
        added = self._client.add_webhook(self._webhook)
        self._destination = added.destination
        self.problem = (
            None
            if added.destination
            else f"alerts go by the daemon's routes, and not to discord_webhook_url: {added.reason}"
        )


def _addressed(signal: Signal, to: str) -> Signal:
    """To the webhook, unless the signal says where."""
    return signal if signal.to else Signal.trusted({**signal.as_dict(), "to": [to]})
