"""One contract for the lanes' store: the core with a real journal, and the memory store of `testing`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from tocsin.signals import Signal
from tocsind.config import Config, DaemonOptions, DestinationOptions, FileOptions
from tocsind.core.admission import Peer
from tocsind.core.assembly import assemble
from tocsind.delivery.store import DeliveryStore
from tocsind.journal import FIRST, Journal, LaneState, LimitState, RequestRecord, RequestStart, queries
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement, State
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Refused, Unknown
from tocsind.policy.routes import Thresholds
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import MemoryStore

RETRY = Retry(first=8.0, most=60.0, give_up=3600.0)
ASKING = RequestStart("a", "channel", expedited=False)
FALLBACKS = {"a": ("b",), "b": (), "c": ()}


class Shelf(Protocol):
    """Books, and the way in for a test."""

    books: DeliveryStore
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
        self._journal = journal
        self._core = assemble(journal, config, self.clock, lambda _: None, folder, jitter=lambda: 0.5)
        self.books: DeliveryStore = self._core.store

    async def owe(self, to: str, title: str, **fields: Any) -> None:
        await self._core.acceptor.accept([Signal(title, to=to, **fields)], Peer(0, 0, 0))

    async def titles(self, state: State, destination: str) -> list[str]:
        rows = await self._journal.run(queries.queue, state.value, destination, 1000)
        return [row["title"] for row in rows]


class Double:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self._memory = MemoryStore(self.clock, FALLBACKS)
        self.books: DeliveryStore = self._memory

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


async def fed(shelf: Shelf, name: str = "a", after: int = FIRST, most: int = 64) -> list[Delivery]:
    return await shelf.books.feed(name, Priority.NORMAL, after, most)


async def attempt(shelf: Shelf, outcome: Outcome, name: str = "a") -> Settlement:
    batch = await shelf.books.begin(await fed(shelf, name, most=1), ASKING)
    (settlement,) = await shelf.books.settle(batch, [outcome], RETRY, None, [])
    return settlement


async def test_what_is_owed_is_fed_in_order_behind_the_cursor(shelf: Shelf) -> None:
    for title in ("one", "two", "three"):
        await shelf.owe("a", title)
    await shelf.owe("a", "urgent", priority="urgent")
    first = await fed(shelf, most=2)
    rest = await fed(shelf, after=first[-1].number)
    assert [delivery.signal.title for delivery in [*first, *rest]] == ["one", "two", "three"]
    assert [d.signal.title for d in await shelf.books.feed("a", Priority.URGENT, FIRST, 64)] == ["urgent"]


async def test_a_claim_counts_the_try_and_is_made_once(shelf: Shelf) -> None:
    await shelf.owe("a", "one")
    window = await fed(shelf)
    (claimed,) = await shelf.books.begin(window, ASKING)
    assert claimed.attempts == 1
    assert claimed.first_try is not None
    assert await shelf.books.begin(window, ASKING) == []
    assert await fed(shelf) == []


async def test_a_claim_keeps_the_company_that_only_its_sender_knows(shelf: Shelf) -> None:
    await shelf.owe("a", "one")
    (delivery,) = await fed(shelf)
    (claimed,) = await shelf.books.begin([msgspec.structs.replace(delivery, max_batch=5, maybe_duplicate=True)], ASKING)
    assert (claimed.max_batch, claimed.maybe_duplicate) == (5, False)


async def test_a_request_is_open_until_its_outcomes_are_settled(shelf: Shelf) -> None:
    for title in ("one", "two"):
        await shelf.owe("a", title)
    asking = RequestStart("a", "channel", expedited=True)
    batch = await shelf.books.begin(await fed(shelf), asking)
    assert await shelf.books.requests("channel", "a") == [RequestRecord(None, expedited=True, destination="a")]
    shelf.clock.step(30)
    before = shelf.clock.wall()
    await shelf.books.settle(batch, [Delivered()] * 2, RETRY, None, [])
    (request,) = await shelf.books.requests("channel", "a")
    assert request.at is not None
    assert before <= request.at <= shelf.clock.wall()


async def test_next_request_is_open_when_its_claim_shares_the_settlement_of_the_last(shelf: Shelf) -> None:
    for title in ("one", "two"):
        await shelf.owe("a", title)
    one, two = await fed(shelf)
    batch = await shelf.books.begin([one], ASKING)
    shelf.clock.step(1)
    settlements, claimed = await shelf.books.settle_and_begin(
        batch, [Delivered()], RETRY, None, [], following=[one, two], asking=ASKING
    )
    assert [each.state for each in settlements] == [State.SENT]
    assert [(each.signal.title, each.attempts) for each in claimed] == [("two", 1)]
    assert [each.at is None for each in await shelf.books.requests("channel", "a")] == [False, True]


async def test_requests_are_told_by_channel_and_by_destination_in_the_order_of_their_answers(shelf: Shelf) -> None:
    for name, channel in (("a", "old"), ("b", "shared"), ("a", "shared"), ("c", "elsewhere")):
        await shelf.owe(name, "one")
        batch = await shelf.books.begin(await fed(shelf, name), RequestStart(name, channel, expedited=False))
        shelf.clock.step(1)
        await shelf.books.settle(batch, [Delivered()], RETRY, None, [])
    await shelf.owe("b", "open")
    await shelf.books.begin(await fed(shelf, "b"), RequestStart("b", "shared", expedited=False))
    requests = await shelf.books.requests("shared", "a")
    assert [request.destination for request in requests] == ["a", "b", "a", "b"]
    assert [request.at is None for request in requests] == [False, False, False, True]
    assert await shelf.books.requests("nowhere", "d") == []


async def test_what_is_too_late_cannot_be_claimed(shelf: Shelf) -> None:
    await shelf.owe("a", "late", expires=10)
    shelf.clock.step(11)
    assert await shelf.books.begin(await fed(shelf), ASKING) == []
    assert await shelf.books.requests("channel", "a") == []


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
    (again,) = await fed(shelf)
    assert (again.maybe_duplicate, again.unknown_count, again.attempts) == (True, 1, 1)


async def test_what_was_refused_for_its_form_is_plain_from_then_on_and_claimed_so(shelf: Shelf) -> None:
    await shelf.owe("a", "one")
    (before,) = await fed(shelf)
    await attempt(shelf, Deferred("a field", Cause.FORMAT))
    (again,) = await fed(shelf)
    assert (again.plain_format, again.max_batch) == (True, None)  # the company is found out again
    (claimed,) = await shelf.books.begin([before], ASKING)
    assert claimed.plain_format


async def test_a_copy_at_the_fallback_keeps_deadline_and_doubt(shelf: Shelf) -> None:
    await shelf.owe("a", "one", expires=60)
    await attempt(shelf, Unknown("no answer"))
    (original,) = await fed(shelf)
    shelf.clock.step(30)
    await shelf.books.divert("a", "404")
    (copy,) = await fed(shelf, "b")
    assert (copy.deadline, copy.maybe_duplicate) == (original.deadline, True)


async def test_a_queue_is_diverted_until_nothing_is_left(shelf: Shelf) -> None:
    for title in ("one", "two"):
        await shelf.owe("a", title)
    assert await shelf.books.divert("a", "404") is True
    assert await shelf.books.divert("a", "404") is False
    assert await shelf.titles(State.REROUTED, "a") == ["one", "two"]
    assert await shelf.titles(State.QUEUED, "b") == ["one", "two"]


async def test_only_what_has_waited_longer_than_patience_gives_way(shelf: Shelf) -> None:
    for title, priority in (("now", "urgent"), ("later", "low")):
        await shelf.owe("a", title, priority=priority)
    (number,) = [each.number for each in await shelf.books.feed("a", Priority.URGENT, FIRST, 10)]
    assert await shelf.books.reroute("a", [Priority.URGENT], "a fails", hurried=False) == [number]
    assert await shelf.books.reroute("a", [Priority.URGENT], "a fails", hurried=False) == []
    assert (await shelf.titles(State.REROUTED, "a"), await shelf.titles(State.QUEUED, "b")) == (["now"], ["now"])
    assert await shelf.titles(State.QUEUED, "a") == ["later"]


async def test_books_return_what_a_failing_fallback_has_to_where_it_came_from_and_only_once(shelf: Shelf) -> None:
    await shelf.owe("a", "came", priority="urgent")
    await shelf.owe("b", "own", priority="urgent")
    for _ in range(2):
        await shelf.books.reroute("a", [Priority.URGENT], "a fails", hurried=True)
        await shelf.books.reroute("b", [], "b fails", hurried=True)
        assert await shelf.titles(State.QUEUED, "a") == ["came"], "the second time it stays"
        assert await shelf.titles(State.QUEUED, "b") == ["own"]
        assert await shelf.titles(State.REROUTED, "b") == ["came"]
    (back,) = await shelf.books.feed("a", Priority.URGENT, FIRST, 10)
    assert (back.first_try, back.maybe_duplicate) == (None, False)


async def test_books_return_what_a_disabled_fallback_has_before_they_bury_it(shelf: Shelf) -> None:
    await shelf.owe("a", "came", priority="urgent")
    await shelf.books.reroute("a", [Priority.URGENT], "a fails", hurried=True)
    assert await shelf.books.divert("b", "b is gone")
    assert await shelf.titles(State.QUEUED, "a") == ["came"]


async def test_nothing_gives_way_where_there_is_no_fallback(shelf: Shelf) -> None:
    await shelf.owe("c", "now", priority="urgent")
    assert await shelf.books.reroute("c", [Priority.URGENT], "c fails", hurried=True) == []
    shelf.books.notify_lanes()


async def test_without_a_fallback_nothing_is_diverted(shelf: Shelf) -> None:
    await shelf.owe("c", "one")
    assert await shelf.books.divert("c", "404") is False
    assert await shelf.titles(State.QUEUED, "c") == ["one"]


async def test_a_request_that_never_reached_the_far_end_is_not_remembered(shelf: Shelf) -> None:
    await shelf.owe("a", "one")
    await attempt(shelf, Deferred("cannot connect", unsent=True))
    assert await shelf.books.requests(ASKING.channel, "a") == []
    await attempt(shelf, Deferred("503"))
    assert len(await shelf.books.requests(ASKING.channel, "a")) == 1


async def test_a_lanes_memory_is_kept_alone_or_with_a_settlement(shelf: Shelf) -> None:
    assert await shelf.books.load_lane("a") == LaneState("a")
    memory = LaneState("a", failures=2, trips=1, strikes=1, channel="123")
    await shelf.books.save(memory, [])
    assert await shelf.books.load_lane("a") == memory
    await shelf.owe("a", "one")
    batch = await shelf.books.begin(await fed(shelf), ASKING)
    await shelf.books.settle(batch, [Delivered()], RETRY, LaneState("a", trips=2), [])
    assert await shelf.books.load_lane("a") == LaneState("a", trips=2)


async def test_what_scopes_learned_is_kept_alone_or_with_a_settlement(shelf: Shelf) -> None:
    name = "channel:discord:123"
    assert await shelf.books.load_limit(name) == LimitState(name)
    memory = LimitState(name, shelf.clock.wall() + 9, "429", 28, 60.0, shelf.clock.wall())
    await shelf.books.save(None, [memory])
    assert await shelf.books.load_limit(name) == memory
    await shelf.owe("a", "one")
    batch = await shelf.books.begin(await fed(shelf), ASKING)
    await shelf.books.settle(batch, [Delivered()], RETRY, None, [LimitState(name, count=27), LimitState("other")])
    assert await shelf.books.load_limit(name) == LimitState(name, count=27)


# --- living messages -------------------------------------------------------------------------------------------------------

EDITS = RequestStart("a", "channel", expedited=False, edits_at="webhook")


async def tell(shelf: Shelf, outcome: Outcome, name: str = "a") -> list[Delivery]:
    """The first that waits there is attempted, with what belongs to it."""
    asking = msgspec.structs.replace(EDITS, destination=name)
    batch = await shelf.books.begin(await fed(shelf, name, most=1), asking)
    await shelf.books.settle(batch, [outcome] * len(batch), RETRY, None, [])
    return batch


def edited(batch: Sequence[Delivery]) -> tuple[str | None, list[str]]:
    """Which message it was to edit, and what that says then."""
    assert batch[0].update is not None
    return batch[0].update.edits, [line.title for line in batch[0].update.then.lines]


async def test_what_waits_of_a_key_is_claimed_and_told_together_and_later_edits_it(shelf: Shelf) -> None:
    await shelf.owe("a", "opened", key="trade")
    await shelf.owe("a", "another", key="other")
    await shelf.owe("a", "filled", key="trade", priority="low")
    assert edited(await tell(shelf, Delivered("m1"))) == (None, ["opened", "filled"])
    assert await shelf.titles(State.SENT, "a") == ["opened", "filled"]
    assert await shelf.books.feed("a", Priority.LOW, FIRST, 64) == []
    assert edited(await tell(shelf, Delivered("m2"))) == (None, ["another"])
    await shelf.owe("a", "closed", key="trade")
    assert edited(await tell(shelf, Delivered("m1"))) == ("m1", ["opened", "filled", "closed"])


async def test_what_was_deferred_is_told_by_whoever_of_its_key_goes_next(shelf: Shelf) -> None:
    await shelf.owe("a", "opened", key="trade")
    await tell(shelf, Deferred("503"))
    await shelf.owe("a", "closed", key="trade")
    assert edited(await tell(shelf, Delivered("m1"))) == (None, ["opened", "closed"])


async def test_a_message_that_is_gone_is_told_anew(shelf: Shelf) -> None:
    await shelf.owe("a", "opened", key="trade")
    await tell(shelf, Delivered("m1"))
    await shelf.owe("a", "closed", key="trade")
    await tell(shelf, Deferred("404", Cause.TARGET_GONE))
    assert edited(await tell(shelf, Delivered("m2"))) == (None, ["opened", "closed"])


async def test_a_key_at_another_destination_has_a_message_of_its_own_and_order_goes_along(shelf: Shelf) -> None:
    await shelf.owe("a", "opened", key="trade")
    await shelf.owe("b", "closed", key="trade")
    assert edited(await tell(shelf, Delivered("m1"), "b")) == (None, ["closed"])
    assert await shelf.books.divert("a", "404")
    assert edited(await tell(shelf, Delivered("m1"), "b")) == ("m1", ["opened", "closed"])
