"""A bounded queue, and the thread that empties it: for the logging handler, for coroutines and for strategies.

    thread      started with the first item. While the interpreter closes, or when no more threads can be started, there is none
    bounded     `put` refuses what exceeds the capacity. Items that the thread has taken do not count
    fork        a child has its parent's queue, perhaps with a lock that is held, and none of its threads: it needs a queue of its own
    exit        the end of the program flushes every queue, within two seconds for all of them (tocsin.at_exit)

The thread and the callers must agree on whether the thread still runs: `Thread.is_alive` is true until its very last step, long after it
has looked into the queue for the last time. A thread that wants to end calls `finish`, which marks it as ended under the lock that `start`
takes. An item was either queued before that, and the thread goes on, or it is queued after that, and `start` starts another thread.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from . import at_exit
from .at_exit import FLUSH_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Queue = TypeVar("Queue", bound="WorkQueue")


class BackgroundThread:
    """A daemon thread of one process that is started when there is work, and again after it has ended."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.RLock()  # a signal handler may start it, too
        self._thread: threading.Thread | None = None
        self._is_mine = threading.local()

    def start(self) -> bool:
        """Start the thread unless it runs. Queue the work first. False when the interpreter closes, or there are too many threads.

        While the interpreter closes a running daemon thread is suspended for ever, and a new one may never run (3.11 waits for it).
        """
        if sys.is_finalizing():
            return False
        with self._lock:
            if not self.is_alive():
                thread = threading.Thread(target=self._main, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    self._thread = None
                    return False
                self._thread = thread
        return True

    def finish(self, is_idle: Callable[[], bool]) -> bool:
        """Called by the thread itself: whether it may end, because there is no work. If so, it counts as ended from now on."""
        with self._lock:
            if not is_idle():
                return False
            if self._thread is threading.current_thread():
                self._thread = None
            return True

    def is_alive(self) -> bool:
        """Whether the thread runs and will see what is queued now."""
        return self._thread is not None and self._thread.is_alive()

    def is_current(self) -> bool:
        """Whether the calling thread is this one."""
        return getattr(self._is_mine, "yes", False)

    def _main(self) -> None:
        self._is_mine.yes = True
        self._run()


_STOP = object()


class WorkQueue:
    """A bounded queue of one process, whose thread passes the items to `handle`.

    `capacity` bounds the sum of the sizes of the queued items; a single item may exceed it. `batch` is the most that `handle` gets at once.
    """

    caller_works = True  # `put` handles the queue itself when no thread can be started; else the items wait for `flush`

    def __init__(self, name: str, capacity: int, batch: int = sys.maxsize) -> None:
        self.pid = os.getpid()
        self._capacity = capacity
        self._batch = batch
        self._size = 0
        self._queue: SimpleQueue[tuple[Any, int]] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may queue items, too
        self._thread = BackgroundThread(name, self._run)
        at_exit.register(self)

    def handle(self, items: list[Any], *, flushing: bool) -> None:
        """Do the work; called by the thread, with no items when `idle_seconds` are over. `flushing`: a caller waits for it."""
        raise NotImplementedError

    def idle_seconds(self) -> float | None:
        """How long the thread waits for an item before it calls `handle` without one; None waits for ever."""
        return None

    def is_idle(self) -> bool:
        """Whether nothing is queued and no thread works."""
        return self._queue.empty() and not self._thread.is_alive()

    def put(self, item: Any, size: int = 1) -> bool:
        """Queue an item; False when there is no room for it. Does not wait, until the program ends: then it flushes."""
        at_exit.hook_child()
        with self._lock:
            if self._size + size > max(self._capacity, size):
                return False
            self._size += size
        self._queue.put((item, size))
        if at_exit.is_ending() or sys.is_finalizing():
            self.flush()  # a daemon thread may be suspended at any moment
        elif not self._thread.start() and self.caller_works:
            self._drain()
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until what is queued now was handled, at most `seconds`; False when it was not."""
        if self.is_idle():
            return True
        handled = threading.Event()
        self._queue.put((handled, 0))
        if not self._thread.start():
            self._drain()
        return handled.wait(min(seconds, at_exit.seconds_left()))

    def stop(self) -> None:
        """End the thread after what is queued. Does not wait. A later `put` starts another thread."""
        if self._thread.is_alive():
            self._queue.put((_STOP, 0))
        else:
            self.on_stop()

    def on_stop(self) -> None:
        """Called when the thread has ended."""

    def _drain(self) -> None:
        while not self._queue.empty():
            self._step(wait=False)

    def _run(self) -> None:
        while self._step(wait=True) or not self._thread.finish(self._queue.empty):
            pass
        self.on_stop()

    def _step(self, *, wait: bool) -> bool:
        """Handle one batch; False after `stop`."""
        taken = self._taken(wait=wait)
        flushes = [item for item in taken if type(item) is threading.Event]
        items = [item for item in taken if type(item) is not threading.Event and item is not _STOP]
        self.handle(items, flushing=bool(flushes))
        for flush in flushes:
            flush.set()
        return not any(item is _STOP for item in taken)

    def _taken(self, *, wait: bool) -> list[Any]:
        taken: list[tuple[Any, int]] = []
        with suppress(Empty):
            if wait:
                taken.append(self._queue.get(timeout=self.idle_seconds()))
            while len(taken) < self._batch:
                taken.append(self._queue.get_nowait())
        with self._lock:
            self._size -= sum(size for _, size in taken)
        return [item for item, _ in taken]


def own_queue(queues: dict[int, Queue], make: Callable[[], Queue]) -> Queue:
    """This process's queue in `queues`, made where there is none. setdefault is atomic, so two threads get the same one."""
    pid = os.getpid()
    found = queues.get(pid)
    return queues.setdefault(pid, make()) if found is None else found
