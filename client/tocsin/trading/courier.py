"""Whoever hands over, so that the caller need not: one thread a process, begun with the first batch, kept for the next.

in order    one batch after the other, as they were given
bounded     so many signals may wait; a batch that finds no room is not taken, and its sender is told
never lost  by us: a job that raises is logged, and the next one goes on; where no thread can be had, the caller does the work
fork        a child has neither its parent's thread nor its parent's batches: it begins anew
the end     of the program waits for what is still here, at most two seconds (tocsin.at_exit). So does the end of a child of
            multiprocessing, where Python calls nothing at exit
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from tocsin import at_exit
from tocsin.at_exit import FLUSH_SECONDS
from tocsin.background import BackgroundThread

MAX_WAITING = 10_000  # signals: some ten megabytes

_log = logging.getLogger("tocsin.trading")


class SubmitQueue:
    """A thread that does jobs in order."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], None], int]] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may raise signals, too
        self._thread = BackgroundThread("tocsin.trading", self._run)
        self._waiting = 0  # signals
        at_exit.register(self)

    def put(self, job: Callable[[], None], signals: int) -> bool:
        """Have `job` done, which hands over so many signals; False when there is no room."""
        at_exit.hook_child()
        with self._lock:
            if self._waiting + signals > max(MAX_WAITING, signals):
                return False
            self._waiting += signals
        self._jobs.put((job, signals))
        self._ensure_thread()
        if at_exit.is_ending():
            self.flush()  # the thread may be stopped at any moment
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until what was given before is done; False when it is not by then."""
        if self._jobs.empty() and not self._thread.is_alive():
            return True
        done = threading.Event()
        self._jobs.put((done.set, 0))
        self._ensure_thread()
        return done.wait(min(seconds, at_exit.seconds_left()))

    def _ensure_thread(self) -> None:
        """That somebody does the jobs: where no thread can be had, whoever brings them."""
        while not self._thread.start() and not self._jobs.empty():
            self._run_job(*self._jobs.get())

    def _run(self) -> None:
        while True:
            self._run_job(*self._jobs.get())

    def _run_job(self, job: Callable[[], None], signals: int) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - a strict client may raise anything, and the next batch has done nothing wrong
            _log.warning("alerts were not handed over", exc_info=True)
        with self._lock:
            self._waiting -= signals


_queues: dict[int, SubmitQueue] = {}


def submit_queue() -> SubmitQueue:
    """This process's own; setdefault is atomic, so two threads that come first get the same one."""
    pid = os.getpid()
    found = _queues.get(pid)
    if found is None:
        found = _queues.setdefault(pid, SubmitQueue())
    return found
