"""The end of the program: an exit hook flushes every queue of this process.

    register    `logging.shutdown`, which Python calls at exit, flushes only the handlers that `logging.config` has not cleared since. So
                each queue is registered here (by a weak reference: a running thread keeps its queue alive)
    budget      all queues together, and all later flushes, have FLUSH_SECONDS
    after it    other exit hooks run later and may log, too. Each of their records is flushed at once (`is_ending`), because Python may
                suspend a daemon thread for ever at any moment from then on
    children    a child made by fork inherits the hook but no threads: its register is empty. A child of multiprocessing ends by os._exit
                and calls only the hooks of multiprocessing, so one of those is set there

No hook runs when the process ends by os._exit, exec or an uncaught signal: items that the thread has not taken by then are lost.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Queue(Protocol):
        """A queue with a thread of its own."""

        def flush(self) -> object:
            """Hand over what is queued. May block for `seconds_left`, and must not raise."""


FLUSH_SECONDS = 2.0  # that all queues together may add to the end of a program

_queues: WeakSet[Queue] = WeakSet()
_end = 0.0  # of the budget, on the monotonic clock; 0 while the program goes on
_hooked = 0  # pid of the multiprocessing child that has its hook


def register(queue: Queue) -> None:
    """Flush this queue at the end of this process."""
    _queues.add(queue)


def is_ending() -> bool:
    """Whether the hook has run, so that a queue must flush after each item."""
    return _end > 0


def seconds_left() -> float:
    """How long a flush may block."""
    return max(0.0, _end - time.monotonic()) if _end else FLUSH_SECONDS


@atexit.register
def flush_all() -> None:
    """Flush every queue of this process, within the budget that all of them share."""
    global _end
    _end = _end or time.monotonic() + FLUSH_SECONDS
    for queue in list(_queues):
        queue.flush()


def hook_child() -> None:
    """In a child of multiprocessing, have its end call `flush_all`. Cheap enough to be called for each queued item."""
    global _hooked
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _hooked == os.getpid():
        return
    _hooked = os.getpid()
    util.Finalize(None, flush_all, exitpriority=0)


os.register_at_fork(after_in_child=_queues.clear)
