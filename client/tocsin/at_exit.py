"""The end of the program: what still waits in a queue is handed over first, in whatever order things end.

    known       `logging.shutdown`, which Python calls at exit, knows only the handlers that `logging.config` has not cleared since. So no
                queue relies on it: each is registered here (weakly: a running thread keeps its queue alive), and a hook of ours flushes it
    budget      all queues together, and all their flushes from then on, have FLUSH_SECONDS: the end of a program is never held up longer
    after it    other exit hooks run later and may log, too. Their records are flushed one by one (`is_ending`): a daemon thread is stopped
                for ever at any moment from then on
    children    a child made by fork has its parent's hook and none of its parent's threads: it begins with an empty register. A child of
                multiprocessing ends by os._exit and calls no hooks but multiprocessing's own, so there one of those is used

What os._exit, an exec or a signal ends that nothing catches runs no hook: what the thread had not come to yet is lost, some milliseconds.
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
        """What waits for a thread of ours."""

        def flush(self) -> object:
            """Hand it over. May block for `seconds_left`, and must not raise."""


FLUSH_SECONDS = 2.0  # what the end of a program may take because of us

_queues: WeakSet[Queue] = WeakSet()
_end = 0.0  # of the budget, on the monotonic clock; 0 while the program goes on
_hooked = 0  # the child of multiprocessing, by its pid, whose hook is set


def register(queue: Queue) -> None:
    """Have a queue flushed at the end of this process."""
    _queues.add(queue)


def is_ending() -> bool:
    """Whether the hook has run: whatever comes now has to be handed over at once."""
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
    """In a child of multiprocessing, see to it that its end calls `finish`. Cheap: for each time that something is queued."""
    global _hooked
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _hooked == os.getpid():
        return
    _hooked = os.getpid()
    util.Finalize(None, flush_all, exitpriority=0)


os.register_at_fork(after_in_child=_queues.clear)
