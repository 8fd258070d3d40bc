"""Signals that a client could not hand over: logged, counted, and reported to the daemon when one answers.

    refused    the signal is empty, and was not sent to a daemon (a daemon counts what it refuses itself)
    dropped    neither a daemon nor the spool stored it

Each client counts its own losses. It reports them in a request of their own (`losses`): after the next hand-off that a daemon answers,
after a refusal, and when the client closes; the client of the module closes at exit. A failed report is repeated with a later hand-off,
RETRY seconds later at the earliest. The counts are discarded where the daemon is too old to know the request.
"""

from __future__ import annotations

import os
import time
from collections import deque

from . import notices
from .errors import ProtocolMismatch, RequestFailed
from .lazy_import import lazy, needed_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .signals import Receipt

RETRY = 10.0  # seconds between two reports that fail
_MOST = 100_000  # losses that are stored until they can be reported
_LONGEST_TITLE = 80  # characters
_BY_DAEMON = ("stored", "duplicate")

log = notices.rate_limited  # the command replaces it: each verb prints the result of its own signals


class Losses:
    """One client's losses that are not reported yet. False while there are none. A forked child starts with none."""

    __slots__ = ("_not_before", "_pid", "_states")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._states: deque[str] = deque(maxlen=_MOST)  # each of its operations is atomic: threads need no lock
        self._not_before = 0.0

    def __bool__(self) -> bool:
        return bool(self._states)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Losses, ())

    def add(self, state: str) -> None:
        """Count a signal that was `refused` or `dropped`."""
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]  # the parent reports its own losses
        self._states.append(state)

    def note(self, receipts: Sequence[Receipt], titles: Sequence[Any]) -> None:
        """Log and count the receipts that are not accepted. `titles` are the signals' titles."""
        for receipt, title in zip(receipts, titles, strict=False):
            if receipt.accepted:
                continue
            about = lazy("tocsin.values").describe(title)[:_LONGEST_TITLE] if title is not None else ""
            kind = f"{receipt.state} {(receipt.reason or '').partition(':')[0]}"
            log(kind, f"alert {about!r} was {receipt.state}: {receipt.reason}")
            if (
                receipt.state == "dropped" or not receipt.id
            ):  # a signal that a daemon refused has its id; the daemon counts it
                self.add(receipt.state)

    def may_report(self, receipts: Sequence[Receipt]) -> bool:
        """Whether to report now: these receipts suggest that a daemon answers."""
        answered = any(receipt.state in _BY_DAEMON or receipt.state == "refused" for receipt in receipts)
        return bool(self._states) and answered and time.monotonic() >= self._not_before

    def report(self, request: Callable[..., object], seconds: float) -> None:
        """Report to the daemon by `request` (Client.request), within `seconds`. Never raises."""
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]  # as above
        taken = [self._states.popleft() for _ in range(len(self._states))]
        if not taken:
            return
        refused = taken.count("refused")
        try:
            request("losses", timeout=seconds, refused=refused, dropped=len(taken) - refused)
        except (RequestFailed, ProtocolMismatch):
            return  # it is too old to count them
        except Exception:  # noqa: BLE001 - whatever it is, the next hand-off reports again
            self._states.extend(taken)
            self._not_before = time.monotonic() + RETRY


needed_at_exit("tocsin.values")
