"""How many tokens of a bucket are kept for URGENT and HIGH, so that a backlog never stands before them.

A small share at least; half as many again as they wanted in the busiest stretch that is as long as a window, of the last three windows,
when that is more; half of all at most, or a storm of alarms would starve everything else. What they wanted is counted, and not what they
got, because a reserve that is too small would hide its own failure: those who wait share a message. Wishes that come closer than a webhook
can be asked would share one in any case, and count once. What is kept too many costs little: a pressing message takes others along.
"""

from __future__ import annotations

from collections import deque
from math import ceil

MIN_SHARE = 4 / 30  # of the tokens: 4 of the 30 a minute that a Discord channel takes
MIN_SPACING = 0.4  # seconds: 5 in 2 s is the fastest that a webhook is known to take
HEADROOM = 1.5  # times the busiest: alarms come at random, and the next stretch may be busier
WINDOWS = 3  # so many are looked back upon
MAX_DEMANDS = 200  # wishes remembered; half of any bucket that has so many tokens is beyond a minute's alarms


class Reserve:
    """Counts wishes. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._demands: deque[float] = deque(maxlen=MAX_DEMANDS)

    def note_demand(self, now: float) -> None:
        """A pressing delivery has come."""
        if not self._demands or now - self._demands[-1] >= MIN_SPACING:
            self._demands.append(now)

    def reserved(self, now: float, count: int, per: float) -> int:
        """How many of `count` tokens in `per` seconds to leave untouched; 0 when there is nothing to share."""
        if count < 2:
            return 0
        lately = [at for at in self._demands if at > now - WINDOWS * per]
        return min(max(1, round(count * MIN_SHARE), ceil(_peak(lately, per) * HEADROOM)), ceil(count / 2))


def _peak(wishes: list[float], per: float) -> int:
    """The most of them within `per` seconds, wherever those begin; wishes are in order of time."""
    most = first = 0
    for last, at in enumerate(wishes):
        while wishes[first] <= at - per:
            first += 1
        most = max(most, last - first + 1)
    return most
