"""The exceptions, by cause: the caller's signal, the connection to the daemon, or the daemon's answer."""

from __future__ import annotations


class TocsinError(Exception):
    """Base class of the exceptions of this package."""


class InvalidSignal(TocsinError):  # noqa: N818 - the contract's name
    """The signal is not valid: `field` names the field, `reason` what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class Unreachable(TocsinError):  # noqa: N818 - the contract's name
    """No daemon answered in time. If the request was sent already, the daemon may have stored the signal."""


class RequestFailed(TocsinError):  # noqa: N818 - names the event, as Unreachable does
    """The daemon refused the request. `kind` is one of `tocsin.wire.ERROR_KINDS`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class ProtocolMismatch(TocsinError):  # noqa: N818 - names the event
    """The answer is not of this protocol: the other end is another version, or not tocsind."""
