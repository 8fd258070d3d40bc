"""What can go wrong, by whose fault: the caller's signal, the road to the daemon, or the daemon's answer."""

from __future__ import annotations


class TocsinError(Exception):
    """Anything this package raises on purpose."""


class InvalidSignal(TocsinError):  # noqa: N818 - the contract's name
    """The signal itself is wrong. `field` names the place, `reason` what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class Unreachable(TocsinError):  # noqa: N818 - the contract's name
    """No daemon answered in time. Whether it took the signal is unknown if it was already handed over."""


class RequestFailed(TocsinError):  # noqa: N818 - names the event, as Unreachable does
    """The daemon answered, and the answer was no. `kind` is one of `tocsin.wire.ERROR_KINDS`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class ProtocolMismatch(TocsinError):  # noqa: N818 - names the event
    """What came back is not this protocol: another version, or not tocsind at all."""
