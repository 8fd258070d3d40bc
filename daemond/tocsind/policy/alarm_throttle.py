"""When a trouble of ours is told: once it has lasted, once while it lasts, and not again too soon after it was over. And where.

A trouble is known by what it is and whom it is about. One that only happens (a file in quarantine) has no end to wait for: it is told
once in a while, however often it happens meanwhile. Asking changes nothing; `told` and `over` do.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import inf

MIN_INTERVAL = 600.0  # seconds; what comes and goes is told so often at most
UNREAD_KINDS = frozenset({"file"})  # kinds of destinations that keep what they get until a person thinks of looking


def readable_first(names: Sequence[str], kinds: Mapping[str, str], service: str | None) -> tuple[str, ...]:
    """The destinations in the order in which an alarm should reach a person, nearest first in each group.

    Other services first: what keeps one channel of `service` from working may keep the others, too. Then other channels of that service,
    and last what no person reads.
    """
    return tuple(sorted(names, key=lambda name: (kinds[name] in UNREAD_KINDS, kinds[name] == service)))


class AlarmHistory:
    """What was told, and when, on the monotonic clock."""

    def __init__(self) -> None:
        self._when: dict[Hashable, float] = {}
        self._lasting: set[Hashable] = set()

    def is_news(self, about: Hashable, now: float, *, lasted: float = 0.0, patience: float | None = 0.0) -> bool:
        """Whether to tell of it now. `lasted` so many seconds, of which `patience` are nothing to tell of; None: none ever are."""
        if patience is None or lasted < patience or about in self._lasting:
            return False
        return now - self._when.get(about, -inf) >= MIN_INTERVAL

    def on_raised(self, about: Hashable, now: float, *, lasts: bool = False) -> None:
        """It was told. What `lasts` is not told again before it is `over`."""
        self._when[about] = now
        if lasts:
            self._lasting.add(about)

    def on_over(self, about: Hashable) -> None:
        """It is no trouble any more."""
        self._lasting.discard(about)
