"""A thread that is started when there is work for it, and again when it has ended: for the handler and the couriers.

The thread and whoever queues work for it must agree on whether it still runs. `is_alive` of a thread says yes until its very last step,
long after it looked into its queue for the last time. So a thread that wants to end asks `end`, which marks it as gone under the same lock
that `begin` takes: work was either queued before, and the thread goes on, or it is queued after, and `begin` starts another thread.
"""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class BackgroundThread:
    """One process's own; after a fork, the child makes another."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.RLock()  # a signal handler may have work, too
        self._thread: threading.Thread | None = None
        self._is_mine = threading.local()

    def start(self) -> bool:
        """See to it that it runs; False when it cannot: the interpreter is closing, or there are too many threads. Queue the work first.

        While it closes, a thread that is there has stopped for ever, and one that is begun may never run (3.11 waits for it).
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
        """Asked by the thread itself: whether it may end, because there is no work. If so it counts as gone from here on."""
        with self._lock:
            if not is_idle():
                return False
            if self._thread is threading.current_thread():
                self._thread = None
            return True

    def is_alive(self) -> bool:
        """Whether it runs and will see what is queued now."""
        return self._thread is not None and self._thread.is_alive()

    def is_me(self) -> bool:
        """Whether the calling thread is this one."""
        return getattr(self._is_mine, "yes", False)

    def _main(self) -> None:
        self._is_mine.yes = True
        self._run()
