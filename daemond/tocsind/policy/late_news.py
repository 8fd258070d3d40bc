"""Late news: another host reports how a delivery of this host ended. A message that arrived outweighs each end here.

    here, and there:                sent       unknown    otherwise
    queued, held                    record     record     record
    sending                         the attempt here ends first
    expired, dropped, silenced,
      superseded                    correct    correct    -
    dead, rerouted, unknown         correct    -          -
    sent, digested                  -          -          -

An end here is a decision that the engine permitted, or one that was made while the engine was away. News may contradict it when the engine
forgot that an attempt was open.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from .delivery import State


class Step(Enum):
    """RECORD: the delivery ends so. CORRECT: it had ended here, and in truth so. NOTHING: the end here stays."""

    RECORD = "record"
    CORRECT = "correct"
    NOTHING = "nothing"


_OPEN: Final = frozenset({State.QUEUED, State.HELD})
_NOT_POSTED: Final = frozenset({State.EXPIRED, State.DROPPED, State.SILENCED, State.SUPERSEDED})
_CORRECTED: Final = {
    State.SENT: _NOT_POSTED | {State.DEAD, State.REROUTED, State.UNKNOWN},
    State.UNKNOWN: _NOT_POSTED,
}


def step(here: State, there: State) -> Step:
    """The step for a delivery in this state here that ended in that state at another host."""
    if here in _OPEN:
        return Step.RECORD
    return Step.CORRECT if here in _CORRECTED.get(there, frozenset()) else Step.NOTHING


def corrected(news: str, state: State, reason: str | None) -> str:
    """Why a delivery is in another state than that in which it had ended here."""
    return f"{news}; it had ended here before: {reason or state.value}"
