"""The queue that coroutines send through, so that no loop waits for a socket or a disk; `tocsin.compat` says why.

There is one for each process, made with the first signal. Its thread takes what is queued, sends it in one frame, and wakes each
coroutine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tocsin.background import WorkQueue, own_queue
from tocsin.client import Client
from tocsin.loop_waker import loop_waker
from tocsin.signals import Receipt, Signal

CAPACITY = 10_000  # signals that may wait for a disk that does not answer
_BATCH = 500  # one frame


class _Job:
    """A queued signal, the coroutine to wake, and the receipt for it."""

    __slots__ = ("receipt", "signal", "wake")

    def __init__(self, signal: Signal, wake: Callable[[], object]) -> None:
        self.signal = signal
        self.wake = wake
        self.receipt = Receipt(signal.id, "dropped", "it was not handed over")


class SendQueue(WorkQueue):
    """Signals of one process's coroutines, sent by `client`."""

    def __init__(self, client: Client) -> None:
        super().__init__("tocsin.compat", CAPACITY, _BATCH)
        self._client = client

    async def submit(self, signal: Signal) -> Receipt:
        """As Client.send, while the loop goes on. Raises nothing but cancellation, and then the signal is sent all the same."""
        waker = loop_waker()
        if waker is None:
            return self._client.send(signal)
        job = _Job(signal, waker.wake)
        if not self.put(job):
            full = Receipt(signal.id, "dropped", f"{CAPACITY} signals wait already for the daemon or the disk")
            self._client.losses.note([full], [signal.title])
            return full
        await waker.wait()
        return job.receipt

    def handle(self, items: list[Any], *, flushing: bool) -> None:  # noqa: ARG002 - it hands over at once in any case
        """Send the signals, and wake their coroutines."""
        jobs: list[_Job] = items
        for job, receipt in zip(jobs, self._sent([job.signal for job in jobs]), strict=False):
            job.receipt = receipt
        for job in jobs:
            with suppress(Exception):  # the loop is closed, so nothing waits
                job.wake()

    def _sent(self, signals: list[Signal]) -> list[Receipt]:
        if len(signals) == 1:  # as nearly always: 50 us less
            return [self._client.send(signals[0])]
        return self._client.send_many(signals) if signals else []


_queues: dict[int, SendQueue] = {}


def send_queue(client: Client) -> SendQueue:
    """This process's queue."""
    return own_queue(_queues, lambda: SendQueue(client))


def flush() -> bool:
    """Wait until what coroutines have queued was sent, at most two seconds; False when it was not."""
    return all(queue.flush() for pid, queue in list(_queues.items()) if pid == os.getpid())
