"""tocsin, the client library: hand a signal to the daemon, which delivers it.

    import tocsin
    receipt = tocsin.send("BUY BTCUSDT", priority="urgent", price=64000.5)

    signals                 the fields of a signal, and receipts; normalize and values read values of other types, number_text
                            numbers in texts; titles makes a title, payloads reads Discord messages
    client, connection      send a signal over the daemon's socket
    outbox, spool           store a signal on disk, for a daemon that takes it now or later
    wire, frames, replies   the protocol
    paths, configuration    where the socket, the state and alerts.toml are; trust says whose files are used
    expectation             beats: the daemon reports a program that stops beating, or dies
    losses, notices         count and report signals that were not handed over
    handler                 for logging; its thread and queue are in background
    autostart, spawn        start a daemon where none runs
    cli, top                the command `tocsin`
    trading, compat         for strategies; for code that calls AsyncNotificationService; both use loop_waker for coroutines,
                            masking for webhooks in values, and old_settings, which says what alerts.toml has instead

The package uses the standard library only, on every path: it must never be the reason that a program fails to import or to run.
"""

from __future__ import annotations

from .client import Client, send, send_many, status, why
from .errors import InvalidSignal, ProtocolMismatch, RequestFailed, TocsinError, Unreachable
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .expectation import expect
    from .handler import Handler

__version__ = "0.1.0"
__all__ = [
    "Client",
    "Handler",
    "InvalidSignal",
    "ProtocolMismatch",
    "Receipt",
    "RequestFailed",
    "Signal",
    "TocsinError",
    "Unreachable",
    "expect",
    "send",
    "send_many",
    "status",
    "why",
]


def __getattr__(name: str) -> Any:
    """`tocsin.Handler` and `tocsin.expect`, imported on first use: logging costs more to import than this package."""
    if name == "Handler":
        from .handler import Handler  # noqa: PLC0415 - as above

        return Handler
    if name == "expect":
        from .expectation import expect  # noqa: PLC0415 - few programs need it

        return expect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
