"""Requests the data of a screen from the daemon. While the daemon is away the last picture stays, with the error."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tocsin.client import Client
from tocsin.errors import TocsinError
from tocsin.replies import describe

from .model import History, lanes
from .screens import Picture, Screen, Want

PATIENCE = 1.0  # seconds for one answer, which a key may have to wait for
_MOST_DELIVERIES = 200
_SHOWN_STATES = ("sending", "queued", "held", "dead")  # in this order

Story = Callable[[Mapping[str, Any]], Sequence[str]]


class Source:
    """A strict client, and the latest data. `story` formats the answer to `why` as lines."""

    def __init__(self, client: Client, story: Story) -> None:
        self._client = client
        self._story = story
        self._history = History()
        self.picture = Picture()

    def look(self, want: Want) -> Picture:
        """Request all data of a screen once."""
        now = time.monotonic()
        try:
            self._ask(want, now)
        except TocsinError as error:
            self._still_away(describe(error), now)
        return self.picture

    def _ask(self, want: Want, now: float) -> None:
        status = self._client.status()
        self._history.add(status, now)
        picture = Picture(status=status, lanes=lanes(status, self._history))
        if want.screen is Screen.DELIVERIES:
            picture.deliveries = self._deliveries(want.subject)
        elif want.screen is Screen.STORY:
            picture.deliveries = self.picture.deliveries
            picture.story = self._story(self._client.why(str(want.subject)))
        self.picture = picture

    def _deliveries(self, destination: str | None) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        for state in _SHOWN_STATES:
            reply = self._client.request("queue", state=state, destination=destination, limit=_MOST_DELIVERIES)
            rows += reply.get("deliveries") or []
        return rows[:_MOST_DELIVERIES]

    def _still_away(self, reason: str, now: float) -> None:
        if self.picture.trouble is None:
            self.picture.since = now
        self.picture.trouble = reason
