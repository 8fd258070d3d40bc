"""B7: from the hand-off to a fake Discord on loopback without limits; and the caller's cost beside `httpx.post`.

The fake stamps each message when it accepts it (`at`, this machine's wall clock), and the hand-off's instant is taken on the same clock
before `send` is called, so the wait includes everything. One signal at a time for the waits; 1,000 at once for signals a second. The
fake answers within a millisecond: on the real Internet `httpx.post` costs its caller a hundred times that, and `send` costs the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
from tests.harness import FakeProcess, discord, route

from . import bursts
from .command import Size, main
from .daemons import TEXT, TITLE, Daemon
from .handoff import timed
from .table import Row, Table, over_rounds, percentile

_MILLI, _MICRO = 1e3, 1e6
_APART = 0.03  # seconds: Discord's limit for one host; the bench does not measure the limiter
_COUNTS = {Size.TINY: (1, 2, 10), Size.QUICK: (3, 30, 1000), Size.FULL: (10, 50, 1000)}  # rounds, calls in each, burst


@dataclass(frozen=True)
class Arrival:
    """One signal: the caller's cost and the time to Discord, in seconds."""

    paid: float
    waited: float


@dataclass(frozen=True)
class Round:
    """Signals through the daemon, and the seconds of as many POSTs without one."""

    arrivals: list[Arrival]
    fresh: list[float]
    kept: list[float]


class Post:
    """A program without a daemon: the POST in its own thread. `fresh` is `httpx.post`, which makes a client each time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client()

    def fresh(self) -> None:
        httpx.post(self._url, json=_MESSAGE).raise_for_status()

    def kept(self) -> None:
        self._client.post(self._url, json=_MESSAGE).raise_for_status()

    def close(self) -> None:
        self._client.close()


_MESSAGE = {"embeds": [{"title": TITLE, "description": TEXT}]}


def measure(size: Size) -> Table:
    """The table of B7."""
    rounds, calls, burst = _COUNTS[size]
    with TemporaryDirectory() as folder, path(Path(folder)) as (daemon, fake, other):
        post = Post(other.webhooks[0]["url"])
        found = [
            Round(_arrivals(daemon, fake, calls), timed(post.fresh, calls), timed(post.kept, calls))
            for _ in range(rounds)
        ]
        post.close()
        speed = _burst(daemon, fake, burst)
        sent, arrived = daemon.counter("signals_accepted"), len(fake.embeds())
    waits = [[arrival.waited for arrival in each.arrivals] for each in found]
    return Table(
        bench="b7",
        title="hand-off to arrival at a fake Discord without limits, and what the caller pays",
        rows=[
            Row(
                "hand-off to arrival",
                {"p50 ms": over_rounds(waits, 50) * _MILLI, "p99 ms": over_rounds(waits, 99) * _MILLI},
            ),
            Row(f"{burst:,} at once", {"signals per s": speed}),
            *bursts.rows(size),
            _caller("caller: httpx.post", [each.fresh for each in found], found),
            _caller("caller: httpx.Client.post", [each.kept for each in found], found),
            _caller("caller: tocsin.send", [[arrival.paid for arrival in each.arrivals] for each in found], found),
        ],
        counts={"sent": sent, "arrived": arrived},
        notes=[f"medians over {rounds} rounds of {calls}; httpx.post makes a client each time, httpx.Client keeps one"],
    )


@contextmanager
def path(folder: Path) -> Iterator[tuple[Daemon, FakeProcess, FakeProcess]]:
    """A daemon, the fake that it delivers to, and another for programs without a daemon."""
    with (
        FakeProcess("--limits", "none") as fake,
        FakeProcess("--limits", "none") as other,
        Daemon(folder, discord("d", fake.webhooks[0]["url"]) + route("d")).start() as daemon,
    ):
        yield daemon, fake, other
        daemon.stop()


def _arrivals(daemon: Daemon, fake: FakeProcess, calls: int) -> list[Arrival]:
    """One by one: the next signal is handed over when this one is settled."""
    before = len(fake.messages())
    handed = []
    for _ in range(calls):
        wall, begun = time.time(), time.perf_counter()
        receipt = daemon.client.send(TITLE, body=TEXT)
        handed.append((wall, time.perf_counter() - begun))
        daemon.settled(receipt.id)
        time.sleep(max(0.0, _APART - (time.perf_counter() - begun)))
    stamps = [message["at"] for message in fake.messages()[before:]]
    return [Arrival(paid, at - wall) for (wall, paid), at in zip(handed, stamps, strict=True)]


def _caller(name: str, rounds: list[list[float]], found: list[Round]) -> Row:
    ratios = [percentile(own, 50) / percentile(each.fresh, 50) for own, each in zip(rounds, found, strict=True)]
    pays = {"p50 us": over_rounds(rounds, 50) * _MICRO, "p99 us": over_rounds(rounds, 99) * _MICRO}
    return Row(name, {**pays, "p50 x httpx.post": median(ratios)})


def _burst(daemon: Daemon, fake: FakeProcess, burst: int) -> float:
    """Signals a second from the first hand-off to the last arrival."""
    begun = time.time()
    receipts = daemon.client.send_many([{"title": TITLE, "body": TEXT}] * burst)
    daemon.settled(receipts[-1].id)
    return float(burst / (fake.messages()[-1]["at"] - begun))


if __name__ == "__main__":
    main({"b7": measure})
