"""The thread behind `tocsin.Handler`: a bounded queue, and whoever empties it. One process's own; a fork needs another."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

from .background import Background
from .floods import Floods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from .client import Client

FLUSH_SECONDS = 2.0  # what the end of a program may take because of us
_BATCH = 500  # so that a full queue is two hand-offs


class Worker:
    """One process's queue, and the thread that empties it."""

    def __init__(self, client: Client, capacity: int, window: float) -> None:
        self.pid = os.getpid()
        self.lost = 0  # records that nobody will be told of, since that was last said
        self._client = client
        self._capacity = capacity
        self._floods = Floods(window)
        self._queue: SimpleQueue[dict[str, Any] | threading.Event | None] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may log, too
        self._thread = Background("tocsin.Handler", self._run)

    def is_me(self) -> bool:
        """Whether it is our own thread that asks."""
        return self._thread.is_me()

    def put(self, key: Hashable, make: Callable[[], dict[str, Any]]) -> None:
        """Queue what `make` makes, unless it is one more of the same, or there is no room."""
        with self._lock:
            flood = self._floods.begin(key, time.monotonic())
        if flood is None:
            return
        if self._queue.qsize() >= self._capacity:
            self.lost += 1
            return
        flood.first = make()
        self._queue.put(flood.first)
        if not self._thread.begin() and sys.is_finalizing():
            self._turn()  # the last words of a program, from some __del__: nobody comes after us

    def flush(self) -> bool:
        """Wait until all that is queued now was handed over, at most FLUSH_SECONDS; False when it was not by then."""
        if self._queue.empty() and not self._thread.is_alive():
            return True
        done = threading.Event()
        self._queue.put(done)
        if not self._thread.begin():
            self._turn()  # no thread can be had any more
        return done.wait(FLUSH_SECONDS)

    def stop(self) -> None:
        """Let the thread end and close its connection, and do not wait for it: it may be waiting for a hung daemon."""
        if self._thread.is_alive():
            self._queue.put(None)
        else:
            self._client.close()

    def _run(self) -> None:
        while self._turn():
            pass
        self._client.close()

    def _turn(self) -> bool:
        """Hand over what waits; False when that is the end."""
        items = self._waiting()
        asked = [item for item in items if isinstance(item, threading.Event)]
        batch = [item for item in items if isinstance(item, dict)]
        self._hand_over([*batch, *self._repetitions(at_once=bool(asked))])
        for event in asked:
            event.set()
        return None not in items

    def _waiting(self) -> list[dict[str, Any] | threading.Event | None]:
        """What is queued, after waiting for it, or for the end of a flood."""
        items: list[dict[str, Any] | threading.Event | None] = []
        with suppress(Empty):
            items.append(self._queue.get(timeout=self._floods.window if self._floods else None))
            while len(items) < _BATCH:
                items.append(self._queue.get_nowait())
        return items

    def _repetitions(self, *, at_once: bool) -> list[dict[str, Any]]:
        with self._lock:
            over = self._floods.over(time.monotonic(), all_of_them=at_once)
        return [_again(flood.first, flood.more, self._floods.window) for flood in over]

    def _hand_over(self, batch: list[dict[str, Any]]) -> None:
        lost, self.lost = self.lost, 0
        if lost:
            batch.append({"title": f"{lost} log records could not be told, or came too fast", "priority": "normal"})
        if batch:
            receipts = self._client.send_many(batch)
            self.lost += sum(not receipt.accepted for receipt in receipts)


def _again(first: dict[str, Any], more: int, window: float) -> dict[str, Any]:
    times = f"{more} more time{'s' if more > 1 else ''} within {window:g} s"
    return {**first, "title": f"{times}: {first.get('title', 'a message')}", "timestamp": time.time()}
