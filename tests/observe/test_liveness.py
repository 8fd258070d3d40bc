"""The liveness check: lanes and a journal that make progress, and some that do not."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.daemon.inprocess import PATIENCE, InProcess, destination, in_process

from tocsind.config import DestinationOptions, DiscordOptions
from tocsind.observe.liveness import Liveness
from tocsind.policy.bucket import Rate
from tocsind.secret import Secret

SOON = 1.0  # seconds of patience for checks that must fail


def liveness(here: InProcess, patience: float = PATIENCE) -> Liveness:
    return Liveness(here.journal, here.lanes, patience)


async def test_liveness_passes_when_idle_and_without_lanes(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        assert await liveness(here).check() is None
        await here.apply(destination("a"), destination("b"))
        assert await liveness(here).check() is None


async def test_liveness_passes_while_a_lane_sends(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        for round_ in range(20):
            await here.accept(*(f"{round_} {n}" for n in range(50)), to="a")
            assert await liveness(here).check() is None


async def test_liveness_passes_while_a_lane_waits_for_its_limit(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a", limit=Rate(1, 3600.0)))
        assert await here.send("the hour's first", "a") == "delivered"
        await here.accept("the next", priority="urgent", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await liveness(here).check() is None


async def test_liveness_fails_for_a_lane_that_was_not_woken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        assert await here.send("first", "a") == "delivered"
        lane = here.lanes.get("a")
        assert lane is not None
        lane.turns.busy = True  # the turn is not released: no sender can take it
        await here.accept("second", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        lane.turns.busy = False  # released without a notification
        assert await liveness(here, SOON).check() == "a: a delivery may be sent, and no sender sends it"
        lane.turns.notify()
        assert await liveness(here).check() is None


async def test_liveness_fails_for_a_queue_that_no_sender_reads(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        assert await here.send("first", "a") == "delivered"
        lane = here.lanes.get("a")
        assert lane is not None
        next(iter(lane.senders))._window.wake()  # without waking the task
        assert await liveness(here, SOON).check() == "a urgent: its queue is not read"


async def test_liveness_fails_for_a_request_beyond_its_deadline(tmp_path: Path) -> None:
    discord = DestinationOptions("a", "discord", DiscordOptions(Secret("http://127.0.0.1:9/"), deadline=10.0))
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        lane = here.lanes.get("a")
        assert lane is not None
        lane.options = discord
        lane.in_flight_since = here.clock.now() - 9.0
        assert await liveness(here).check() is None
        lane.in_flight_since = here.clock.now() - 16.0
        found = await liveness(here, SOON).check()
        assert re.fullmatch("a: a request has been out for 1[6-9] s, and its deadline was 10 s", found or "")


async def test_liveness_fails_in_time_for_a_journal_that_hangs(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here, trio.open_nursery() as nursery:
        hangs = threading.Event()
        nursery.start_soon(here.journal.run, lambda _: hangs.wait(20))
        await trio.testing.wait_all_tasks_blocked(0.05)  # the journal thread runs it now
        try:
            with trio.fail_after(30):
                assert await liveness(here, SOON).check() == f"the journal has not answered for {SOON:g} s"
        finally:
            hangs.set()
    assert hangs.is_set()
