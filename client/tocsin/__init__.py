"""tocsin, the client: hand a signal to the daemon and forget about it.

    import tocsin
    receipt = tocsin.send("BUY BTCUSDT", priority="urgent", price=64000.5)

`signals` says what a signal is and `wire` how it travels; `client` carries it; `places` knows where the daemon is; `cli` is the command.
Standard library only, on every path: this package must never be the reason that a program fails to import, or to run.
"""

from __future__ import annotations

from .client import Client, send, send_many, status, why
from .errors import InvalidSignal, ProtocolMismatch, RequestFailed, TocsinError, Unreachable
from .signals import Receipt, Signal

__version__ = "0.1.0"
__all__ = [
    "Client",
    "InvalidSignal",
    "ProtocolMismatch",
    "Receipt",
    "RequestFailed",
    "Signal",
    "TocsinError",
    "Unreachable",
    "send",
    "send_many",
    "status",
    "why",
]
