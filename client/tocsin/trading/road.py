"""Where alerts go: by the daemon's routes, or to the webhook that this process brings along, where the daemon permits that.

The daemon is asked with each batch, since it forgets what was lent when it restarts; that costs a question on the courier's thread. When it
does not permit it, or is away, its own routes hold: an alert that reaches the wrong channel is better than none.
"""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.client import Client
from tocsin.signals import Receipt, Signal


class Road:
    """Hands over by one client. `trouble` says why the webhook is not used, and never says the webhook."""

    def __init__(self, client: Client, webhook: str | None) -> None:
        self.trouble: str | None = None
        self._client = client
        self._webhook = webhook

    def send(self, signals: Sequence[Signal]) -> list[Receipt]:
        """Receipts, in order. Never raises, unless the client is strict."""
        to = self._lent()
        return self._client.send_many(signals if to is None else [_addressed(signal, to) for signal in signals])

    def _lent(self) -> str | None:
        """The destination that the webhook became."""
        if self._webhook is None:
            return None
        self.trouble = "discord_webhook_url is not used: this version of tocsin lends no webhooks"
        return None


def _addressed(signal: Signal, to: str) -> Signal:
    """To the webhook, unless the signal says where."""
    return signal if signal.to else Signal.trusted({**signal.as_dict(), "to": [to]})
