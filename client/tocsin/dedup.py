"""Deduplication of repeated messages: the first goes out at once, its repetitions are counted and reported together.

Pure: `now` is a parameter, in seconds on any clock that only goes forward.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

MAX_VALUES = 4  # of one field that are shown of all repetitions
MAX_TEXTS = 500  # different messages that are watched at a time; others pass, and the queue behind bounds them


class Repetition:
    """One message: when its window began, its first signal, and how many followed.

    `watched`: those will be reported. `values`: what fields they had, at most MAX_VALUES + 1 different ones of a field.
    """

    __slots__ = ("first", "more", "since", "values", "watched")

    def __init__(self, since: float, first: dict[str, Any], *, watched: bool) -> None:
        self.since = since
        self.first = first
        self.more = 0
        self.values: dict[str, list[Any]] = {}
        self.watched = watched

    def count(self, signal: dict[str, Any]) -> None:
        """One more, and the values of its fields."""
        self.more += 1
        for name, value in (signal.get("fields") or {}).items():
            values = self.values.setdefault(name, [])
            if len(values) <= MAX_VALUES and value not in values:
                values.append(value)


class Repetitions:
    """The messages of the last `window` seconds. A window of zero deduplicates nothing."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._watched: dict[Hashable, Repetition] = {}

    def add(self, key: Hashable, signal: dict[str, Any], now: float) -> Repetition | None:
        """A new entry for a message that is to be sent; None when it was counted as a repetition."""
        running = self._watched.get(key)
        if running is not None and (running.more or now - running.since < self.window):
            running.count(signal)  # also after the window, until `finished` has reported it
            return None
        watched = self.window > 0 and (running is not None or len(self._watched) < MAX_TEXTS)
        made = Repetition(now, signal, watched=watched)
        if watched:
            self._watched[key] = made
        return made

    def finished(self, now: float, *, all_of_them: bool = False) -> list[Repetition]:
        """The entries with repetitions whose window is over, or all. Each starts another window: a message is reported once a window."""
        over = []
        for key, each in list(self._watched.items()):
            if all_of_them or now - each.since >= self.window:
                del self._watched[key]
                if each.more:
                    over.append(each)
                    self._watched[key] = Repetition(now, each.first, watched=True)
        return over

    def has_more(self) -> bool:
        """Whether a repetition was counted that is not reported yet."""
        return any(each.more for each in list(self._watched.values()))

    def __bool__(self) -> bool:
        return bool(self._watched)
