"""A program that sends through one client from threads, an asyncio loop and forked children at once.

    python -m tests.e2e.many_callers EACH

Each caller sends EACH signals. The parent forks while its threads are sending.
Stored signals go to standard output as JSON lines; children write theirs through a pipe.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import tocsin
from tocsin.signals import PRIORITIES

THREADS = 4
TASKS = 4
CHILDREN = 4
CALLERS = [
    *(f"thread {n}" for n in range(THREADS)),
    *(f"task {n}" for n in range(TASKS)),
    *(f"child {n}" for n in range(CHILDREN)),
]

client = tocsin.Client(timeout=20.0, strict=True)


def raise_one(caller: str, number: int) -> dict[str, str]:
    """Send one signal; returns what was stored."""
    receipt = client.send(f"{caller} {number:04d}", priority=PRIORITIES[number % 4])
    assert receipt.state == "stored", receipt
    return {"id": receipt.id, "title": f"{caller} {number:04d}"}


def thread(caller: str, each: int) -> list[dict[str, str]]:
    """Send all signals of a thread, or of a child's only thread."""
    return [raise_one(caller, number) for number in range(each)]


async def task(caller: str, each: int) -> list[dict[str, str]]:
    """Send all signals of a task; `send` is fast enough for the event loop's thread."""
    stored = []
    for number in range(each):
        stored.append(raise_one(caller, number))
        await asyncio.sleep(0)
    return stored


async def tasks(each: int) -> list[dict[str, str]]:
    """Run all tasks at once."""
    return list(chain.from_iterable(await asyncio.gather(*(task(f"task {n}", each) for n in range(TASKS)))))


def fork(work: Callable[[], Iterable[dict[str, str]]]) -> tuple[int, int]:
    """Do `work` in a child; returns its pid and the pipe with its output."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks in programs with threads
        pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    code = 1
    try:
        with os.fdopen(writer, "w") as out:
            write_lines(work(), out.write)
        code = 0
    finally:
        os._exit(code)


def write_lines(stored: Iterable[dict[str, str]], write: Callable[[str], object]) -> None:
    """Write one JSON object a line."""
    for each in stored:
        write(json.dumps(each) + "\n")


def main(each: int) -> int:
    """Run all callers; returns the number of failed children."""
    started = threading.Barrier(THREADS + 2)  # and the loop's thread and this one

    def together(work: Callable[[], list[dict[str, str]]]) -> list[dict[str, str]]:
        started.wait()
        return work()

    with ThreadPoolExecutor(THREADS + 1) as pool:
        running = [pool.submit(together, partial(thread, f"thread {n}", each)) for n in range(THREADS)]
        running.append(pool.submit(together, lambda: asyncio.run(tasks(each))))
        started.wait()
        children = [fork(partial(thread, f"child {n}", each)) for n in range(CHILDREN)]
        for future in running:
            write_lines(future.result(), sys.stdout.write)
    return sum(join(*child) for child in children)


def join(pid: int, reader: int) -> bool:
    """Pass on the output of a child; returns whether it failed."""
    with os.fdopen(reader) as lines:
        sys.stdout.write(lines.read())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
