"""Living messages in a lane, in virtual time: edits obey the gate, coalesce, and never show what is no longer so."""

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
from tocsind.destinations.registry import Pace
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery, Priority, State
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Refused, Report, Unknown
from tocsind.testing.clock import SteppedClock
from tocsind.testing.memory import Answer, MemoryDestination
from tocsind.testing.store import MemoryStore

URGENT, HIGH, NORMAL, LOW = Priority
DOWN = Deferred("503")
GONE = Deferred("404", Cause.TARGET_GONE)
LIMITS = Pace(Rate(5, 2.0), Rate(30, 60.0), Rate(45, 1.1))
ALL = 1000


class Board(MemoryDestination):
    """A far end whose messages can be edited; it answers an id to whatever is delivered. `messages`: id -> the titles shown, over time."""

    def __init__(self, script: Sequence[Answer], seconds: float) -> None:
        super().__init__(script, most=10, seconds=seconds, edits=True)
        self.messages: dict[str, list[str]] = {}
        self.latest: dict[str, str] = {}  # by key, wherever it is shown

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        report = await super().deliver(batch)
        if report.outcomes[0] != Delivered():
            return report
        telling = batch[0].update
        id_ = (telling and telling.edits) or f"m{len(self.messages) + 1}"
        title = (telling.message if telling else batch[0]).signal.title
        self.messages.setdefault(id_, []).append(title)
        self.latest[telling.key if telling else ""] = title
        return Report((Delivered(id_),) * len(batch))


class Stage:
    """One lane named `d`, and the board at its far end."""

    def __init__(self, *script: Answer, pace: Pace | None = None, seconds: float = 0.0) -> None:
        self.options = DestinationOptions("d", "memory", FileOptions("unused"))
        self.board = Board(script, seconds)
        self.clock = SteppedClock()
        self.books = MemoryStore(self.clock)
        gates = LimiterRegistry(self.books, self.clock, lambda _: pace or Pace())
        self.lane = Lane(self.options, self.board, self.books, gates, self.clock, lambda _: None)
        self.books.lanes["d"] = self.lane

    def owe(self, title: str, key: str | None = "trade", priority: Priority = NORMAL, **fields: Any) -> int:
        return self.books.owe("d", title, priority, key=key, **fields)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.lane.restore()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lane.run)
            yield
            nursery.cancel_scope.cancel()

    @property
    def waiting(self) -> list[str]:
        return self.books.titles(State.QUEUED, "d")


async def passing(seconds: float) -> None:
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def test_three_states_are_one_message(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with stage.running():
        for title in ("opened", "filled", "closed"):
            stage.owe(title)
            await passing(1)
    assert stage.board.messages == {"m1": ["opened", "filled", "closed"]}


async def test_a_storm_on_one_key_is_a_few_edits_at_the_gates_pace_and_ends_with_the_last_state(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(pace=LIMITS, seconds=0.1)
    async with stage.running():
        for number in range(500):
            stage.owe(f"state {number}")
            await trio.sleep(0.1)  # fifty seconds of it
        await passing(5)
        assert stage.waiting == []
    assert list(stage.board.messages) == ["m1"]
    shown = stage.board.messages["m1"]
    assert shown[-1] == "state 499"
    assert shown == sorted(shown, key=lambda title: int(title.split()[1]))
    assert 10 < len(shown) <= 30
    longest = max(after - before for before, after in zip(stage.board.times, stage.board.times[1:], strict=False))
    assert longest < 5, "an even pace, and no half a minute of silence after a burst"


async def test_a_backlog_of_one_key_is_one_request_however_many_wait(autojump_clock: MockClock) -> None:
    stage = Stage(pace=LIMITS)
    for number in range(500):
        stage.owe(f"state {number}", priority=Priority(number % 4) if number % 4 else LOW)
    async with stage.running():
        await passing(1)
        assert stage.waiting == []
    assert stage.board.messages == {"m1": ["state 499"]}


async def test_many_keys_cost_one_request_each_whatever_waits_of_them(autojump_clock: MockClock) -> None:
    stage = Stage()
    for round_ in range(30):
        for key in range(20):
            stage.owe(f"{key}.{round_}", f"trade {key}")
    async with stage.running():
        await passing(1)
        assert stage.waiting == []
    assert sorted(stage.board.messages.values()) == sorted([f"{key}.29"] for key in range(20))


async def test_a_burst_of_keys_is_not_held_back_for_company_that_cannot_come(autojump_clock: MockClock) -> None:
    stage = Stage(pace=LIMITS)
    for key in range(20):
        stage.owe(f"opened {key}", f"trade {key}")
    async with stage.running():
        await passing(10)
        assert len(stage.board.messages) == 19  # the last has nobody behind it, and somebody might still come
        await passing(3)
    assert len(stage.board.messages) == 20


async def test_what_has_no_key_travels_in_company_as_ever(autojump_clock: MockClock) -> None:
    stage = Stage()
    for number in range(3):
        stage.owe(f"plain {number}", None)
        stage.owe(f"trade {number}", f"trade {number}")
    async with stage.running():
        await passing(1)
    sizes = [[delivery.signal.title for delivery in each.batch] for each in stage.board.tries]
    assert sizes == [["plain 0", "plain 1", "plain 2"], ["trade 0"], ["trade 1"], ["trade 2"]]


async def test_a_late_retry_never_shows_an_older_state(autojump_clock: MockClock) -> None:
    stage = Stage(DOWN)
    stage.owe("opened", priority=HIGH)
    async with stage.running():
        await passing(0)
        stage.owe("closed", priority=LOW)
        await passing(60)
    assert stage.board.messages == {"m1": ["closed"]}
    assert stage.books.titles(State.SENT, "d") == ["opened", "closed"]


async def test_what_comes_back_by_hand_does_not_overwrite(autojump_clock: MockClock) -> None:
    stage = Stage(Refused("400"))
    first = stage.owe("opened")
    async with stage.running():
        await passing(1)
        stage.owe("closed")
        await passing(1)
        stage.books.requeue(first)
        await passing(1)
    assert stage.board.messages == {"m1": ["closed", "closed"]}
    assert stage.books.state(first) is State.SENT


async def test_urgent_is_posted_anew_and_lives_on_there(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with stage.running():
        for title, priority in (("opened", NORMAL), ("stopped out", URGENT), ("closed", LOW)):
            stage.owe(title, priority=priority)
            await passing(1)
    assert stage.board.messages == {"m1": ["opened"], "m2": ["stopped out", "closed"]}


async def test_what_cannot_be_edited_is_told_anew_at_once(autojump_clock: MockClock) -> None:
    stage = Stage(Delivered("gone"), GONE)
    async with stage.running():
        stage.owe("opened")
        await passing(1)
        stage.owe("closed")
        await passing(0)
        assert stage.lane.disabled is None
    assert stage.board.messages == {"m1": ["closed"]}
    assert stage.board.times == pytest.approx([0, 1, 1])


async def test_a_far_end_that_fails_gets_one_request_a_rest_and_the_last_state_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(*[DOWN] * 4)
    for number in range(300):
        stage.owe(f"state {number}", priority=LOW if number % 2 else NORMAL)
    async with stage.running():
        await passing(0.4)
        assert len(stage.board.tries) == 1, "nothing of the key goes before its time"
        await passing(120)
        assert stage.waiting == []
    assert stage.board.messages == {"m1": ["state 299"]}
    assert len(stage.board.tries) == 5


async def test_those_behind_the_window_rest_as_long_as_those_in_it_and_hold_nobody_up(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(DOWN)
    for number in range(10):
        stage.owe(f"state {number}")
    for number in range(100):
        stage.owe(f"plain {number}", None)
    for number in range(10, 20):
        stage.owe(f"state {number}")
    async with stage.running():
        await passing(0.4)
        assert stage.waiting == [f"state {number}" for number in range(20)]
        assert [len(each.batch) for each in stage.board.tries if each.batch[0].update] == [20]
        await passing(1)
        assert stage.waiting == []
    assert stage.board.tries[-1].batch[-1].signal.title == "state 19"


async def test_what_was_told_along_is_not_lost_when_what_led_it_is_dropped(autojump_clock: MockClock) -> None:
    stage = Stage(DOWN)
    for number in range(200):
        stage.owe(f"state {number}")
    async with stage.running():
        await passing(0)
        for number in range(1, 100):
            stage.books.drop(number)
        await passing(60)
        assert stage.waiting == []
    assert stage.board.messages == {"m1": ["state 199"]}


async def test_a_message_of_several_states_that_is_refused_is_one_refused_alert(autojump_clock: MockClock) -> None:
    stage = Stage(Refused("403"))
    for number in range(5):
        stage.owe(f"state {number}")
    async with stage.running():
        await passing(10)
        assert stage.lane.snapshot().refusals.alerts == 1
        stage.owe("later")
        await passing(10)
        assert stage.waiting == []


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
def test_whatever_happens_no_message_ever_goes_back_and_nothing_is_left_waiting(
    arrivals: list[tuple[float, Priority, str]], outcomes: list[Outcome], by_hand: list[int]
) -> None:
    async def play() -> Stage:
        stage = Stage(*outcomes)
        numbers: list[int] = []
        async with stage.running():
            for pause, priority, key in arrivals:
                await trio.sleep(pause)
                numbers.append(stage.owe(f"{len(numbers)}", key, priority))
                for number in by_hand:
                    if number < len(numbers) and stage.books.state(numbers[number]) is State.DEAD:
                        stage.books.requeue(numbers[number])
            await passing(600)
        return stage

    stage = trio.run(play, clock=MockClock(autojump_threshold=0))
    assert stage.waiting == []
    for shown in stage.board.messages.values():
        assert shown == sorted(shown, key=int)
    for key, shown_last in stage.board.latest.items():
        sent = [int(title) for title in stage.books.titles(State.SENT, "d") if arrivals[int(title)][2] == key]
        assert int(shown_last) >= max(sent), "the last state that arrived is what a reader finds"


async def test_an_edit_waits_for_the_gate_that_a_post_would_wait_for(autojump_clock: MockClock) -> None:
    stage = Stage(pace=Pace(Rate(2, 10.0), None, None))
    async with stage.running():
        for number in range(4):
            stage.owe(f"state {number}", priority=HIGH)
            await passing(0.1)
        await passing(20)
    assert stage.board.messages == {"m1": ["state 0", "state 1", "state 3"]}
    assert stage.board.times == pytest.approx([0, 0.1, 10], abs=0.05)


async def test_a_lane_that_tells_of_keys_drains_slower_and_knows_it(autojump_clock: MockClock) -> None:
    stage = Stage(pace=LIMITS)
    await stage.lane.restore()
    before = stage.lane.drain_rate()
    for key in range(40):
        stage.owe(f"opened {key}", f"trade {key}")
    async with stage.running():
        await passing(100)
    assert stage.lane.drain_rate() < before / 3
