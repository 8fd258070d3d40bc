"""Bursts of B7: how much longer than the server's latency a message takes, and how fast a file is written.

The overhead of a message is the mean time between two arrivals less the latency: claim, request, answer, settlement, and what the fake
itself needs. A burst is 400 signals in 40 messages, because from the 46th request in 1.1 s on the limit of one host would be measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness import FakeProcess, discord

from .command import Size
from .daemons import TEXT, TITLE, TO_FILE, Daemon
from .table import Row

LATENCY = 0.02  # seconds
_MILLI = 1e3
_FRAME = 100  # signals of one `send_many`
_BURST = {Size.TINY: 40, Size.QUICK: 400, Size.FULL: 400}
_LINES = {Size.TINY: 200, Size.QUICK: 5000, Size.FULL: 20000}
_PAUSE = 0.0005  # seconds between two hand-offs of the background program
_SIGNAL = {"title": TITLE, "body": TEXT}


def rows(size: Size) -> list[Row]:
    """The rows of all bursts."""
    return [
        Row(f"{_BURST[size]} signals to a far end with {LATENCY * _MILLI:g} ms", _overhead(_BURST[size], busy=False)),
        Row("the same while a program hands over more", _overhead(_BURST[size], busy=True)),
        Row(f"{_LINES[size]:,} signals into a file", {"signals per s": _lines_per_second(_LINES[size])}),
    ]


def _overhead(burst: int, *, busy: bool) -> dict[str, float]:
    with (
        TemporaryDirectory() as folder,
        FakeProcess("--limits", "none", "--latency", str(LATENCY)) as fake,
        Daemon(Path(folder), _lanes(fake)).start() as daemon,
    ):
        with _handing_over(daemon) if busy else _idle():
            receipts = daemon.client.send_many([{**_SIGNAL, "to": "d"}] * burst)
            daemon.settled(receipts[-1].id)
        arrivals = [message["at"] for message in fake.messages()]
        daemon.stop()
    each = (arrivals[-1] - arrivals[0]) / (len(arrivals) - 1)
    return {"ms a message": each * _MILLI, "overhead ms": max(0.0, each - LATENCY) * _MILLI}


def _lanes(fake: FakeProcess) -> str:
    """Signals without `to` go to a file: they load the journal, and not the lane that is measured."""
    return discord("d", fake.webhooks[0]["url"]) + TO_FILE


@contextmanager
def _handing_over(daemon: Daemon) -> Iterator[None]:
    """Hand signals over one by one in another thread."""
    ended = threading.Event()

    def hand_over() -> None:
        while not ended.wait(_PAUSE):
            daemon.client.send(TITLE, body=TEXT)

    thread = threading.Thread(target=hand_over)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _idle() -> Iterator[None]:
    yield


def _lines_per_second(lines: int) -> float:
    """From the first hand-off to the settlement of the last line."""
    with TemporaryDirectory() as folder, Daemon(Path(folder), TO_FILE).start() as daemon:
        begun = time.perf_counter()
        for _ in range(0, lines, _FRAME):
            daemon.client.send_many([_SIGNAL] * _FRAME)
        daemon.wait_for_counter("notifications_sent", lines)
        seconds = time.perf_counter() - begun
        daemon.stop()
    return lines / seconds
