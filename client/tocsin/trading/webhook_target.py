"""The destination of alerts: by the daemon's routes, or the webhook of this process, where the daemon permits client webhooks.

The background thread registers the webhook with the first batch. It is a destination from then on: the daemon keeps it over restarts, and
signals that are spooled while the daemon is away may name it. Until it is registered, alerts go by the routes, because an alert in the
wrong channel is better than none; so they do after an operator has removed it, when the daemon refuses them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.client import Client
from tocsin.signals import Receipt, Signal


class WebhookTarget:
    """Hands over by one client. `problem` says why the webhook is not used; it never contains the URL."""

    def __init__(self, client: Client, webhook: str | None) -> None:
        self.problem: str | None = None
        self._client = client
        self._webhook = webhook
        self._destination: str | None = None  # the webhook's destination

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
    """The signal with the webhook's destination, unless it has a `to` of its own."""
    return signal if signal.to else Signal.trusted({**signal.as_dict(), "to": [to]})
