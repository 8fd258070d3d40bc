"""Repetition, folded: the first of many goes out at once, the others are counted and told together.

Pure: `now` is a parameter, in seconds on any clock that only goes forward.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

MAX_TEXTS = 500  # different messages that are watched at a time; further ones pass, and their receiver is bounded too


class Repetition:
    """One message: since when we count, what the first said, how many came after it, and whether those will be told of (`watched`)."""

    __slots__ = ("first", "more", "since", "watched")

    def __init__(self, since: float, first: dict[str, Any], *, watched: bool) -> None:
        self.since = since
        self.first = first
        self.more = 0
        self.watched = watched


class Repetitions:
    """The messages of the last `window` seconds. A window of zero folds nothing."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._floods: dict[Hashable, Repetition] = {}

    def is_first(self, key: Hashable, first: dict[str, Any], now: float) -> Repetition | None:
        """The flood that a message begins, which is then to be told; None when it is counted as one more of a flood."""
        running = self._floods.get(key)
        if running is not None and (running.more or now - running.since < self.window):
            running.more += 1  # also when its window is over and `over` has not come to it yet
            return None
        flood = Repetition(
            now, first, watched=self.window > 0 and (running is not None or len(self._floods) < MAX_TEXTS)
        )
        if flood.watched:
            self._floods[key] = flood
        return flood

    def finished(self, now: float, *, all_of_them: bool = False) -> list[Repetition]:
        """Floods whose window is over, or all, that have more to tell. One that goes on has a new window, and is told once in each."""
        told = []
        for key, flood in list(self._floods.items()):
            if all_of_them or now - flood.since >= self.window:
                del self._floods[key]
                if flood.more:
                    told.append(flood)
                    self._floods[key] = Repetition(now, flood.first, watched=True)
        return told

    def has_more(self) -> bool:
        """Whether any repetition was counted that is not told yet."""
        return any(flood.more for flood in list(self._floods.values()))

    def __bool__(self) -> bool:
        return bool(self._floods)
