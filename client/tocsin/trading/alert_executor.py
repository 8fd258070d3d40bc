"""The executor that subclasses of SignalAggregator submit their alerts to.

Old code has a ThreadPoolExecutor there, which loses what is submitted after `shutdown`, in a forked child, and while the interpreter
closes. This one starts other threads then, and where no thread can be started it runs the call in the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

_WORKERS = 2


class AlertExecutor(Executor):
    """Runs calls in two threads. It can be copied and pickled; the copy has threads of its own."""

    def __init__(self) -> None:
        self._pools: dict[int, ThreadPoolExecutor] = {}  # by pid: a forked child has none of its parent's threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The future of a call. Never refuses."""
        try:
            return self._pool().submit(fn, *args, **kwargs)
        except RuntimeError:  # shut down by another thread, too many threads, or the interpreter closes
            return _run(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's signature
        """End the threads, with `wait` after what was submitted. A later call starts others."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _pool(self) -> ThreadPoolExecutor:
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            pool = self._pools.setdefault(pid, ThreadPoolExecutor(_WORKERS, thread_name_prefix="DiscordAlerts"))
        return pool

    def __reduce__(self) -> tuple[Any, ...]:
        return (AlertExecutor, ())


def _run(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    future: Future[Any] = Future()
    with suppress(Exception):
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
            raise
    return future
