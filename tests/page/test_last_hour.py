from __future__ import annotations

from pathlib import Path

import trio
from tests.daemon.inprocess import destination, in_process

from tocsind.events import Accepted, Dead, Event, Expired, Sent
from tocsind.page.last_hour import MINUTES, LastHour
from tocsind.testing.clock import SteppedClock


def accepted(id_: str = "A") -> Event:
    return Accepted(id_, "normal", ("a",), 0, 0)


async def test_last_hour_counts_events_in_their_minute(autojump_clock: trio.testing.MockClock) -> None:
    clock = SteppedClock(wall=6000.0)
    hour = LastHour(clock)
    for event in (accepted(), Sent("A", "a", 1, 0.1), accepted(), Dead("B", "a", "400"), Expired("C", "a")):
        hour(event)
    await trio.sleep(60)
    hour(accepted())
    view = hour.view()
    assert (view["accepted"][-2:], view["delivered"][-2:], view["failed"][-2:]) == ([2, 1], [1, 0], [2, 0])
    assert {len(counts) for counts in view.values()} == {MINUTES}
    assert hour.changes == 6


async def test_last_hour_forgets_older_minutes(autojump_clock: trio.testing.MockClock) -> None:
    clock = SteppedClock(wall=6000.0)
    hour = LastHour(clock)
    hour(accepted())
    clock.step(59 * 60)
    assert (sum(hour.view()["accepted"]), hour.view()["accepted"][0]) == (1, 1)
    clock.step(3 * 3600)
    assert sum(hour.view()["accepted"]) == 0


async def test_last_hour_loads_what_came_before_the_start_once(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await here.send("before", to="a")
        here.clock.step(600)
        hour = LastHour(here.clock)
        hour(accepted())
        with trio.CancelScope() as scope:
            scope.cancel()
            await hour.load(here.journal)
        for _ in range(2):
            await hour.load(here.journal)
        view = hour.view()
    assert (view["accepted"][-11], view["accepted"][-1], sum(view["accepted"])) == (1, 1, 2)
    assert (view["delivered"][-11], sum(view["delivered"])) == (1, 1)
