"""Clients that wait until a signal is settled (`tocsin send --wait`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tocsind.journal import Journal, queries


class Waiters:
    """Semaphores by the id of the signal; each release makes one waiting client read the journal again."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._semaphores: dict[str, list[trio.Semaphore]] = {}

    def __len__(self) -> int:
        return len(self._semaphores)

    async def wait_settled(self, id_: str, seconds: float) -> str | None:
        """The signal's summary once none of its deliveries is queued, or after `seconds`. None: the journal has no such signal."""
        with self._waiting(id_) as settled:  # before the first query, so that no release is missed
            summary = await self._journal.run(queries.states, id_)
            with trio.move_on_after(seconds):
                while summary == "queued":
                    await settled.acquire()
                    summary = await self._journal.run(queries.states, id_)
        return summary

    def release(self, id_: str) -> None:
        """A delivery of this signal is settled."""
        for settled in self._semaphores.get(id_, ()):
            settled.release()

    def release_all(self) -> None:
        """A delivery is settled that may be a digest, and with it the signals that it replaced."""
        for id_ in list(self._semaphores):
            self.release(id_)

    @contextmanager
    def _waiting(self, id_: str) -> Iterator[trio.Semaphore]:
        settled = trio.Semaphore(0)
        semaphores = self._semaphores.setdefault(id_, [])
        semaphores.append(settled)
        try:
            yield settled
        finally:
            semaphores.remove(settled)
            if not semaphores:
                del self._semaphores[id_]
