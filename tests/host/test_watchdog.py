"""Signs of life: what stops them, what brings them back, and what is told of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.daemon.inprocess import InProcess, destination, in_process
from tests.manager import Manager

from tocsind.events import ProgressResumed, ProgressStalled
from tocsind.host.watchdog import Watchdog
from tocsind.observe.liveness import Liveness


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
    with Manager(str(tmp_path / "manager")) as manager:
        yield manager


def watchdog(here: InProcess) -> Watchdog:
    progress = Liveness(here.journal, here.lanes, patience=0.2)
    return Watchdog(progress.check, here.clock, here.hear)


async def hear(manager: Manager) -> dict[str, str]:
    """The next message, while our loop goes on."""
    return (await trio.to_thread.run_sync(manager.receive))[0]


async def hear_of(manager: Manager, name: str) -> dict[str, str]:
    while name not in (heard := await hear(manager)):
        pass
    return heard


def troubles(here: InProcess) -> list[ProgressStalled | ProgressResumed]:
    return [fact for fact in here.facts if isinstance(fact, ProgressStalled | ProgressResumed)]


async def test_a_hung_journal_stops_the_signs_of_life_and_the_manager_hears_why(
    tmp_path: Path, manager: Manager
) -> None:
    hangs = threading.Event()
    async with in_process(tmp_path) as here, trio.open_nursery() as nursery:
        nursery.start_soon(watchdog(here).run)
        assert "WATCHDOG" in await hear(manager)
        nursery.start_soon(here.journal.run, lambda _: hangs.wait(20))
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
    assert troubles(here) == [ProgressStalled("the journal has not answered for 0.2 s"), ProgressResumed()], "once each"


async def test_a_lane_that_stands_still_stops_them_too(tmp_path: Path, manager: Manager) -> None:
    async with in_process(tmp_path) as here, trio.open_nursery() as nursery:
        await here.follow(destination("a"))
        assert await here.send("first", "a") == "delivered"
        lane = here.lanes.get("a")
        assert lane is not None
        lane.turns.busy = True
        await here.store("second", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        lane.turns.busy = False  # and nobody was told
        nursery.start_soon(watchdog(here).run)
        assert await hear(manager) == {"STATUS": "a: a delivery may be sent, and no sender sends it"}
        assert "WATCHDOG" not in await hear(manager)
        lane.turns.notify()
        await hear_of(manager, "WATCHDOG")
        nursery.cancel_scope.cancel()
