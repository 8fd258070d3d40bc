"""Which screen is shown, and what a key does there.

    LANES  --enter-->  DELIVERIES (of the chosen lane)  --enter-->  STORY (of the chosen delivery)
       <----escape, q---------'   <-------escape, q-----------------------'      q on LANES leaves

`wants` names the data that a screen needs; `source` requests it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .model import ORDERS, Lane, busiest, ordered


class Screen(Enum):
    """The screens."""

    LANES = "lanes"
    DELIVERIES = "deliveries"
    STORY = "story"


@dataclass
class Picture:
    """The latest data of the daemon. `trouble` is the error while it does not answer, `since` when that began, by the monotonic clock."""

    status: Mapping[str, Any] = field(default_factory=dict)
    lanes: Sequence[Lane] = ()
    deliveries: Sequence[Mapping[str, Any]] = ()
    story: Sequence[str] = ()
    trouble: str | None = None
    since: float = 0.0


@dataclass(frozen=True)
class Want:
    """The data that a screen needs besides the status."""

    screen: Screen
    subject: str | None = None  # a destination, or a signal's id


class Screens:
    """The shown screen. `press` handles a key; a key without a meaning on this screen is ignored."""

    def __init__(self) -> None:
        self.screen = Screen.LANES
        self.order = ORDERS[0]
        self.paused = False
        self.help = False  # the overlay with the keys
        self.over = False
        self._chosen_by_hand = False
        self.row = 0  # the chosen line of LANES or DELIVERIES, or the first shown of STORY
        self._way_back: list[tuple[Screen, int, str | None]] = []
        self._subject: str | None = None

    @property
    def wants(self) -> Want:
        """The data that this screen needs."""
        return Want(self.screen, self._subject)

    @property
    def subject(self) -> str:
        """The destination or signal that the screen shows."""
        return self._subject or ""

    def press(self, key: str, picture: Picture) -> None:
        """Handle a key."""
        if self.help or key in {"?", "h"}:
            self.help = not self.help
            return
        self._chosen_by_hand = True
        if key in {"q", "escape"}:
            self._back(leave=key == "q")
        elif key in {"p", " "}:
            self.paused = not self.paused
        elif key == "s" and self.screen is Screen.LANES:
            self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        elif key in {"enter", "w"}:
            self._open(picture)
        else:
            self.row = max(0, min(self.row + _STEPS.get(key, 0), self.rows(picture) - 1))

    def follow(self, picture: Picture) -> None:
        """Choose the busiest lane of a new picture, until a key was pressed."""
        if not self._chosen_by_hand:
            self.row = busiest(ordered(picture.lanes, self.order))

    def rows(self, picture: Picture) -> int:
        """The number of lines."""
        return len({Screen.LANES: picture.lanes, Screen.DELIVERIES: picture.deliveries}.get(self.screen, picture.story))

    def chosen_lane(self, picture: Picture) -> Lane | None:
        """The lane under the cursor; None while there is no lane."""
        found = ordered(picture.lanes, self.order)
        return found[min(self.row, len(found) - 1)] if found else None

    def _back(self, *, leave: bool) -> None:
        if self._way_back:
            self.screen, self.row, self._subject = self._way_back.pop()
        else:
            self.over = leave

    def _open(self, picture: Picture) -> None:
        if self.screen is Screen.LANES and (lane := self.chosen_lane(picture)):
            self._go(Screen.DELIVERIES, lane.name)
        elif self.screen is Screen.DELIVERIES and picture.deliveries:
            self._go(Screen.STORY, str(picture.deliveries[min(self.row, len(picture.deliveries) - 1)].get("id")))

    def _go(self, screen: Screen, subject: str) -> None:
        self._way_back.append((self.screen, self.row, self._subject))
        self.screen, self.row, self._subject = screen, 0, subject


_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -10, "page-down": 10, "home": -(10**6), "end": 10**6}
