"""Waits of a coroutine for another thread: wakes asyncio's or trio's loop, without a task and without an executor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple


class LoopWaker(NamedTuple):
    """`wake`, called from any thread, ends `wait` in the loop that made it."""

    wake: Callable[[], object]
    wait: Callable[[], Awaitable[object]]


def loop_waker() -> LoopWaker | None:
    """A waker for the running loop; None where no loop runs, or none of a known kind."""
    return _in_trio() or _in_asyncio()  # with trio on top of asyncio both run, and a task of trio's must wait in trio


def is_in_trio() -> bool:
    """Whether the caller is a task of trio."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def _in_trio() -> LoopWaker | None:
    if not is_in_trio():
        return None
    trio = sys.modules["trio"]
    event, token = trio.Event(), trio.lowlevel.current_trio_token()
    return LoopWaker(lambda: token.run_sync_soon(event.set), event.wait)


def _in_asyncio() -> LoopWaker | None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    event = asyncio.Event()
    return LoopWaker(lambda: loop.call_soon_threadsafe(event.set), event.wait)


async def in_thread(work: Callable[[], bool]) -> bool:
    """The result of `work`, run in a thread of its own while the loop goes on; False where it raises."""
    results: list[bool] = []

    def run() -> None:
        try:
            with suppress(Exception):
                results.append(work())
        finally:
            if waker is not None:
                with suppress(Exception):  # the loop is closed, so nothing waits
                    waker.wake()

    waker = loop_waker()
    if waker is None:
        run()
        return any(results)
    try:
        threading.Thread(target=run, name="tocsin.compat", daemon=True).start()
    except RuntimeError:  # the interpreter is closing, or there are too many threads
        run()
    await waker.wait()
    return any(results)
