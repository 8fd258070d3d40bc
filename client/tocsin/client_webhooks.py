"""Lending the daemon a webhook: a program that has a Discord URL of its own gets a destination for it, where that is permitted.

The URL goes over the socket and nowhere else: no receipt, error or repr of ours says any part of it. A daemon that is away gets nothing by
the spool: a destination that nobody knows yet is of no use to a signal, so ask again when you have one.
"""

from __future__ import annotations

from .errors import InvalidSignal, ProtocolMismatch
from .replies import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ClientWebhook:
    """What became of a webhook: the `destination` that it is now, for `to` of a signal; or None, and the `reason`. Frozen."""

    __slots__ = ("destination", "reason")

    destination: str | None
    reason: str | None

    def __init__(self, destination: str | None, reason: str | None = None) -> None:
        object.__setattr__(self, "destination", destination)
        object.__setattr__(self, "reason", reason)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("what became of a webhook does not change; lend it again")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientWebhook) and (self.destination, self.reason) == (other.destination, other.reason)

    def __hash__(self) -> int:
        return hash((self.destination, self.reason))

    def __reduce__(self) -> tuple[Any, ...]:
        return (ClientWebhook, (self.destination, self.reason))

    def __repr__(self) -> str:
        return f"Lent(destination={self.destination!r}, reason={self.reason!r})"


def add_webhook(url: str, request: Callable[..., dict[str, Any]], *, strict: bool) -> ClientWebhook:
    """As Client.lend_webhook, by its `request`."""
    try:
        if not isinstance(url, str):
            raise InvalidSignal("url", f"must be text, not {type(url).__name__}")  # noqa: TRY301 - told like all else below
        destination = request("lend_webhook", url=str.__str__(url)).get("destination")
        if not isinstance(destination, str):
            raise ProtocolMismatch("the answer has no destination: the daemon speaks another version")  # noqa: TRY301 - as above
        return ClientWebhook(destination)
    except Exception as error:
        if strict:
            raise
        return ClientWebhook(None, describe(error))
