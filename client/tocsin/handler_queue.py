"""The thread behind `tocsin.Handler`: a bounded queue, and the thread that empties it. One process's own; a fork needs another."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

from . import at_exit
from .background import BackgroundThread
from .dedup import Repetition, Repetitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from .client import Client

    Item = dict[str, Any] | threading.Event | None  # a record's signal, a flush that waits, the end


class HandlerQueue:
    """One process's queue, and the thread that empties it."""

    def __init__(self, client: Client, capacity: int, window: float) -> None:
        self.pid = os.getpid()
        self.dropped = 0  # records that nobody will be told of, since that was last said
        self._client = client
        self._capacity = capacity
        self._floods = Repetitions(window)
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may log, too
        self._thread = BackgroundThread("tocsin.Handler", self._run)
        at_exit.register(self)

    def is_me(self) -> bool:
        """Whether the calling thread is the one behind this queue."""
        return self._thread.is_me()

    def put(self, key: Hashable, signal: dict[str, Any]) -> None:
        """Queue a signal, unless it is one more of the same (by `key`), or there is no room. Never waits, until the program ends."""
        at_exit.hook_child()
        with self._lock:
            flood = self._floods.is_first(key, signal, time.monotonic())
            is_full = self._queue.qsize() >= self._capacity
            if flood is not None and is_full:
                self._count(flood)
        if flood is not None and not is_full:
            self._queue.put(flood.first)
        if at_exit.is_ending() or sys.is_finalizing():
            self.flush()  # the thread may be stopped at any moment
        elif flood is not None:
            self._thread.start()

    def flush(self) -> bool:
        """Wait until all that is queued now was handed over; False when it was not in time."""
        if self._queue.empty() and not self._thread.is_alive() and not self._floods.has_more():
            return True
        done = threading.Event()
        self._queue.put(done)
        if not self._thread.start():
            self._work(wait=False)  # no thread can be had any more
        return done.wait(at_exit.seconds_left())

    def stop(self) -> None:
        """Let the thread end and close its connection, and do not wait for it: it may be waiting for a hung daemon."""
        if self._thread.is_alive():
            self._queue.put(None)
        else:
            self._client.close()

    def _count(self, flood: Repetition) -> None:
        """There is no room for it: its text is told with the repetitions, or it is lost, and that is told."""
        if flood.watched:
            flood.more += 1
        else:
            self.dropped += 1

    def _run(self) -> None:
        while self._work(wait=True) or not self._thread.finish(self._queue.empty):
            pass
        self._client.close()

    def _work(self, *, wait: bool) -> bool:
        """Hand over what is queued; False when nothing more is to be waited for."""
        items = self._queued(wait=wait)
        asked = [item for item in items if isinstance(item, threading.Event)]
        batch = [item for item in items if isinstance(item, dict)]
        self._submit([*batch, *self._repetitions(at_once=bool(asked))])
        for event in asked:
            event.set()
        return None not in items

    def _queued(self, *, wait: bool) -> list[Item]:
        """All that is queued: a full queue is one hand-off. Waits for the first, or for the end of a flood."""
        items: list[Item] = []
        with suppress(Empty):
            if wait:
                items.append(self._queue.get(timeout=self._floods.window if self._floods else None))
            while True:
                items.append(self._queue.get_nowait())
        return items

    def _repetitions(self, *, at_once: bool) -> list[dict[str, Any]]:
        with self._lock:
            over = self._floods.finished(time.monotonic(), all_of_them=at_once)
        return [_again(flood.first, flood.more, self._floods.window) for flood in over]

    def _submit(self, batch: list[dict[str, Any]]) -> None:
        lost, self.dropped = self.dropped, 0
        if lost:
            batch.append({"title": f"{lost} log records could not be told, or came too fast", "priority": "normal"})
        if batch:
            receipts = self._client.send_many(batch)
            self.dropped += sum(not receipt.accepted for receipt in receipts)


def _again(first: dict[str, Any], more: int, window: float) -> dict[str, Any]:
    times = f"{more} more time{'s' if more > 1 else ''} within {window:g} s"
    return {**first, "title": f"{times}: {first.get('title', 'a message')}", "timestamp": time.time()}
