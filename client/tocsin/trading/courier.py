"""Whoever hands over, so that the caller need not: one thread a process, begun with the first batch, kept for the next.

in order    one batch after the other, as they were given
bounded     so many signals may wait; a batch that finds no room is not taken, and its sender is told
never lost  by us: a job that raises is logged, and the next one goes on; where no thread can be had, the caller does the work
fork        a child has neither its parent's thread nor its parent's batches: it begins anew
the end     of the program waits for what is still here, at most two seconds. So does the end of a child that multiprocessing forked, where
            Python calls nothing at exit
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

from tocsin.background import Background

MOST_WAITING = 10_000  # signals: some ten megabytes
FLUSH_SECONDS = 2.0

_log = logging.getLogger("tocsin.trading")


class Courier:
    """A thread that does jobs in order."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], None], int]] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may raise signals, too
        self._thread = Background("tocsin.trading", self._run)
        self._waiting = 0  # signals

    def give(self, job: Callable[[], None], signals: int) -> bool:
        """Have `job` done, which hands over so many signals; False when there is no room."""
        with self._lock:
            if self._waiting + signals > max(MOST_WAITING, signals):
                return False
            self._waiting += signals
        self._jobs.put((job, signals))
        self._see_to_it()
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until what was given before is done; False when it is not by then."""
        if self._jobs.empty() and not self._thread.is_alive():
            return True
        done = threading.Event()
        self._jobs.put((done.set, 0))
        self._see_to_it()
        return done.wait(seconds)

    def _see_to_it(self) -> None:
        """That somebody does the jobs: where no thread can be had, whoever brings them."""
        while not self._thread.begin() and not self._jobs.empty():
            self._do(*self._jobs.get())

    def _run(self) -> None:
        while True:
            self._do(*self._jobs.get())

    def _do(self, job: Callable[[], None], signals: int) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - a strict client may raise anything, and the next batch has done nothing wrong
            _log.warning("alerts were not handed over", exc_info=True)
        with self._lock:
            self._waiting -= signals


_couriers: dict[int, Courier] = {}


def courier() -> Courier:
    """This process's own; setdefault is atomic, so two threads that come first get the same one."""
    pid = os.getpid()
    found = _couriers.get(pid)
    if found is None:
        found = _couriers.setdefault(pid, Courier())
        util = sys.modules.get("multiprocessing.util")  # asked now: a child forgets what was registered at its birth
        if util is not None:
            util.Finalize(None, _flush, exitpriority=0)
    return found


def _flush() -> None:
    found = _couriers.get(os.getpid())
    if found is not None:
        found.flush()


atexit.register(_flush)
