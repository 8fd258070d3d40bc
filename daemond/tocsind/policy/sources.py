"""The source name that is reserved for the daemon: only its own alarms, digests and reports may have it.

A signal of a client that claims it, or a name that looks like it, is accepted all the same: an alert matters more than its fields. Its
source is replaced by one that names the sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from tocsin.signals import Signal

DAEMON_SOURCE = "tocsin"
_RESERVED = frozenset({DAEMON_SOURCE, "tocsind"})
_LOOKALIKES = str.maketrans("тτоοсϲѕіι", "ttooccsii")  # Cyrillic and Greek letters that look like those of the name


def is_reserved(source: str | None) -> bool:
    """Whether a reader would take it for the daemon's."""
    if not source:
        return False
    plain = normalize("NFKC", source).casefold().translate(_LOOKALIKES)
    return "".join(letter for letter in plain if letter.isalnum()) in _RESERVED


def without_reserved_source(signals: Sequence[Signal], uid: int) -> Sequence[Signal]:
    """The signals that user `uid` sent, none of them with the reserved source; the same object when none claimed it."""
    if not any(is_reserved(signal.source) for signal in signals):
        return signals
    return [_renamed(signal, uid) if is_reserved(signal.source) else signal for signal in signals]


def note(came: Signal, taken: Signal) -> str | None:
    """What the receipt says about a replaced source; None when it was not replaced."""
    if came.source == taken.source:
        return None
    return f"source {came.source!r} is reserved to tocsin itself: it is {taken.source!r} now"


def _renamed(signal: Signal, uid: int) -> Signal:
    return Signal.trusted({**signal.as_dict(), "source": f"{DAEMON_SOURCE} (sent by uid {uid})"})
