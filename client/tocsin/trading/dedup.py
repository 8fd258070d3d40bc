"""Deduplication of signals that a strategy raises again.

A strategy that evaluates the last thirty days every hour raises the same signals every hour. With `once` a signal's id is a hash of its
content, so the daemon, which stores an id once, answers `duplicate` to all but the first, within the retention of its ledger. A signal
without a time is new each time.
"""

from __future__ import annotations

import json
from hashlib import sha256

from tocsin.ids import id_of
from tocsin.signals import Signal


def with_stable_id(signal: Signal) -> Signal:
    """The signal with an id that is a hash of its content."""
    if signal.timestamp is None:
        return signal
    values = signal.as_dict()
    del values["id"]
    digest = sha256(json.dumps(values, sort_keys=True).encode()).digest()
    return Signal.trusted({**values, "id": id_of(max(0, int(signal.timestamp * 1000)), digest[:10])})
