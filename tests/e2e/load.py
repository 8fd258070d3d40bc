"""A program that sends from many threads, forked workers and an asyncio loop until its standard input ends.

    python -m tests.e2e.load

No caller is strict or repeats a signal. Receipts go to standard output as JSON lines with the duration of each `send`; workers write
theirs through pipes.
"""

from __future__ import annotations

import asyncio
import json
import select
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, count
from typing import Any

from tests.e2e.many_callers import fork, join, write_lines

import tocsin

TIMEOUT = 0.25  # seconds
THREADS = 64
WORKERS = 8
TASKS = 8
PAUSE = 0.2  # seconds between two signals of one caller; 80 callers and the daemon share two cores

client = tocsin.Client(timeout=TIMEOUT)


def raise_one(title: str) -> dict[str, Any]:
    """Send one signal; returns its receipt and the duration in seconds."""
    started = time.monotonic()
    receipt = client.send(title)
    took = time.monotonic() - started
    return {"id": receipt.id, "title": title, "state": receipt.state, "reason": receipt.reason, "seconds": took}


def is_over() -> bool:
    """Whether the standard input has ended, asked by any process: nothing is ever written to it."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def thread(caller: str) -> list[dict[str, Any]]:
    """Send until the end, in one thread or worker."""
    receipts = []
    for number in count():
        receipts.append(raise_one(f"{caller} {number:04d}"))
        if is_over():
            break
        time.sleep(PAUSE)
    return receipts


async def task(caller: str) -> list[dict[str, Any]]:
    """Send until the end, in one task."""
    receipts = []
    for number in count():
        receipts.append(raise_one(f"{caller} {number:04d}"))
        if is_over():
            break
        await asyncio.sleep(PAUSE)
    return receipts


async def tasks() -> list[list[dict[str, Any]]]:
    """Run all tasks in one event loop."""
    return await asyncio.gather(*(task(f"task {n}") for n in range(TASKS)))


def main() -> int:
    """Run all callers; returns the number of failed workers."""
    receipts: list[dict[str, Any]] = []

    def run(work: Callable[[], list[dict[str, Any]]]) -> None:
        receipts.extend(work())

    running = [threading.Thread(target=run, args=(partial(thread, f"thread {n}"),)) for n in range(THREADS)]
    running.append(threading.Thread(target=run, args=(lambda: list(chain.from_iterable(asyncio.run(tasks()))),)))
    for each in running:
        each.start()
    workers = [fork(partial(thread, f"worker {n}")) for n in range(WORKERS)]  # while the threads send
    for each in running:
        each.join()
    write_lines(receipts, sys.stdout.write)
    return sum(join(*worker) for worker in workers)


if __name__ == "__main__":
    print(json.dumps({"failed": main()}))
