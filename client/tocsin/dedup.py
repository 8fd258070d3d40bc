"""Deduplication of repeated messages: the first goes out at once, its repetitions are counted and reported together.

Pure: `now` is a parameter, in seconds on any clock that only goes forward.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

MAX_TEXTS = 500  # different messages that are watched at a time; others pass, and the queue behind bounds them


class Repetition:
    """One message: when its window began, its first signal, how many followed, and whether those will be reported (`watched`)."""

    __slots__ = ("first", "more", "since", "watched")

    def __init__(self, since: float, first: dict[str, Any], *, watched: bool) -> None:
        self.since = since
        self.first = first
        self.more = 0
        self.watched = watched


class Repetitions:
    """The messages of the last `window` seconds. A window of zero deduplicates nothing."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._watched: dict[Hashable, Repetition] = {}

    def add(self, key: Hashable, first: dict[str, Any], now: float) -> Repetition | None:
        """A new entry for a message that is to be sent; None when it was counted as a repetition."""
        running = self._watched.get(key)
        if running is not None and (running.more or now - running.since < self.window):
            running.more += 1  # also after the window, until `finished` has reported it
            return None
        watched = self.window > 0 and (running is not None or len(self._watched) < MAX_TEXTS)
        made = Repetition(now, first, watched=watched)
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
