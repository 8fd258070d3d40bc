"""Alarms about ourselves: to whom, how often, and that they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from tests.daemon.house import PATIENCE, House, destination, house

from tocsind.alarms import ONCE_IN, Alarms
from tocsind.config import DestinationOptions
from tocsind.events import Accepted, Disabled, Fact, Suspended


class Watch:
    """A house whose alarms hear what a test says."""

    def __init__(self, here: House) -> None:
        self.here = here
        self.alarms = Alarms(here.clock)

    async def told(self, *facts: Fact, alarms: int) -> list[tuple[str, ...]]:
        """Where the alarms went that follow from facts, in order; `alarms` are expected."""
        before = len(self._raised())
        for fact in facts:
            self.alarms(fact)
        with trio.fail_after(PATIENCE):
            while len(self._raised()) < before + alarms:
                await trio.testing.wait_all_tasks_blocked(0.001)
        await trio.testing.wait_all_tasks_blocked(0.01)
        return [fact.destinations for fact in self._raised()[before:]]

    def _raised(self) -> list[Accepted]:
        return [fact for fact in self.here.facts if isinstance(fact, Accepted)]


@asynccontextmanager
async def watch(folder: Path, *destinations: DestinationOptions) -> AsyncIterator[Watch]:
    async with house(folder) as here:
        await here.follow(*destinations)
        watched = Watch(here)
        here.nursery.start_soon(watched.alarms.run, here.dispatch, here.lanes)
        yield watched


GONE = Disabled("a", "404 from Discord")
BANNED = Suspended("a", "429 from Cloudflare", 3600.0)


async def test_the_fallback_is_told_and_else_any_other(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", fallback=("c",)), destination("b"), destination("c")) as here:
        assert await here.told(GONE, alarms=1) == [("c",)]
        assert await here.told(Disabled("b", "404"), alarms=1) == [("a",)]
    line = (tmp_path / "c.jsonl").read_text()
    assert "a is disabled" in line
    assert "`tocsin enable a`" in line


async def test_a_road_that_is_itself_lost_is_not_taken(tmp_path: Path) -> None:
    lost = destination("b", disabled="DISCORD_WEBHOOK is not set")
    async with watch(tmp_path, destination("a", fallback=("b", "c")), lost, destination("c")) as here:
        assert await here.told(GONE, alarms=1) == [("c",)]


async def test_when_no_road_is_left_nobody_is_told(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.told(GONE, BANNED, alarms=0) == []


async def test_a_long_wait_is_told_and_a_short_one_is_not(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert await here.told(Suspended("a", "429", 59.0), BANNED, alarms=1) == [("b",)]
    assert "a is shut out for 1h" in (tmp_path / "b.jsonl").read_text()


async def test_the_same_is_told_once_in_a_while(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert len(await here.told(GONE, GONE, BANNED, BANNED, alarms=2)) == 2
        here.alarms._told = {about: at - ONCE_IN for about, at in here.alarms._told.items()}
        assert len(await here.told(GONE, alarms=1)) == 1
