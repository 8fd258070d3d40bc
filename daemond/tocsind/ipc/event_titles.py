"""The titles of the signals that events are about, for all tails: events have ids only, and people read titles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import trio

from tocsind.errors import StorageFull
from tocsind.journal import Journal, queries

MOST = 2000  # titles in memory: more than the events that the feed keeps


class EventTitles:
    """Titles by id. A title is read from the journal once for all tails, and none is kept while there is no tail."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, str] = {}
        self._reading: dict[str, trio.Event] = {}
        self._tails = 0

    @contextmanager
    def tail(self) -> Iterator[None]:
        """A tail needs titles."""
        self._tails += 1
        try:
            yield
        finally:
            self._tails -= 1
            if not self._tails:
                self._known.clear()

    async def learn(self, ids: Iterable[str | None]) -> None:
        """Read the titles that are not known yet. While the disk is full, events stay without titles."""
        unknown = [id_ for id_ in dict.fromkeys(ids) if id_ is not None and id_ not in self._known]
        own = [id_ for id_ in unknown if id_ not in self._reading]
        if own:
            await self._read(own)
        for id_ in unknown:
            if (other := self._reading.get(id_)) is not None:  # another tail reads it
                await other.wait()

    def get(self, id_: str | None) -> str | None:
        """The title, if it is known."""
        return None if id_ is None else self._known.get(id_)

    async def _read(self, ids: list[str]) -> None:
        done = trio.Event()
        self._reading |= dict.fromkeys(ids, done)
        try:
            self._known |= await self._journal.run(queries.titles, tuple(ids))
        except StorageFull:
            return
        finally:
            for id_ in ids:
                del self._reading[id_]
            done.set()
        for id_ in list(self._known)[: max(0, len(self._known) - MOST)]:
            del self._known[id_]
