"""When to raise an alarm: after the condition has lasted, once while it lasts, and not again too soon after it ended. And by which
destination.

A condition is identified by its kind and its subject. A momentary one (a file in quarantine) has no end: its alarm is repeated at most once
per interval, however often it occurs. `is_news` changes nothing; `on_raised` and `on_over` do.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import inf

MIN_INTERVAL = 600.0  # s; the shortest time between two alarms about one condition
UNREAD_KINDS = frozenset({"file"})  # kinds of destinations that no person watches


def readable_first(names: Sequence[str], kinds: Mapping[str, str], service: str | None) -> tuple[str, ...]:
    """The destinations in the order in which an alarm should try them. Each group keeps the configured order.

    Other services come first: what stops one channel of `service` may stop its other channels. Then come other channels of that service,
    and last the kinds that no person watches.
    """
    return tuple(sorted(names, key=lambda name: (kinds[name] in UNREAD_KINDS, kinds[name] == service)))


class AlarmHistory:
    """Which alarms were raised, and when. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._when: dict[Hashable, float] = {}
        self._lasting: set[Hashable] = set()

    def is_news(self, about: Hashable, now: float, *, lasted: float = 0.0, patience: float | None = 0.0) -> bool:
        """Whether to raise the alarm now. The condition has `lasted` so many seconds; up to `patience` there is no alarm. None: there never
        is.
        """
        if patience is None or lasted < patience or about in self._lasting:
            return False
        return now - self._when.get(about, -inf) >= MIN_INTERVAL

    def on_raised(self, about: Hashable, now: float, *, lasts: bool = False) -> None:
        """The alarm was raised. With `lasts`, it is not raised again before `on_over`."""
        self._when[about] = now
        if lasts:
            self._lasting.add(about)

    def on_over(self, about: Hashable) -> None:
        """The condition ended."""
        self._lasting.discard(about)
