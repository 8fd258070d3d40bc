"""Client webhooks: a program that has a Discord URL of its own registers it with the daemon and gets a destination.

The URL is sent over the socket only, and is part of no receipt, error or repr. It is not spooled while the daemon is away: a signal needs
the destination's name, which only the daemon can give. Register it again before the next signal.
"""

from __future__ import annotations

from .errors import InvalidSignal, ProtocolMismatch
from .replies import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ClientWebhook:
    """The result: the `destination`, for `to` of a signal; or None, and the `reason`. Frozen."""

    __slots__ = ("destination", "reason")

    destination: str | None
    reason: str | None

    def __init__(self, destination: str | None, reason: str | None = None) -> None:
        object.__setattr__(self, "destination", destination)
        object.__setattr__(self, "reason", reason)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a ClientWebhook is frozen; register the webhook again")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientWebhook) and (self.destination, self.reason) == (other.destination, other.reason)

    def __hash__(self) -> int:
        return hash((self.destination, self.reason))

    def __reduce__(self) -> tuple[Any, ...]:
        return (ClientWebhook, (self.destination, self.reason))

    def __repr__(self) -> str:
        return f"ClientWebhook(destination={self.destination!r}, reason={self.reason!r})"


def add_webhook(url: str, request: Callable[..., dict[str, Any]], *, strict: bool) -> ClientWebhook:
    """As Client.add_webhook, by its `request`."""
    try:
        if not isinstance(url, str):
            raise InvalidSignal("url", f"must be text, not {type(url).__name__}")  # noqa: TRY301 - reported like the other errors
        destination = request("add_webhook", url=str.__str__(url)).get("destination")
        if not isinstance(destination, str):
            raise ProtocolMismatch("the answer has no destination: the daemon speaks another version")  # noqa: TRY301 - as above
        return ClientWebhook(destination)
    except Exception as error:
        if strict:
            raise
        return ClientWebhook(None, describe(error))
