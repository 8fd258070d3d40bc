"""Asks the daemon for what a screen shows. While it is away the last picture stays, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tocsin.client import Client
from tocsin.errors import TocsinError
from tocsin.replies import describe

from .model import History, lanes
from .screens import Picture, Screen, Want

PATIENCE = 1.0  # seconds for one answer: a key must not wait longer for its effect
_MOST_DELIVERIES = 200
_OF_INTEREST = ("sending", "queued", "dead")  # what a person looks for, in the order in which it is shown

Story = Callable[[Mapping[str, Any]], Sequence[str]]


class Source:
    """A strict client, and what it was told. `story` puts the answer to `why` into lines."""

    def __init__(self, client: Client, story: Story) -> None:
        self._client = client
        self._story = story
        self._history = History()
        self.picture = Picture()

    def look(self, want: Want) -> Picture:
        """Ask once for everything that the screen wants."""
        now = time.monotonic()
        try:
            self._ask(want, now)
        except TocsinError as error:
            self._still_away(describe(error), now)
        return self.picture

    def _ask(self, want: Want, now: float) -> None:
        status = self._client.status()
        self._history.add(status, now)
        told = Picture(status=status, lanes=lanes(status, self._history))
        if want.screen is Screen.DELIVERIES:
            told.deliveries = self._deliveries(want.subject)
        elif want.screen is Screen.STORY:
            told.deliveries = self.picture.deliveries
            told.story = self._story(self._client.why(str(want.subject)))
        self.picture = told

    def _deliveries(self, destination: str | None) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        for state in _OF_INTEREST:
            reply = self._client.request("queue", state=state, destination=destination, limit=_MOST_DELIVERIES)
            rows += reply.get("deliveries") or []
        return rows[:_MOST_DELIVERIES]

    def _still_away(self, reason: str, now: float) -> None:
        if self.picture.trouble is None:
            self.picture.since = now
        self.picture.trouble = reason
