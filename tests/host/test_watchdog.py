"""Watchdog pings: what stops them, what resumes them, and the events of both."""

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
    progress = Liveness(here.journal, here.lanes, patience=1.0)
    return Watchdog(progress.check, here.clock, here.record)


async def receive(manager: Manager) -> dict[str, str]:
    """The next message to the manager; the event loop goes on meanwhile."""
    return (await trio.to_thread.run_sync(manager.receive))[0]


async def receive_until(manager: Manager, name: str) -> dict[str, str]:
    while name not in (received := await receive(manager)):
        pass
    return received


def progress_events(here: InProcess) -> list[ProgressStalled | ProgressResumed]:
    return [fact for fact in here.events if isinstance(fact, ProgressStalled | ProgressResumed)]


async def test_watchdog_pings_stop_while_the_journal_hangs_and_status_says_why(
    tmp_path: Path, manager: Manager
) -> None:
    hangs = threading.Event()
    async with in_process(tmp_path) as here, trio.open_nursery() as nursery:
        nursery.start_soon(watchdog(here).run)
        assert "WATCHDOG" in await receive(manager)
        nursery.start_soon(here.journal.run, lambda _: hangs.wait(20))
        try:
            message = await receive_until(manager, "STATUS")
            while "WATCHDOG" in message:
                message = await receive(manager)
            assert message == {"STATUS": "the journal has not answered for 1 s"}
            assert "WATCHDOG" not in await receive(manager)
        finally:
            hangs.set()
        assert (await receive_until(manager, "WATCHDOG"))["STATUS"] == "serving"
        nursery.cancel_scope.cancel()
    assert progress_events(here) == [ProgressStalled("the journal has not answered for 1 s"), ProgressResumed()], (
        "once each"
    )


async def test_watchdog_pings_stop_while_a_lane_is_stuck(tmp_path: Path, manager: Manager) -> None:
    async with in_process(tmp_path) as here, trio.open_nursery() as nursery:
        await here.apply(destination("a"))
        assert await here.send("first", "a") == "delivered"
        lane = here.lanes.get("a")
        assert lane is not None
        lane.turns.busy = True
        await here.accept("second", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        lane.turns.busy = False  # without notifying the sender
        nursery.start_soon(watchdog(here).run)
        assert await receive(manager) == {"STATUS": "a: a delivery may be sent, and no sender sends it"}
        assert "WATCHDOG" not in await receive(manager)
        lane.turns.notify()
        await receive_until(manager, "WATCHDOG")
        nursery.cancel_scope.cancel()
