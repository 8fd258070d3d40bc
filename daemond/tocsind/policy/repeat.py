"""Repeat until acknowledged: an alert is posted again until a person acknowledges it.

      sent ---- `every` seconds ----> queued again, as a repetition ---> sent ---- ... ---> `most` repetitions: sent to the fallback, once

It ends by `tocsin ack`, by the end of the story of its key, by a later signal of its key that takes over, or when its time has passed
(`expires`). A repetition is a delivery like any other: the limits of its destination hold for it, and an outage moves it to the fallback.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from .delivery import Priority

NEVER_AGAIN = -1  # as a number of repetitions: this delivery is the fallback's, and is not repeated there


class Repeat(msgspec.Struct, frozen=True):
    """How long to wait for an acknowledgement, in seconds, by priority; None: not at all."""

    urgent: float | None = None
    high: float | None = None
    normal: float | None = None
    low: float | None = None
    most: int = 12  # repetitions, without the first message

    def every(self, priority: Priority) -> float | None:
        """The seconds between two repetitions of a signal of this priority; None: it is not repeated."""
        found: float | None = getattr(self, priority.label)
        return found


class Step(Enum):
    """What to do with an alert when its time to be repeated has come."""

    AGAIN = "again"
    FALLBACK = "fallback"
    STOP = "stop"


def step(repeat: Repeat | None, priority: Priority, repeats: int, deadline: float | None, now: float) -> Step:
    """What to do after `repeats` repetitions. `deadline` and `now` are on one clock."""
    if repeat is None or repeat.every(priority) is None or repeats < 0:
        return Step.STOP  # the configuration has changed
    if deadline is not None and deadline <= now:
        return Step.STOP
    return Step.AGAIN if repeats < repeat.most else Step.FALLBACK
