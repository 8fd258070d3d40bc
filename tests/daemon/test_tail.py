from __future__ import annotations

import gc

import trio
import trio.testing

from tocsind.events import Buried, DroppedByHand, Recovered
from tocsind.tail import KEPT, Tail
from tocsind.testing.clock import SOME_MORNING, SteppedClock


async def test_the_latest_facts_are_kept_oldest_first_and_ready_for_the_wire() -> None:
    clock = SteppedClock()
    tail = Tail(clock)
    tail(Recovered("d"))
    clock.step(-60)
    tail(Buried("ID", "d", "400"))
    first, second = tail.latest()
    assert abs(first.pop("at") - SOME_MORNING) < 5
    assert abs(second.pop("at") - SOME_MORNING + 60) < 5
    assert first == {"level": "info", "fact": "recovered", "destination": "d"}
    assert second == {"level": "error", "fact": "buried", "id": "ID", "destination": "d", "reason": "400"}


async def test_no_more_than_so_many_facts_are_kept() -> None:
    tail = Tail(SteppedClock())
    for number in range(KEPT + 5):
        tail(DroppedByHand("ID", number))
    assert [fact["deliveries"] for fact in tail.latest()] == list(range(5, KEPT + 5))


async def test_a_watcher_sees_what_comes_and_nothing_of_before() -> None:
    tail = Tail(SteppedClock())
    tail(DroppedByHand("ID", 0))
    with tail.watch() as facts:
        tail(DroppedByHand("ID", 1))
        tail(DroppedByHand("ID", 2))
        assert [(await anext(facts))["deliveries"] for _ in range(2)] == [1, 2]


async def test_a_watcher_that_waits_is_woken(nursery: trio.Nursery) -> None:
    tail, seen = Tail(SteppedClock()), []

    async def watch() -> None:
        with tail.watch() as facts:
            seen.append((await anext(facts))["deliveries"])

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    tail(DroppedByHand("ID", 7))
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [7]


async def test_a_watcher_that_does_not_keep_up_is_told_how_many_it_missed_and_the_others_miss_none() -> None:
    tail = Tail(SteppedClock())
    with tail.watch() as slow, tail.watch() as quick:
        for number in range(KEPT + 5):
            tail(DroppedByHand("ID", number))
            assert (await anext(quick))["deliveries"] == number
        assert [(await anext(slow))["deliveries"] for _ in range(KEPT)] == list(range(KEPT))
        tail(DroppedByHand("ID", -1))
        missed = await anext(slow)
        assert (missed["fact"], missed["facts"]) == ("missed", 5)
        assert (await anext(slow))["deliveries"] == -1


async def test_a_watcher_that_left_costs_nothing_more() -> None:
    tail = Tail(SteppedClock())
    with tail.watch() as facts:
        tail(DroppedByHand("ID", 1))
        await anext(facts)
    del facts
    gc.collect()
    tail(DroppedByHand("ID", 2))
    assert len(tail._watchers) == 0
