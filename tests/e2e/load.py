"""Three programs' worth of callers in one: many threads, forked workers, an asyncio loop, all raising signals for so many seconds.

    python -m tests.e2e.load SECONDS

Nobody is strict and nobody insists: each takes the receipt that it gets. Receipts go to standard output, a JSON object a line, with how
long each `send` took; workers write theirs through pipes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, count
from typing import Any

from tests.e2e.many_callers import fork, join, tell

import tocsin

THREADS = 64
WORKERS = 8
TASKS = 8
PAUSE = (
    0.2  # seconds between two signals of one caller; 80 callers and their daemon share two cores with everything else
)

client = tocsin.Client()


def raise_one(title: str) -> dict[str, Any]:
    """One signal; what came of it."""
    started = time.monotonic()
    receipt = client.send(title)
    took = time.monotonic() - started
    return {"id": receipt.id, "title": title, "state": receipt.state, "reason": receipt.reason, "seconds": took}


def thread(who: str, end: float) -> list[dict[str, Any]]:
    """All of one thread's, or one worker's."""
    told = []
    for number in count():
        told.append(raise_one(f"{who} {number:04d}"))
        if time.monotonic() + PAUSE >= end:
            break
        time.sleep(PAUSE)
    return told


async def task(who: str, end: float) -> list[dict[str, Any]]:
    """All of one task's."""
    told = []
    for number in count():
        told.append(raise_one(f"{who} {number:04d}"))
        if time.monotonic() + PAUSE >= end:
            break
        await asyncio.sleep(PAUSE)
    return told


async def tasks(end: float) -> list[list[dict[str, Any]]]:
    """All tasks, in one loop."""
    return await asyncio.gather(*(task(f"task {n}", end) for n in range(TASKS)))


def main(seconds: float) -> int:
    """All of them; how many workers failed."""
    end = time.monotonic() + seconds
    told: list[dict[str, Any]] = []

    def run(work: Callable[[], list[dict[str, Any]]]) -> None:
        told.extend(work())

    running = [threading.Thread(target=run, args=(partial(thread, f"thread {n}", end),)) for n in range(THREADS)]
    running.append(threading.Thread(target=run, args=(lambda: list(chain.from_iterable(asyncio.run(tasks(end)))),)))
    for each in running:
        each.start()
    workers = [fork(partial(thread, f"worker {n}", end)) for n in range(WORKERS)]  # while the threads are in the middle
    for each in running:
        each.join()
    tell(told, sys.stdout.write)
    return sum(join(*worker) for worker in workers)


if __name__ == "__main__":
    print(json.dumps({"failed": main(float(sys.argv[1]))}))
