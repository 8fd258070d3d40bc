"""One contract over the books that a lane is given: dispatch with a real journal, and the shipped double of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from tocsin.signals import Signal
from tocsind.config import Config, DaemonOptions, DestinationOptions, FileOptions
from tocsind.dispatch import Dispatch, Peer
from tocsind.journal import Journal, LaneMemory, reading
from tocsind.lane import Books
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Priority, Settlement, State
from tocsind.policy.outcomes import Deferred, Delivered, Outcome, Refused, Unknown
from tocsind.policy.routes import Thresholds
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import MemoryBooks

RETRY = Retry(first=8.0, most=60.0, give_up=3600.0)
FALLBACKS = {"a": ("b",), "b": (), "c": ()}


class Shelf(Protocol):
    """Books, and the way in for a test."""

    books: Books
    clock: SteppedClock

    async def owe(self, to: str, title: str, **fields: Any) -> None:
        """A signal was accepted."""

    async def titles(self, state: State, destination: str) -> list[str]:
        """What stands there."""


class Real:
    def __init__(self, journal: Journal, folder: Path) -> None:
        names = {
            name: DestinationOptions(name, "file", FileOptions("x"), fallback=fallback)
            for name, fallback in FALLBACKS.items()
        }
        config = Config(DaemonOptions(reserve=0), Thresholds(), names, (), (), "test")
        self.clock = SteppedClock()
        self._dispatch = Dispatch(journal, config, self.clock, lambda _: None, folder, jitter=lambda: 0.5)
        self.books: Books = self._dispatch

    async def owe(self, to: str, title: str, **fields: Any) -> None:
        await self._dispatch.accept([Signal(title, to=to, **fields)], Peer(0, 0, 0))

    async def titles(self, state: State, destination: str) -> list[str]:
        rows = await self._dispatch.journal.run(reading.queue, state.value, destination, 1000)
        return [row["title"] for row in rows]


class Double:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self._memory = MemoryBooks(self.clock, FALLBACKS)
        self.books: Books = self._memory

    async def owe(self, to: str, title: str, priority: str = "normal", **fields: Any) -> None:
        self._memory.owe(to, title, Priority[priority.upper()], **fields)

    async def titles(self, state: State, destination: str) -> list[str]:
        return self._memory.titles(state, destination)


@asynccontextmanager
async def shelf_of(kind: str, folder: Path) -> AsyncIterator[Shelf]:
    if kind == "memory":
        yield Double()
    else:
        async with Journal(folder) as journal:
            yield Real(journal, folder)


@pytest.fixture(params=["journal", "memory"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with shelf_of(request.param, tmp_path) as shelf:
        yield shelf


async def attempt(shelf: Shelf, outcome: Outcome, name: str = "a") -> Settlement:
    batch = await shelf.books.begin(await shelf.books.feed(name, Priority.NORMAL, 0, 1), name)
    (settlement,) = await shelf.books.settle(batch, [outcome], RETRY, None)
    return settlement


async def test_what_is_owed_is_fed_in_order_behind_the_cursor(shelf: Shelf) -> None:
    for title in ("one", "two", "three"):
        await shelf.owe("a", title)
    await shelf.owe("a", "urgent", priority="urgent")
    first = await shelf.books.feed("a", Priority.NORMAL, 0, 2)
    rest = await shelf.books.feed("a", Priority.NORMAL, first[-1].number, 64)
    assert [delivery.signal.title for delivery in [*first, *rest]] == ["one", "two", "three"]
    assert [d.signal.title for d in await shelf.books.feed("a", Priority.URGENT, 0, 64)] == ["urgent"]


async def test_a_claim_counts_the_try_and_is_made_once(shelf: Shelf) -> None:
    await shelf.owe("a", "one")
    window = await shelf.books.feed("a", Priority.NORMAL, 0, 64)
    (claimed,) = await shelf.books.begin(window, "a")
    assert claimed.attempts == 1
    assert claimed.first_try is not None
    assert await shelf.books.begin(window, "a") == []
    assert await shelf.books.feed("a", Priority.NORMAL, 0, 64) == []
    _, times = await shelf.books.recall("a")
    assert times == [claimed.first_try]


async def test_what_is_too_late_cannot_be_claimed(shelf: Shelf) -> None:
    await shelf.owe("a", "late", expires=10)
    shelf.clock.step(11)
    assert await shelf.books.begin(await shelf.books.feed("a", Priority.NORMAL, 0, 64), "a") == []


@pytest.mark.parametrize(
    ("outcome", "state", "copies"),
    [
        (Delivered("m"), State.SENT, 0),
        (Deferred("503"), State.QUEUED, 0),
        (Refused("400"), State.DEAD, 1),
        (Refused("404", disable=True), State.QUEUED, 0),
        (Unknown("no answer"), State.QUEUED, 0),
    ],
    ids=str,
)
async def test_an_outcome_settles_by_the_law(shelf: Shelf, outcome: Outcome, state: State, copies: int) -> None:
    await shelf.owe("a", "one")
    settlement = await attempt(shelf, outcome)
    assert settlement.state is state
    assert await shelf.titles(state, "a") == ["one"]
    assert await shelf.titles(State.QUEUED, "b") == ["one"] * copies


async def test_doubt_is_fed_again_with_the_delivery(shelf: Shelf) -> None:
    await shelf.owe("a", "one")
    await attempt(shelf, Unknown("no answer"))
    (again,) = await shelf.books.feed("a", Priority.NORMAL, 0, 64)
    assert (again.doubt, again.unknowns, again.attempts) == (True, 1, 1)


async def test_a_queue_is_diverted_until_nothing_is_left(shelf: Shelf) -> None:
    for title in ("one", "two"):
        await shelf.owe("a", title)
    assert await shelf.books.divert("a", "404") is True
    assert await shelf.books.divert("a", "404") is False
    assert await shelf.titles(State.REROUTED, "a") == ["one", "two"]
    assert await shelf.titles(State.QUEUED, "b") == ["one", "two"]


async def test_without_a_fallback_nothing_is_diverted(shelf: Shelf) -> None:
    await shelf.owe("c", "one")
    assert await shelf.books.divert("c", "404") is False
    assert await shelf.titles(State.QUEUED, "c") == ["one"]


async def test_a_lanes_memory_is_kept(shelf: Shelf) -> None:
    assert await shelf.books.recall("a") == (LaneMemory("a"), [])
    memory = LaneMemory("a", failures=2, trips=1)
    await shelf.books.remember(memory)
    assert (await shelf.books.recall("a"))[0] == memory
    await shelf.owe("a", "one")
    batch = await shelf.books.begin(await shelf.books.feed("a", Priority.NORMAL, 0, 1), "a")
    await shelf.books.settle(batch, [Delivered()], RETRY, LaneMemory("a", trips=2))
    assert (await shelf.books.recall("a"))[0] == LaneMemory("a", trips=2)
