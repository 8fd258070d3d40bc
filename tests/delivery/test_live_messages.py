"""Live messages in a lane, in virtual time: edits obey limits, merge states, and never show an older state after a newer one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tocsind.config import DestinationOptions, FileOptions
from tocsind.delivery.lane import Lane
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery, Priority, State
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Refused, Report, Unknown
from tocsind.policy.pace import Pace
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import Answer, MemoryDestination
from tocsind.testing.store import MemoryStore

URGENT, HIGH, NORMAL, LOW = Priority
DOWN = Deferred("503")
GONE = Deferred("404", Cause.TARGET_GONE)
LIMITS = Pace(Rate(5, 2.0), Rate(30, 60.0), Rate(45, 1.1))
ALL = 1000


class Board(MemoryDestination):
    """A destination whose messages can be edited; each gets an id. `messages`: id -> the titles that it showed, in order."""

    def __init__(self, script: Sequence[Answer], seconds: float) -> None:
        super().__init__(script, most=10, seconds=seconds, edits=True)
        self.messages: dict[str, list[str]] = {}
        self.latest: dict[str, str] = {}  # by key: the title shown last

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        report = await super().deliver(batch)
        if report.outcomes[0] != Delivered():
            return report
        update = batch[0].update
        id_ = (update and update.edits) or f"m{len(self.messages) + 1}"
        title = (update.message if update else batch[0]).signal.title
        self.messages.setdefault(id_, []).append(title)
        self.latest[update.key if update else ""] = title
        return Report((Delivered(id_),) * len(batch))


class LiveLane:
    """One lane named `d` that delivers to a board."""

    def __init__(self, *script: Answer, pace: Pace | None = None, seconds: float = 0.0) -> None:
        self.options = DestinationOptions("d", "memory", FileOptions("unused"))
        self.board = Board(script, seconds)
        self.clock = SteppedClock()
        self.store = MemoryStore(self.clock)
        limiters = LimiterRegistry(self.store, self.clock, lambda _: pace or Pace())
        self.lane = Lane(self.options, self.board, self.store, limiters, self.clock, lambda _: None)
        self.store.lanes["d"] = self.lane

    def owe(self, title: str, key: str | None = "trade", priority: Priority = NORMAL, **fields: Any) -> int:
        return self.store.owe("d", title, priority, key=key, **fields)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.lane.restore()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lane.run)
            yield
            nursery.cancel_scope.cancel()

    @property
    def waiting(self) -> list[str]:
        return self.store.titles(State.QUEUED, "d")


async def elapse(seconds: float) -> None:
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def test_states_of_one_key_share_one_message(autojump_clock: MockClock) -> None:
    fixture = LiveLane()
    async with fixture.running():
        for title in ("opened", "filled", "closed"):
            fixture.owe(title)
            await elapse(1)
    assert fixture.board.messages == {"m1": ["opened", "filled", "closed"]}


async def test_burst_on_one_key_becomes_few_edits_and_ends_with_last_state(
    autojump_clock: MockClock,
) -> None:
    fixture = LiveLane(pace=LIMITS, seconds=0.1)
    async with fixture.running():
        for number in range(500):
            fixture.owe(f"state {number}")
            await trio.sleep(0.1)  # fifty seconds of it
        await elapse(5)
        assert fixture.waiting == []
    assert list(fixture.board.messages) == ["m1"]
    shown = fixture.board.messages["m1"]
    assert shown[-1] == "state 499"
    assert shown == sorted(shown, key=lambda title: int(title.split()[1]))
    assert 10 < len(shown) <= 30
    longest = max(after - before for before, after in zip(fixture.board.times, fixture.board.times[1:], strict=False))
    assert longest < 5, "an even pace, and no half a minute of silence after a burst"


async def test_backlog_of_one_key_is_one_request(autojump_clock: MockClock) -> None:
    fixture = LiveLane(pace=LIMITS)
    for number in range(500):
        fixture.owe(f"state {number}", priority=Priority(number % 4) if number % 4 else LOW)
    async with fixture.running():
        await elapse(1)
        assert fixture.waiting == []
    assert fixture.board.messages == {"m1": ["state 499"]}


async def test_each_key_costs_one_request_for_all_its_states(autojump_clock: MockClock) -> None:
    fixture = LiveLane()
    for round_ in range(30):
        for key in range(20):
            fixture.owe(f"{key}.{round_}", f"trade {key}")
    async with fixture.running():
        await elapse(1)
        assert fixture.waiting == []
    assert sorted(fixture.board.messages.values()) == sorted([f"{key}.29"] for key in range(20))


async def test_keyed_deliveries_do_not_wait_to_fill_a_batch(autojump_clock: MockClock) -> None:
    fixture = LiveLane(pace=LIMITS)
    for key in range(20):
        fixture.owe(f"opened {key}", f"trade {key}")
    async with fixture.running():
        await elapse(10)
        assert (
            len(fixture.board.messages) == 19
        )  # the last is the only state of its key, and may still be joined by another
        await elapse(3)
    assert len(fixture.board.messages) == 20


async def test_deliveries_without_key_share_batches(autojump_clock: MockClock) -> None:
    fixture = LiveLane()
    for number in range(3):
        fixture.owe(f"plain {number}", None)
        fixture.owe(f"trade {number}", f"trade {number}")
    async with fixture.running():
        await elapse(1)
    sizes = [[delivery.signal.title for delivery in each.batch] for each in fixture.board.tries]
    assert sizes == [["plain 0", "plain 1", "plain 2"], ["trade 0"], ["trade 1"], ["trade 2"]]


async def test_late_retry_never_shows_an_older_state(autojump_clock: MockClock) -> None:
    fixture = LiveLane(DOWN)
    fixture.owe("opened", priority=HIGH)
    async with fixture.running():
        await elapse(0)
        fixture.owe("closed", priority=LOW)
        await elapse(60)
    assert fixture.board.messages == {"m1": ["closed"]}
    assert fixture.store.titles(State.SENT, "d") == ["opened", "closed"]


async def test_requeued_older_state_does_not_overwrite_newer_one(autojump_clock: MockClock) -> None:
    fixture = LiveLane(Refused("400"))
    first = fixture.owe("opened")
    async with fixture.running():
        await elapse(1)
        fixture.owe("closed")
        await elapse(1)
        fixture.store.requeue(first)
        await elapse(1)
    assert fixture.board.messages == {"m1": ["closed", "closed"]}
    assert fixture.store.state(first) is State.SENT


async def test_urgent_state_is_posted_as_new_message_and_edited_there(autojump_clock: MockClock) -> None:
    fixture = LiveLane()
    async with fixture.running():
        for title, priority in (("opened", NORMAL), ("stopped out", URGENT), ("closed", LOW)):
            fixture.owe(title, priority=priority)
            await elapse(1)
    assert fixture.board.messages == {"m1": ["opened"], "m2": ["stopped out", "closed"]}


async def test_state_is_posted_again_when_message_cannot_be_edited(autojump_clock: MockClock) -> None:
    fixture = LiveLane(Delivered("gone"), GONE)
    async with fixture.running():
        fixture.owe("opened")
        await elapse(1)
        fixture.owe("closed")
        await elapse(0)
        assert fixture.lane.disabled is None
    assert fixture.board.messages == {"m1": ["closed"]}
    assert fixture.board.times == pytest.approx([0, 1, 1])


async def test_failing_destination_gets_one_request_per_rest_then_last_state(
    autojump_clock: MockClock,
) -> None:
    fixture = LiveLane(*[DOWN] * 4)
    for number in range(300):
        fixture.owe(f"state {number}", priority=LOW if number % 2 else NORMAL)
    async with fixture.running():
        await elapse(0.4)
        assert len(fixture.board.tries) == 1, "nothing of the key goes before its time"
        await elapse(120)
        assert fixture.waiting == []
    assert fixture.board.messages == {"m1": ["state 299"]}
    assert len(fixture.board.tries) == 5


async def test_deferred_mates_behind_window_wait_and_delay_no_other_key(
    autojump_clock: MockClock,
) -> None:
    fixture = LiveLane(DOWN)
    for number in range(10):
        fixture.owe(f"state {number}")
    for number in range(100):
        fixture.owe(f"plain {number}", None)
    for number in range(10, 20):
        fixture.owe(f"state {number}")
    async with fixture.running():
        await elapse(0.4)
        assert fixture.waiting == [f"state {number}" for number in range(20)]
        assert [len(each.batch) for each in fixture.board.tries if each.batch[0].update] == [20]
        await elapse(1)
        assert fixture.waiting == []
    assert fixture.board.tries[-1].batch[-1].signal.title == "state 19"


async def test_carried_state_is_sent_when_its_leading_delivery_is_dropped(autojump_clock: MockClock) -> None:
    fixture = LiveLane(DOWN)
    for number in range(200):
        fixture.owe(f"state {number}")
    async with fixture.running():
        await elapse(0)
        for number in range(1, 100):
            fixture.store.drop(number)
        await elapse(60)
        assert fixture.waiting == []
    assert fixture.board.messages == {"m1": ["state 199"]}


async def test_refused_message_of_several_states_counts_as_one_alert(autojump_clock: MockClock) -> None:
    fixture = LiveLane(Refused("403"))
    for number in range(5):
        fixture.owe(f"state {number}")
    async with fixture.running():
        await elapse(10)
        assert fixture.lane.snapshot().refusals.alerts == 1
        fixture.owe("later")
        await elapse(10)
        assert fixture.waiting == []


OUTCOMES = st.sampled_from(
    [
        Delivered(),
        Delivered(),
        DOWN,
        GONE,
        Unknown("no answer"),
        Refused("400"),
        Deferred("429", Cause.LIMITED, wait=3.0),
    ]
)
ARRIVALS = st.tuples(st.floats(0, 5), st.sampled_from(Priority), st.sampled_from(["a", "b"]))


@given(st.lists(ARRIVALS, max_size=40), st.lists(OUTCOMES, max_size=25), st.lists(st.integers(0, 39), max_size=5))
def test_random_outcomes_never_show_older_state_and_leave_no_delivery_queued(
    arrivals: list[tuple[float, Priority, str]], outcomes: list[Outcome], by_hand: list[int]
) -> None:
    async def play() -> LiveLane:
        fixture = LiveLane(*outcomes)
        numbers: list[int] = []
        async with fixture.running():
            for pause, priority, key in arrivals:
                await trio.sleep(pause)
                numbers.append(fixture.owe(f"{len(numbers)}", key, priority))
                for number in by_hand:
                    if number < len(numbers) and fixture.store.state(numbers[number]) is State.DEAD:
                        fixture.store.requeue(numbers[number])
            await elapse(600)
        return fixture

    fixture = trio.run(play, clock=MockClock(autojump_threshold=0))
    assert fixture.waiting == []
    for shown in fixture.board.messages.values():
        assert shown == sorted(shown, key=int)
    for key, shown_last in fixture.board.latest.items():
        sent = [int(title) for title in fixture.store.titles(State.SENT, "d") if arrivals[int(title)][2] == key]
        assert int(shown_last) >= max(sent), "the last state that arrived is what a reader finds"


async def test_edit_waits_for_the_same_limits_as_a_post(autojump_clock: MockClock) -> None:
    fixture = LiveLane(pace=Pace(Rate(2, 10.0), None, None))
    async with fixture.running():
        for number in range(4):
            fixture.owe(f"state {number}", priority=HIGH)
            await elapse(0.1)
        await elapse(20)
    assert fixture.board.messages == {"m1": ["state 0", "state 1", "state 3"]}
    assert fixture.board.times == pytest.approx([0, 0.1, 10], abs=0.05)


async def test_drain_rate_is_lower_for_keyed_deliveries(autojump_clock: MockClock) -> None:
    fixture = LiveLane(pace=LIMITS)
    await fixture.lane.restore()
    before = fixture.lane.drain_rate()
    for key in range(40):
        fixture.owe(f"opened {key}", f"trade {key}")
    async with fixture.running():
        await elapse(100)
    assert fixture.lane.drain_rate() < before / 3
