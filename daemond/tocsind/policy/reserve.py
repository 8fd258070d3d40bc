"""How many tokens of a bucket are reserved for URGENT and HIGH, so that a backlog never delays them.

At least a small share. More when demand was high: 1.5 times the demand of the busiest window within the last three windows. At most
half of all tokens, or a storm of alarms would stop everything else. It counts demand and not requests: with a reserve that is too small,
expedited deliveries wait and share a message, so requests would hide the shortage. A demand has the instant since when its delivery waits.
So a delivery that a lane reads again, as it does when hosts change places or an engine is away, counts once. Deliveries that arrive faster
than a webhook accepts requests share a message in any case, and count once. A reserve that is too large costs little: an expedited message
takes others along.
"""

from __future__ import annotations

from collections import deque
from math import ceil

MIN_SHARE = 4 / 30  # of the tokens: 4 of the 30 a minute of a Discord channel
MIN_SPACING = 0.4  # s: 5 in 2 s is the fastest known webhook
HEADROOM = 1.5  # times the busiest window: alarms come at random, and the next window may be busier
WINDOWS = 3  # number of windows to look back
MAX_DEMANDS = 200  # instants kept; half of any larger bucket exceeds the alarms of a minute


class Reserve:
    """Counts demand. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._demands: deque[float] = deque(maxlen=MAX_DEMANDS)

    def note_demand(self, now: float) -> None:
        """An expedited delivery arrived at `now`, or is read again: what is not later than the last demand is ignored."""
        if not self._demands or now - self._demands[-1] >= MIN_SPACING:
            self._demands.append(now)

    def reserved(self, now: float, count: int, per: float) -> int:
        """How many of `count` tokens in `per` seconds to reserve; 0 when there is only one."""
        if count < 2:
            return 0
        lately = [at for at in self._demands if at > now - WINDOWS * per]
        return min(max(1, round(count * MIN_SHARE), ceil(_peak(lately, per) * HEADROOM)), ceil(count / 2))


def _peak(demands: list[float], per: float) -> int:
    """The most of these instants within any `per` seconds. They are in order of time."""
    most = first = 0
    for last, at in enumerate(demands):
        while demands[first] <= at - per:
            first += 1
        most = max(most, last - first + 1)
    return most
