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
START = RequestStart("a", "channel", expedited=False)
FALLBACKS = {"a": ("b",), "b": (), "c": ()}


class Backend(Protocol):
    """A store, and how a test accepts signals into it."""

    store: DeliveryStore
    clock: SteppedClock

    async def owe(self, to: str, title: str, **fields: Any) -> None:
        """Accept a signal."""

    async def titles(self, state: State, destination: str) -> list[str]:
        """The titles of deliveries in a state."""


class JournalBackend:
    def __init__(self, journal: Journal, folder: Path) -> None:
        names = {
            name: DestinationOptions(name, "file", FileOptions("x"), fallback=fallback)
            for name, fallback in FALLBACKS.items()
        }
        config = Config(DaemonOptions(reserve=0), Thresholds(), names, (), (), "test")
        self.clock = SteppedClock()
        self._journal = journal
        self._core = assemble(journal, config, self.clock, lambda _: None, folder, jitter=lambda: 0.0)
        self.store: DeliveryStore = self._core.store

    async def owe(self, to: str, title: str, **fields: Any) -> None:
        await self._core.acceptor.accept([Signal(title, to=to, **fields)], Peer(0, 0, 0))

    async def titles(self, state: State, destination: str) -> list[str]:
        rows = await self._journal.run(queries.queue, state.value, destination, 1000)
        return [row["title"] for row in rows]


class MemoryBackend:
    def __init__(self) -> None:
        self.clock = SteppedClock()
        self._memory = MemoryStore(self.clock, FALLBACKS)
        self.store: DeliveryStore = self._memory

    async def owe(self, to: str, title: str, priority: str = "normal", **fields: Any) -> None:
        self._memory.owe(to, title, Priority[priority.upper()], **fields)

    async def titles(self, state: State, destination: str) -> list[str]:
        return self._memory.titles(state, destination)


@asynccontextmanager
async def backend_of(kind: str, folder: Path) -> AsyncIterator[Backend]:
    if kind == "memory":
        yield MemoryBackend()
    else:
        async with Journal(folder) as journal:
            yield JournalBackend(journal, folder)


@pytest.fixture(params=["journal", "memory"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    async with backend_of(request.param, tmp_path) as backend:
        yield backend


async def fed(backend: Backend, name: str = "a", after: int = FIRST, most: int = 64) -> list[Delivery]:
    return await backend.store.feed(name, Priority.NORMAL, after, most)


async def attempt(backend: Backend, outcome: Outcome, name: str = "a") -> Settlement:
    batch = await backend.store.begin(await fed(backend, name, most=1), START)
    (settlement,) = await backend.store.settle(batch, [outcome], RETRY, None, [])
    return settlement


async def test_feed_returns_queued_deliveries_in_order_after_cursor(backend: Backend) -> None:
    for title in ("one", "two", "three"):
        await backend.owe("a", title)
    await backend.owe("a", "urgent", priority="urgent")
    first = await fed(backend, most=2)
    rest = await fed(backend, after=first[-1].number)
    assert [delivery.signal.title for delivery in [*first, *rest]] == ["one", "two", "three"]
    assert [d.signal.title for d in await backend.store.feed("a", Priority.URGENT, FIRST, 64)] == ["urgent"]


async def test_begin_counts_attempt_and_claims_once(backend: Backend) -> None:
    await backend.owe("a", "one")
    window = await fed(backend)
    (claimed,) = await backend.store.begin(window, START)
    assert claimed.attempts == 1
    assert claimed.first_try is not None
    assert await backend.store.begin(window, START) == []
    assert await fed(backend) == []


async def test_begin_keeps_max_batch_of_sender(backend: Backend) -> None:
    await backend.owe("a", "one")
    (delivery,) = await fed(backend)
    (claimed,) = await backend.store.begin(
        [msgspec.structs.replace(delivery, max_batch=5, maybe_duplicate=True)], START
    )
    assert (claimed.max_batch, claimed.maybe_duplicate) == (5, False)


async def test_request_is_open_until_its_outcomes_are_settled(backend: Backend) -> None:
    for title in ("one", "two"):
        await backend.owe("a", title)
    asking = RequestStart("a", "channel", expedited=True)
    batch = await backend.store.begin(await fed(backend), asking)
    assert await backend.store.requests("channel", "a") == [RequestRecord(None, expedited=True, destination="a")]
    backend.clock.step(30)
    before = backend.clock.wall()
    await backend.store.settle(batch, [Delivered()] * 2, RETRY, None, [])
    (request,) = await backend.store.requests("channel", "a")
    assert request.at is not None
    assert before <= request.at <= backend.clock.wall()


async def test_settle_and_begin_opens_next_request(backend: Backend) -> None:
    for title in ("one", "two"):
        await backend.owe("a", title)
    one, two = await fed(backend)
    batch = await backend.store.begin([one], START)
    backend.clock.step(1)
    settlements, claimed = await backend.store.settle_and_begin(
        batch, [Delivered()], RETRY, None, [], following=[one, two], asking=START
    )
    assert [each.state for each in settlements] == [State.SENT]
    assert [(each.signal.title, each.attempts) for each in claimed] == [("two", 1)]
    assert [each.at is None for each in await backend.store.requests("channel", "a")] == [False, True]


async def test_requests_are_those_of_channel_and_destination_in_order_of_answers(backend: Backend) -> None:
    for name, channel in (("a", "old"), ("b", "shared"), ("a", "shared"), ("c", "elsewhere")):
        await backend.owe(name, "one")
        batch = await backend.store.begin(await fed(backend, name), RequestStart(name, channel, expedited=False))
        backend.clock.step(1)
        await backend.store.settle(batch, [Delivered()], RETRY, None, [])
    await backend.owe("b", "open")
    await backend.store.begin(await fed(backend, "b"), RequestStart("b", "shared", expedited=False))
    requests = await backend.store.requests("shared", "a")
    assert [request.destination for request in requests] == ["a", "b", "a", "b"]
    assert [request.at is None for request in requests] == [False, False, False, True]
    assert await backend.store.requests("nowhere", "d") == []


async def test_begin_claims_no_expired_delivery(backend: Backend) -> None:
    await backend.owe("a", "late", expires=10)
    backend.clock.step(11)
    assert await backend.store.begin(await fed(backend), START) == []
    assert await backend.store.requests("channel", "a") == []


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
async def test_settle_returns_what_policy_decides(
    backend: Backend, outcome: Outcome, state: State, copies: int
) -> None:
    await backend.owe("a", "one")
    settlement = await attempt(backend, outcome)
    assert settlement.state is state
    assert await backend.titles(state, "a") == ["one"]
    assert await backend.titles(State.QUEUED, "b") == ["one"] * copies


async def test_feed_keeps_duplicate_mark_of_requeued_delivery(backend: Backend) -> None:
    await backend.owe("a", "one")
    await attempt(backend, Unknown("no answer"))
    (again,) = await fed(backend)
    assert (again.maybe_duplicate, again.unknown_count, again.attempts) == (True, 1, 1)


async def test_delivery_refused_for_its_format_is_claimed_in_plain_format(backend: Backend) -> None:
    await backend.owe("a", "one")
    (before,) = await fed(backend)
    await attempt(backend, Deferred("a field", Cause.FORMAT))
    (again,) = await fed(backend)
    assert (again.plain_format, again.max_batch) == (True, None)  # the batch size is found out again
    (claimed,) = await backend.store.begin([before], START)
    assert claimed.plain_format


async def test_copy_at_fallback_keeps_deadline_and_duplicate_mark(backend: Backend) -> None:
    await backend.owe("a", "one", expires=60)
    await attempt(backend, Unknown("no answer"))
    (original,) = await fed(backend)
    backend.clock.step(30)
    await backend.store.divert("a", "404")
    (copy,) = await fed(backend, "b")
    assert (copy.deadline, copy.maybe_duplicate) == (original.deadline, True)


async def test_divert_moves_queue_in_chunks_until_empty(backend: Backend) -> None:
    for title in ("one", "two"):
        await backend.owe("a", title)
    assert await backend.store.divert("a", "404") is True
    assert await backend.store.divert("a", "404") is False
    assert await backend.titles(State.REROUTED, "a") == ["one", "two"]
    assert await backend.titles(State.QUEUED, "b") == ["one", "two"]


async def test_reroute_moves_only_priorities_whose_patience_is_over(backend: Backend) -> None:
    for title, priority in (("now", "urgent"), ("later", "low")):
        await backend.owe("a", title, priority=priority)
    (number,) = [each.number for each in await backend.store.feed("a", Priority.URGENT, FIRST, 10)]
    assert await backend.store.reroute("a", [Priority.URGENT], "a fails", hurried=False) == [number]
    assert await backend.store.reroute("a", [Priority.URGENT], "a fails", hurried=False) == []
    assert (await backend.titles(State.REROUTED, "a"), await backend.titles(State.QUEUED, "b")) == (["now"], ["now"])
    assert await backend.titles(State.QUEUED, "a") == ["later"]


async def test_reroute_returns_delivery_of_failing_fallback_to_origin_once(backend: Backend) -> None:
    await backend.owe("a", "came", priority="urgent")
    await backend.owe("b", "own", priority="urgent")
    for _ in range(2):
        await backend.store.reroute("a", [Priority.URGENT], "a fails", hurried=True)
        await backend.store.reroute("b", [], "b fails", hurried=True)
        assert await backend.titles(State.QUEUED, "a") == ["came"], "the second time it stays"
        assert await backend.titles(State.QUEUED, "b") == ["own"]
        assert await backend.titles(State.REROUTED, "b") == ["came"]
    (back,) = await backend.store.feed("a", Priority.URGENT, FIRST, 10)
    assert (back.first_try, back.maybe_duplicate) == (None, False)


async def test_divert_returns_delivery_of_disabled_fallback_before_it_is_dead(backend: Backend) -> None:
    await backend.owe("a", "came", priority="urgent")
    await backend.store.reroute("a", [Priority.URGENT], "a fails", hurried=True)
    assert await backend.store.divert("b", "b is gone")
    assert await backend.titles(State.QUEUED, "a") == ["came"]


async def test_reroute_moves_nothing_without_fallback(backend: Backend) -> None:
    await backend.owe("c", "now", priority="urgent")
    assert await backend.store.reroute("c", [Priority.URGENT], "c fails", hurried=True) == []
    backend.store.notify_lanes()


async def test_divert_moves_nothing_without_fallback(backend: Backend) -> None:
    await backend.owe("c", "one")
    assert await backend.store.divert("c", "404") is False
    assert await backend.titles(State.QUEUED, "c") == ["one"]


async def test_unsent_request_is_not_recorded(backend: Backend) -> None:
    await backend.owe("a", "one")
    await attempt(backend, Deferred("cannot connect", unsent=True))
    assert await backend.store.requests(START.channel, "a") == []
    await attempt(backend, Deferred("503"))
    assert len(await backend.store.requests(START.channel, "a")) == 1


async def test_lane_state_is_saved_alone_or_with_a_settlement(backend: Backend) -> None:
    assert await backend.store.load_lane("a") == LaneState("a")
    memory = LaneState("a", failures=2, trips=1, strikes=1, channel="123")
    await backend.store.save(memory, [])
    assert await backend.store.load_lane("a") == memory
    await backend.owe("a", "one")
    batch = await backend.store.begin(await fed(backend), START)
    await backend.store.settle(batch, [Delivered()], RETRY, LaneState("a", trips=2), [])
    assert await backend.store.load_lane("a") == LaneState("a", trips=2)


async def test_limit_state_is_saved_alone_or_with_a_settlement(backend: Backend) -> None:
    name = "channel:discord:123"
    assert await backend.store.load_limit(name) == LimitState(name)
    memory = LimitState(name, backend.clock.wall() + 9, "429", 28, 60.0, backend.clock.wall())
    await backend.store.save(None, [memory])
    assert await backend.store.load_limit(name) == memory
    await backend.owe("a", "one")
    batch = await backend.store.begin(await fed(backend), START)
    await backend.store.settle(batch, [Delivered()], RETRY, None, [LimitState(name, count=27), LimitState("other")])
    assert await backend.store.load_limit(name) == LimitState(name, count=27)


# --- living messages -------------------------------------------------------------------------------------------------------

EDITS = RequestStart("a", "channel", expedited=False, edits_at="webhook")


async def deliver_key(backend: Backend, outcome: Outcome, name: str = "a") -> list[Delivery]:
    """Attempt the first queued delivery, and the deliveries of its key."""
    asking = msgspec.structs.replace(EDITS, destination=name)
    batch = await backend.store.begin(await fed(backend, name, most=1), asking)
    await backend.store.settle(batch, [outcome] * len(batch), RETRY, None, [])
    return batch


def edited(batch: Sequence[Delivery]) -> tuple[str | None, list[str]]:
    """The message that is edited, and the title that it then shows."""
    assert batch[0].update is not None
    return batch[0].update.edits, [line.title for line in batch[0].update.then.lines]


async def test_begin_claims_all_states_of_key_and_later_states_edit_message(backend: Backend) -> None:
    await backend.owe("a", "opened", key="trade")
    await backend.owe("a", "another", key="other")
    await backend.owe("a", "filled", key="trade", priority="low")
    assert edited(await deliver_key(backend, Delivered("m1"))) == (None, ["opened", "filled"])
    assert await backend.titles(State.SENT, "a") == ["opened", "filled"]
    assert await backend.store.feed("a", Priority.LOW, FIRST, 64) == []
    assert edited(await deliver_key(backend, Delivered("m2"))) == (None, ["another"])
    await backend.owe("a", "closed", key="trade")
    assert edited(await deliver_key(backend, Delivered("m1"))) == ("m1", ["opened", "filled", "closed"])


async def test_deferred_state_is_carried_by_next_delivery_of_its_key(backend: Backend) -> None:
    await backend.owe("a", "opened", key="trade")
    await deliver_key(backend, Deferred("503"))
    await backend.owe("a", "closed", key="trade")
    assert edited(await deliver_key(backend, Delivered("m1"))) == (None, ["opened", "closed"])


async def test_message_that_is_gone_is_posted_again(backend: Backend) -> None:
    await backend.owe("a", "opened", key="trade")
    await deliver_key(backend, Delivered("m1"))
    await backend.owe("a", "closed", key="trade")
    await deliver_key(backend, Deferred("404", Cause.TARGET_GONE))
    assert edited(await deliver_key(backend, Delivered("m2"))) == (None, ["opened", "closed"])


async def test_key_has_one_message_per_destination_and_order_is_kept(backend: Backend) -> None:
    await backend.owe("a", "opened", key="trade")
    await backend.owe("b", "closed", key="trade")
    assert edited(await deliver_key(backend, Delivered("m1"), "b")) == (None, ["closed"])
    assert await backend.store.divert("a", "404")
    assert edited(await deliver_key(backend, Delivered("m1"), "b")) == ("m1", ["opened", "closed"])
