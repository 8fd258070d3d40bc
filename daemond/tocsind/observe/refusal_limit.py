"""Limits the reports of refused connections: a client that sends bad frames in a loop must not fill the log and the event feed.

Of each uid and kind of refusal one event in INTERVAL seconds passes, and says how many were left out since the one before it. Metrics
observe all of them.
"""

from __future__ import annotations

import msgspec

from tocsind.clock import Clock
from tocsind.events import ConnectionRefused, Emit, Event

INTERVAL = 60.0  # seconds between two reports of one uid and kind
MAX_ENTRIES = 100  # uids and kinds with a report of their own: a user with a range of subordinate uids has 65,536

_Key = tuple[int | None, str]


class _Entry:
    def __init__(self) -> None:
        self.next_report = float("-inf")  # on the monotonic clock
        self.omitted = 0  # since the last report


class RefusalLimit:
    """An observer that passes all other events on unchanged."""

    def __init__(self, clock: Clock, *observers: Emit) -> None:
        self._clock = clock
        self._observers = observers
        self._entries: dict[_Key, _Entry] = {}

    def __call__(self, event: Event) -> None:
        """Pass an event on, unless the limit leaves it out."""
        reported = self._limited(event) if isinstance(event, ConnectionRefused) else event
        if reported is not None:
            for observe in self._observers:
                observe(reported)

    def _limited(self, event: ConnectionRefused) -> ConnectionRefused | None:
        now = self._clock.now()
        entry = self._entry((event.uid, event.kind), now)
        if now < entry.next_report:
            entry.omitted += 1
            return None
        omitted, entry.omitted, entry.next_report = entry.omitted, 0, now + INTERVAL
        return msgspec.structs.replace(event, omitted=omitted)

    def _entry(self, key: _Key, now: float) -> _Entry:
        """The entry of a uid and kind; when the table is full, the one that all further uids share."""
        if key not in self._entries and len(self._entries) >= MAX_ENTRIES:
            self._entries = {each: entry for each, entry in self._entries.items() if now < entry.next_report}
        if key not in self._entries and len(self._entries) >= MAX_ENTRIES:
            key = (None, key[1])
        return self._entries.setdefault(key, _Entry())
