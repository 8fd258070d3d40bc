from __future__ import annotations

import gc

import trio
import trio.testing

from tocsind.events import Dead, DroppedByOperator, Recovered
from tocsind.observe.event_feed import KEPT_EVENTS, EventFeed
from tocsind.testing.clock import SOME_MORNING, SteppedClock


async def test_the_latest_facts_are_kept_oldest_first_and_ready_for_the_wire() -> None:
    clock = SteppedClock()
    tail = EventFeed(clock)
    tail(Recovered("d"))
    clock.step(-60)
    tail(Dead("ID", "d", "400"))
    first, second = tail.latest()
    assert abs(first.pop("at") - SOME_MORNING) < 5
    assert abs(second.pop("at") - SOME_MORNING + 60) < 5
    assert first == {"level": "info", "event": "recovered", "destination": "d"}
    assert second == {"level": "error", "event": "dead", "id": "ID", "destination": "d", "reason": "400"}


async def test_no_more_than_so_many_facts_are_kept() -> None:
    tail = EventFeed(SteppedClock())
    for number in range(KEPT_EVENTS + 5):
        tail(DroppedByOperator("ID", number))
    assert [fact["deliveries"] for fact in tail.latest()] == list(range(5, KEPT_EVENTS + 5))


async def test_a_watcher_sees_what_comes_and_nothing_of_before() -> None:
    tail = EventFeed(SteppedClock())
    tail(DroppedByOperator("ID", 0))
    with tail.follow() as facts:
        tail(DroppedByOperator("ID", 1))
        tail(DroppedByOperator("ID", 2))
        assert [(await anext(facts))["deliveries"] for _ in range(2)] == [1, 2]


async def test_a_watcher_that_waits_is_woken(nursery: trio.Nursery) -> None:
    tail, seen = EventFeed(SteppedClock()), []

    async def watch() -> None:
        with tail.follow() as facts:
            seen.append((await anext(facts))["deliveries"])

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    tail(DroppedByOperator("ID", 7))
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [7]


async def test_a_watcher_that_does_not_keep_up_is_told_how_many_it_missed_and_the_others_miss_none() -> None:
    tail = EventFeed(SteppedClock())
    with tail.follow() as slow, tail.follow() as quick:
        for number in range(KEPT_EVENTS + 5):
            tail(DroppedByOperator("ID", number))
            assert (await anext(quick))["deliveries"] == number
        assert [(await anext(slow))["deliveries"] for _ in range(KEPT_EVENTS)] == list(range(KEPT_EVENTS))
        tail(DroppedByOperator("ID", -1))
        missed = await anext(slow)
        assert (missed["event"], missed["events"]) == ("events-dropped", 5)
        assert (await anext(slow))["deliveries"] == -1


async def test_a_watcher_that_left_costs_nothing_more() -> None:
    tail = EventFeed(SteppedClock())
    with tail.follow() as facts:
        tail(DroppedByOperator("ID", 1))
        await anext(facts)
    del facts
    gc.collect()
    tail(DroppedByOperator("ID", 2))
    assert len(tail._followers) == 0
