"""Those who wait for the end of a signal (`tocsin send --wait`): told when to look, never what they will see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Waiters:
    """Watchers by the id of the signal that they wait for."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[trio.Semaphore]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    @contextmanager
    def waiting(self, id_: str) -> Iterator[trio.Semaphore]:
        """Released each time something of the signal is settled."""
        settled = trio.Semaphore(0)
        watchers = self._waiters.setdefault(id_, [])
        watchers.append(settled)
        try:
            yield settled
        finally:
            watchers.remove(settled)
            if not watchers:
                del self._waiters[id_]

    def release(self, id_: str, *, everybody: bool = False) -> None:
        """Something of this signal is settled; when it may have been a digest, so is what it stands for: let `everybody` look."""
        for each in list(self._waiters) if everybody else (id_,):
            for settled in self._waiters.get(each, ()):
                settled.release()
