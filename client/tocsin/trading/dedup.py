"""The same signal raised again, told once.

A strategy that looks at the last thirty days every hour raises the same signals every hour. Under `once` a signal's id is made of what it
says, so the daemon, which stores an id once, answers `duplicate` to all but the first, as long as its ledger remembers. A signal without a
time is new each time: nobody can say that it is the same.
"""

from __future__ import annotations

import json
from hashlib import sha256

from tocsin.ids import id_of
from tocsin.signals import Signal


def with_stable_id(signal: Signal) -> Signal:
    """The signal under an id that its content makes."""
    if signal.timestamp is None:
        return signal
    values = signal.as_dict()
    del values["id"]
    digest = sha256(json.dumps(values, sort_keys=True).encode()).digest()
    return Signal.trusted({**values, "id": id_of(max(0, int(signal.timestamp * 1000)), digest[:10])})
