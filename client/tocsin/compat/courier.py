"""The thread that hands over for coroutines, so that no loop waits for a socket or a disk. The note atop the room says why.

One for each process, begun with the first signal. It takes all that waits, hands it over in one frame, and rings for each: a bell is a
way to wake a coroutine from another thread, and each kind of loop has its own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from tocsin import at_exit
from tocsin.at_exit import FLUSH_SECONDS
from tocsin.background import BackgroundThread
from tocsin.client import Client
from tocsin.signals import Receipt, Signal

CAPACITY = 10_000  # signals that may wait for a disk that does not answer
_BATCH = 500  # one frame


class LoopWaker(NamedTuple):
    """`ring` from any thread ends `wait` in the loop that made it."""

    ring: Callable[[], object]
    wait: Callable[[], Awaitable[object]]


def loop_waker() -> LoopWaker | None:
    """A bell in the loop that runs this very code; None where none does, or none that we know."""
    return _in_trio() or _in_asyncio()  # in trio's guest mode both run, and a task of trio's must wait in trio


def _in_trio() -> LoopWaker | None:
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
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
    """What `work` answers, on a thread of its own while the loop goes on; False where it raises."""
    answers: list[bool] = []

    def run() -> None:
        try:
            with suppress(Exception):
                answers.append(work())
        finally:
            if found is not None:
                with suppress(Exception):  # the loop is closed: nobody waits any more
                    found.ring()

    found = loop_waker()
    if found is None:
        run()
        return any(answers)
    try:
        threading.Thread(target=run, name="tocsin.compat", daemon=True).start()
    except RuntimeError:  # the interpreter is closing, or there are too many
        run()
    await found.wait()
    return any(answers)


class _Job:
    """A signal on its way, and whom to tell."""

    __slots__ = ("receipt", "ring", "signal")

    def __init__(self, signal: Signal, ring: Callable[[], object]) -> None:
        self.signal = signal
        self.ring = ring
        self.receipt = Receipt(signal.id, "dropped", "nobody handed it over")


class SendQueue:
    """One process's queue of errands, and the thread that runs them, by `client`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: SimpleQueue[_Job | threading.Event] = SimpleQueue()
        self._thread = BackgroundThread("tocsin.compat", self._run)
        at_exit.register(self)

    async def submit(self, signal: Signal) -> Receipt:
        """As Client.send, and the loop goes on meanwhile. Never raises, but cancellation."""
        at_exit.hook_child()
        found = loop_waker()
        if found is None or not self._thread.start():
            return self._client.send(signal)
        if self._queue.qsize() >= CAPACITY:
            full = Receipt(signal.id, "dropped", f"{CAPACITY} signals wait already for the daemon or the disk")
            self._client.losses.note([full], [signal.title])
            return full
        errand = _Job(signal, found.ring)
        self._queue.put(errand)
        await found.wait()
        return errand.receipt

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until what is queued now was handed over; False when it was not in time. Blocks: for the end of a program."""
        if not self._thread.is_alive():
            return self._queue.empty()
        done = threading.Event()
        self._queue.put(done)
        return done.wait(min(seconds, at_exit.seconds_left()))

    def _run(self) -> None:
        while True:
            items = self._waiting()
            self._work([item for item in items if isinstance(item, _Job)])
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()

    def _waiting(self) -> list[_Job | threading.Event]:
        """What is queued, after waiting for it."""
        items = [self._queue.get()]
        with suppress(Empty):
            while len(items) < _BATCH:
                items.append(self._queue.get_nowait())
        return items

    def _work(self, errands: list[_Job]) -> None:
        for errand, receipt in zip(errands, self._submit([errand.signal for errand in errands]), strict=False):
            errand.receipt = receipt
        for errand in errands:
            with suppress(Exception):  # the loop is closed: nobody waits any more
                errand.ring()

    def _submit(self, signals: list[Signal]) -> list[Receipt]:
        if len(signals) == 1:  # as nearly always: 50 us less
            return [self._client.send(signals[0])]
        return self._client.send_many(signals) if signals else []


_queues: dict[int, SendQueue] = {}


def send_queue(client: Client) -> SendQueue:
    """This process's own: a fork takes the queue along and not the thread, and perhaps a lock that nobody lets go."""
    found = _queues.get(os.getpid())
    if found is None:  # setdefault is atomic, so two threads that come first get the same one
        found = _queues.setdefault(os.getpid(), SendQueue(client))
    return found


def flush() -> bool:
    """Wait until what coroutines gave away was handed over, at most two seconds; False when it was not by then."""
    found = _queues.get(os.getpid())
    return found is None or found.flush()
