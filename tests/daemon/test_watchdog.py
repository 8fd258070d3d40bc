"""Signs of life: what stops them, what brings them back, and what is told of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.daemon.house import House, destination, house
from tests.manager import Manager

from tocsind.events import GotOn, StoodStill
from tocsind.progress import Progress
from tocsind.watchdog import Watchdog


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
    with Manager(str(tmp_path / "manager")) as manager:
        yield manager


def watchdog(here: House) -> Watchdog:
    progress = Progress(here.dispatch.journal, here.lanes, here.clock, patience=0.2)
    return Watchdog(progress.prove, here.clock, here.hear)


async def hear(manager: Manager) -> dict[str, str]:
    """The next message, while our loop goes on."""
    return (await trio.to_thread.run_sync(manager.hear))[0]


async def hear_of(manager: Manager, name: str) -> dict[str, str]:
    while name not in (heard := await hear(manager)):
        pass
    return heard


def troubles(here: House) -> list[StoodStill | GotOn]:
    return [fact for fact in here.facts if isinstance(fact, StoodStill | GotOn)]


async def test_a_hung_journal_stops_the_signs_of_life_and_the_manager_hears_why(
    tmp_path: Path, manager: Manager
) -> None:
    hangs = threading.Event()
    async with house(tmp_path) as here, trio.open_nursery() as nursery:
        nursery.start_soon(watchdog(here).run)
        assert "WATCHDOG" in await hear(manager)
        nursery.start_soon(here.dispatch.journal.run, lambda _: hangs.wait(20))
        try:
            trouble = await hear_of(manager, "STATUS")
            while "WATCHDOG" in trouble:
                trouble = await hear(manager)
            assert trouble == {"STATUS": "the journal has not answered for 0.2 s"}
            assert "WATCHDOG" not in await hear(manager)
        finally:
            hangs.set()
        assert (await hear_of(manager, "WATCHDOG"))["STATUS"] == "serving"
        nursery.cancel_scope.cancel()
    assert troubles(here) == [StoodStill("the journal has not answered for 0.2 s"), GotOn()], "once each"


async def test_a_lane_that_stands_still_stops_them_too(tmp_path: Path, manager: Manager) -> None:
    async with house(tmp_path) as here, trio.open_nursery() as nursery:
        await here.follow(destination("a"))
        assert await here.send("first", "a") == "delivered"
        lane = here.lanes.get("a")
        assert lane is not None
        lane.channel.busy = True
        await here.store("second", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        lane.channel.busy = False  # and nobody was told
        nursery.start_soon(watchdog(here).run)
        assert await hear(manager) == {"STATUS": "a: something may be sent, and nobody sends it"}
        assert "WATCHDOG" not in await hear(manager)
        lane.channel.nudge()
        await hear_of(manager, "WATCHDOG")
        nursery.cancel_scope.cancel()
