"""tocsin, the client: hand a signal to the daemon and forget about it.

    import tocsin
    receipt = tocsin.send("BUY BTCUSDT", priority="urgent", price=64000.5)

`signals` says what a signal is, `normalize` and `values` read whatever a program gives for one, and `wire` says how it travels; `losses`
counts what reached nobody; `client` carries it, over a `connection` or, when no daemon is there, into the `spool`; `places` knows where
both are; `handler` is for logging; `cli` is the command; `trading` is for strategies, `compat` has the calls that older code makes, and
`starting` begins a daemon where none runs.

Standard library only, on every path: this package must never be the reason that a program fails to import, or to run.
"""

from __future__ import annotations

from .client import Client, send, send_many, status, why
from .errors import InvalidSignal, ProtocolMismatch, RequestFailed, TocsinError, Unreachable
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
    "send",
    "send_many",
    "status",
    "why",
]


def __getattr__(name: str) -> Any:
    """`tocsin.Handler`, once somebody asks for it: logging costs more to import than all of this package."""
    if name == "Handler":
        from .handler import Handler  # noqa: PLC0415 - as above

        return Handler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
