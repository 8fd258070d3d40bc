"""The core over a real journal, with recording lanes."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tocsin.signals import Signal
from tocsind.config import Config, DaemonOptions, DestinationOptions, FileOptions
from tocsind.core.admission import Peer
from tocsind.core.assembly import assemble
from tocsind.events import Event
from tocsind.journal import Journal, RequestStart, queries
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement
from tocsind.policy.outcomes import Outcome
from tocsind.policy.patience import Fitness
from tocsind.policy.routes import Route, Thresholds
from tocsind.testing.clock import SteppedClock

PEER = Peer(uid=1000, gid=1000, pid=4711)
RETRY = Retry(first=8.0, most=60.0, give_up=3600.0)
PATIENCE = 20.0


def config(routes: tuple[Route, ...] = (Route(("a",)),), **daemon: Any) -> Config:
    """Three destinations; `a` falls back on `b`, and `b` on `c`."""
    fallbacks = {"a": ("b",), "b": ("c",), "c": ()}
    destinations = {
        name: DestinationOptions(name, "file", FileOptions("x"), fallback=fallback)
        for name, fallback in fallbacks.items()
    }
    return Config(DaemonOptions(**{"reserve": 0, **daemon}), Thresholds(), destinations, routes, (), "test")


class RecordingLane:
    """Records its wake-ups."""

    edits_at = None

    def __init__(self) -> None:
        self.woken: list[Priority] = []
        self.rewound = 0

    def wake(self, priority: Priority) -> None:
        self.woken.append(priority)

    def rewind(self) -> None:
        self.rewound += 1

    def refresh(self) -> None:
        raise NotImplementedError("no test here makes a digest")

    def fitness(self) -> Fitness:
        return Fitness.WORKING

    def recheck_fallbacks(self) -> None:
        raise NotImplementedError("no lane becomes fit again here")


class CoreFixture:
    """The core, the events that it emitted, and recording lanes."""

    def __init__(self, journal: Journal, folder: Path, known: Config) -> None:
        self.clock = SteppedClock()
        self.events: list[Event] = []
        self._recorded = trio.Event()
        self.journal = journal
        self.core = assemble(journal, known, self.clock, self._record, folder, jitter=lambda: 0.0)
        self.lanes = {name: RecordingLane() for name in known.destinations}
        self.core.wakeups.lanes.update(self.lanes)

    def _record(self, event: Event) -> None:
        self.events.append(event)
        self._recorded.set()
        self._recorded = trio.Event()

    async def until(self, kind: type[Event], count: int = 1) -> None:
        with trio.fail_after(PATIENCE):
            while len(self.events_of(kind)) < count:
                await self._recorded.wait()

    async def accept(self, title: str = "BUY", **fields: Any) -> str:
        (receipt,) = await self.core.acceptor.accept([Signal(title, **fields)], PEER)
        assert receipt.state == "stored"
        return receipt.id

    async def begin(self, destination: str = "a", priority: Priority = Priority.NORMAL) -> Delivery:
        (delivery,) = await self.core.store.begin(
            await self.core.store.feed(destination, priority, 0, 10),
            RequestStart(destination, "channel", expedited=False),
        )
        return delivery

    async def attempt(
        self, outcome: Outcome, destination: str = "a", priority: Priority = Priority.NORMAL
    ) -> Settlement:
        delivery = await self.begin(destination, priority)
        (settlement,) = await self.core.store.settle([delivery], [outcome], RETRY, None, ())
        return settlement

    async def states(self, id_: str) -> dict[str, str]:
        story = await self.journal.run(queries.why, id_)
        assert story is not None
        return {each["destination"]: each["state"] for each in story["deliveries"]}

    def events_of(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


@asynccontextmanager
async def opened(folder: Path, known: Config | None = None) -> AsyncIterator[CoreFixture]:
    async with Journal(folder) as journal:
        yield CoreFixture(journal, folder, known or config())


def fill_disk(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1").fetchall()


def free_disk(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()
