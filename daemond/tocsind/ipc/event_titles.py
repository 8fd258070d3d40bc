"""The titles of the signals that events are about, for one `tail`: events have ids only, and people read titles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsind.errors import StorageFull
from tocsind.journal import Journal, queries

MOST = 2000  # titles in memory: more than the events that the feed keeps


class EventTitles:
    """Titles by id, read from the journal once each."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, str | None] = {}

    async def learn(self, events: Iterable[dict[str, Any]]) -> None:
        """Read the titles that are not known yet. While the disk is full, events stay without titles."""
        ids = dict.fromkeys(id_ for event in events if (id_ := event.get("id")) and id_ not in self._known)
        if not ids:
            return
        try:
            found = await self._journal.run(queries.titles, tuple(ids))
        except StorageFull:
            return
        for id_ in ids:
            self._known[id_] = found.get(id_)
        for id_ in list(self._known)[: max(0, len(self._known) - MOST)]:
            del self._known[id_]

    def added(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event with its title, if that is known."""
        title = self._known.get(event.get("id", ""))
        return event if title is None else {**event, "title": title}
