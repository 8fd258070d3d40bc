from __future__ import annotations

import gc

import msgspec
import trio
import trio.testing

from tocsind.events import Dead, DroppedByOperator, Recovered
from tocsind.observe.event_feed import KEPT_EVENTS, EventFeed
from tocsind.testing.clock import SOME_MORNING, SteppedClock


async def test_event_feed_keeps_the_latest_events_oldest_first() -> None:
    clock = SteppedClock()
    feed = EventFeed(clock)
    feed(Recovered("d"))
    clock.step(-60)
    feed(Dead("ID", "d", "400"))
    first, second = (each.as_dict() for each in feed.latest())
    assert abs(first.pop("at") - SOME_MORNING) < 5
    assert abs(second.pop("at") - SOME_MORNING + 60) < 5
    assert first == {"level": "info", "event": "recovered", "destination": "d"}
    assert second == {"level": "error", "event": "dead", "id": "ID", "destination": "d", "reason": "400"}


async def test_event_feed_bounds_the_events_in_memory() -> None:
    feed = EventFeed(SteppedClock())
    for number in range(KEPT_EVENTS + 5):
        feed(DroppedByOperator("ID", number))
    assert [each.as_dict()["deliveries"] for each in feed.latest()] == list(range(5, KEPT_EVENTS + 5))


async def test_follower_receives_new_events_only() -> None:
    feed = EventFeed(SteppedClock())
    feed(DroppedByOperator("ID", 0))
    with feed.follow() as events:
        feed(DroppedByOperator("ID", 1))
        feed(DroppedByOperator("ID", 2))
        assert [(await anext(events)).as_dict()["deliveries"] for _ in range(2)] == [1, 2]


async def test_follower_that_waits_is_woken(nursery: trio.Nursery) -> None:
    feed, seen = EventFeed(SteppedClock()), []

    async def watch() -> None:
        with feed.follow() as events:
            seen.append((await anext(events)).as_dict()["deliveries"])

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    feed(DroppedByOperator("ID", 7))
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [7]


async def test_slow_follower_receives_the_number_of_missed_events() -> None:
    feed = EventFeed(SteppedClock())
    with feed.follow() as slow, feed.follow() as quick:
        for number in range(KEPT_EVENTS + 5):
            feed(DroppedByOperator("ID", number))
            assert (await anext(quick)).as_dict()["deliveries"] == number
        assert [(await anext(slow)).as_dict()["deliveries"] for _ in range(KEPT_EVENTS)] == list(range(KEPT_EVENTS))
        feed(DroppedByOperator("ID", -1))
        missed = (await anext(slow)).as_dict()
        assert (missed["event"], missed["events"]) == ("events-dropped", 5)
        assert (await anext(slow)).as_dict()["deliveries"] == -1


async def test_follower_that_left_is_forgotten() -> None:
    feed = EventFeed(SteppedClock())
    with feed.follow() as events:
        feed(DroppedByOperator("ID", 1))
        await anext(events)
    del events
    gc.collect()
    feed(DroppedByOperator("ID", 2))
    assert len(feed._followers) == 0


async def test_event_feed_gives_the_last_events_only() -> None:
    feed = EventFeed(SteppedClock())
    for number in range(5):
        feed(DroppedByOperator("ID", number))
    assert [each.as_dict()["deliveries"] for each in feed.latest(2)] == [3, 4]
    assert feed.latest(0) == []
    assert len(feed.latest(9)) == 5


async def test_event_is_encoded_once_for_all_followers() -> None:
    feed = EventFeed(SteppedClock())
    with feed.follow() as first, feed.follow() as second:
        feed(DroppedByOperator("ID", 7))
        one, other = await anext(first), await anext(second)
    encoded = one.encoded("a title", as_json=True)
    assert other.encoded("a title", as_json=True) is encoded
    assert msgspec.json.decode(encoded) == one.as_dict("a title")
    assert msgspec.msgpack.decode(other.encoded(None, as_json=False)) == one.as_dict()
    assert one.as_dict("a title")["title"] == "a title"
