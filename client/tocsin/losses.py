"""Signals that a client could not hand over: said in the log, counted, and reported to the daemon as soon as one answers.

    refused    the signal says nothing at all; no daemon has seen it (what a daemon refuses, it counts itself)
    dropped    neither a daemon nor the spool took it

Each client counts its own. The report is a request of its own (`losses`): after the next hand-off that a daemon answers, after a refusal,
and when the client closes, which the process-wide one does at exit. A report that fails is repeated with a later hand-off, RETRY seconds
after at the earliest. A daemon that is too old to know the request ends the count.
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
_MOST = 100_000  # losses that are remembered until they can be reported
_LONGEST_TITLE = 80  # characters
_BY_DAEMON = ("stored", "duplicate")

say = notices.rate_limited  # the command line replaces it: its commands say themselves what became of their signals


class Losses:
    """One client's losses that no daemon knows of. False while there are none. A forked child begins with none."""

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
        """Count one that is `refused` or `dropped`."""
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]  # what a parent lost, the parent reports
        self._states.append(state)

    def note(self, receipts: Sequence[Receipt], titles: Sequence[Any]) -> None:
        """Say and count those that are not accepted. `titles` says what each was about."""
        for receipt, title in zip(receipts, titles, strict=False):
            if receipt.accepted:
                continue
            about = lazy("tocsin.values").describe(title)[:_LONGEST_TITLE] if title is not None else ""
            kind = f"{receipt.state} {(receipt.reason or '').partition(':')[0]}"
            say(kind, f"alert {about!r} was {receipt.state}: {receipt.reason}")
            if (
                receipt.state == "dropped" or not receipt.id
            ):  # one that a daemon refused has its id, and is counted there
                self.add(receipt.state)

    def may_report(self, receipts: Sequence[Receipt]) -> bool:
        """Whether these receipts let hope that a daemon answers."""
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
