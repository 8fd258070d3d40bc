"""Alarms about ourselves: of what, to whom, how often, and that they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from tests.daemon.house import PATIENCE, House, destination, house

from tocsind.alarms import Alarms
from tocsind.config import AlarmsOptions, DaemonOptions, DestinationOptions
from tocsind.events import (
    Alarmed,
    Disabled,
    Enabled,
    Fact,
    IntakeClosed,
    IntakeOpened,
    Lost,
    Quarantined,
    SpoolTrouble,
    Suspended,
    Unheard,
)
from tocsind.journal import LaneMemory
from tocsind.lane import Lane
from tocsind.policy.alarms import ONCE_IN
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.routes import Route
from tocsind.troubles import Noticed

MINUTE = 60.0


class Watch:
    """A house whose alarms hear what a test says, and look when it says so."""

    def __init__(self, here: House) -> None:
        self.here = here
        self.noticed = Noticed()
        self.alarms = Alarms(self.noticed, here.dispatch, here.lanes, here.clock, here.hear)
        here.observers.append(self.noticed)

    async def told(self, *facts: Fact) -> list[tuple[str, str, str]]:
        """The alarms that follow from facts, and from what lasts: trouble, about whom, told where."""
        before = len(self.here.facts)
        for fact in facts:
            self.here.hear(fact)
        await self.alarms.tell_noticed()
        await self.alarms.tell_lasting()
        return [(each.trouble, each.about, each.road) for each in self.here.facts[before:] if isinstance(each, Alarmed)]

    async def settled(self) -> None:
        """Until every alarm has been delivered."""
        for fact in self.here.facts:
            if isinstance(fact, Alarmed):
                assert await self.here.dispatch.wait_settled(fact.id, PATIENCE) == "delivered"

    def unheard(self) -> list[str]:
        return [fact.about for fact in self.here.facts if isinstance(fact, Unheard)]

    def later(self, seconds: float) -> None:
        """So long ago was all that was told."""
        told = self.alarms._told
        told._when = {about: at - seconds for about, at in told._when.items()}

    def lane(self, name: str) -> Lane:
        lane = self.here.lanes.get(name)
        assert lane is not None
        return lane

    def options(self, **options: float | None) -> None:
        config = self.here.dispatch.config
        self.here.dispatch.config = msgspec.structs.replace(config, alarms=AlarmsOptions(**options))


@asynccontextmanager
async def watch(folder: Path, *destinations: DestinationOptions) -> AsyncIterator[Watch]:
    async with house(folder) as here:
        await here.follow(*destinations)
        yield Watch(here)


GONE = Disabled("a", "404 from Discord")
BANNED = Suspended("a", "429 from Cloudflare", 3600.0)
RESTS = BreakerLimits(failures=1, rest=3600.0, most=3600.0)


def fail(lane: Lane) -> None:
    """Its breaker opens, for an hour."""
    assert lane.breaker.failed(lane.clock.now(), "503 from Discord")


# --- to whom -----------------------------------------------------------------------------------------------------------


async def test_the_fallback_is_told_and_else_any_other(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", fallback=("c",)), destination("b"), destination("c")) as here:
        assert await here.told(GONE) == [("disabled", "a", "c")]
        assert await here.told(Disabled("b", "404")) == [("disabled", "b", "a")]
        await here.settled()
    line = (tmp_path / "c.jsonl").read_text()
    assert "a is disabled" in line
    assert "`tocsin enable a`" in line


async def test_a_road_that_is_itself_lost_is_not_taken(tmp_path: Path) -> None:
    lost = destination("b", disabled="DISCORD_WEBHOOK is not set")
    async with watch(tmp_path, destination("a", fallback=("b", "c")), lost, destination("c")) as here:
        assert await here.told(GONE) == [("disabled", "a", "c")]


async def test_when_no_road_is_left_that_is_said_once_and_the_alarm_waits_for_one(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.told(GONE) == []
        assert await here.told() == []
        assert here.unheard() == ["a"]
        await here.here.follow(destination("a"), destination("b"))
        assert await here.told() == [("disabled", "a", "b")]


async def test_what_is_over_before_anybody_could_be_told_is_not_told(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.told(GONE, IntakeClosed("full")) == [("disk", "the disk", "a")]
        here.later(ONCE_IN)
        assert await here.told(Enabled("a"), IntakeClosed("full"), IntakeOpened()) == []
        await here.here.follow(destination("a"), destination("b"))
        assert await here.told() == []


async def test_what_concerns_no_destination_goes_where_the_routes_lead(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b"), destination("c", fallback=("b",))) as here:
        routes = (Route(("c",), {"source": ("tocsin",)}),)
        here.here.dispatch.config = msgspec.structs.replace(here.here.dispatch.config, routes=routes)
        facts = Quarantined("x.jsonl", "no JSON"), SpoolTrouble("chmod 700"), Lost(3, "full")
        names = {("quarantine", "the spool", "c"), ("spool", "the spool", "c"), ("lost", "the disk", "c")}
        assert set(await here.told(*facts)) == names
        await here.settled()
    lines = (tmp_path / "c.jsonl").read_text()
    assert "x.jsonl: no JSON" in lines
    assert "3 signals were lost" in lines


# --- of what -----------------------------------------------------------------------------------------------------------


async def test_a_long_wait_is_told_and_a_short_one_is_not(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert await here.told(Suspended("a", "429", 59.0)) == []
        assert await here.told(BANNED) == [("suspended", "a", "b")]
        await here.settled()
    assert "a is shut out for 1h" in (tmp_path / "b.jsonl").read_text()


async def test_a_breaker_that_stays_open_is_told_once(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"))
        assert await here.told() == [], "it has just begun"
        here.noticed.failing["a"] -= 2 * MINUTE
        assert await here.told() == [("breaker", "a", "b")]
        here.later(ONCE_IN)
        assert await here.told() == [], "it lasts"
        await here.settled()
    assert "a has been failing for 2m" in (tmp_path / "b.jsonl").read_text()


async def test_a_breaker_that_closes_in_time_is_not_told_and_its_next_time_counts_anew(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"))
        await here.told()
        here.noticed.failing["a"] -= 2 * MINUTE
        here.lane("a").breaker.succeeded()
        assert await here.told() == []
        fail(here.lane("a"))
        assert await here.told() == []


async def test_a_queue_that_grows_old_is_told(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        here.options(breaker=None)
        fail(here.lane("a"))
        await here.here.store("waits", to="a")
        here.here.clock.step(14 * MINUTE)
        assert await here.told() == []
        here.here.clock.step(2 * MINUTE)
        assert await here.told() == [("age", "a", "b")]
        await here.settled()
    assert "Signals have been waiting for a for 16m" in (tmp_path / "b.jsonl").read_text()


async def test_both_may_be_switched_off(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        here.options(breaker=None, age=None)
        fail(here.lane("a"))
        await here.here.store("waits", to="a")
        await here.told()
        here.noticed.failing["a"] -= 3600.0
        here.here.clock.step(3600.0)
        assert await here.told() == []


async def test_a_full_disk_is_told_out_of_the_reserve(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        dispatch = here.here.dispatch
        dispatch.config = msgspec.structs.replace(dispatch.config, daemon=DaemonOptions(reserve=2**62))
        dispatch.check_disk()
        assert dispatch.intake.closed
        assert await here.told() == [("disk", "the disk", "a")]
        await here.settled()
    assert "No signals are taken" in (tmp_path / "a.jsonl").read_text()


# --- how often ---------------------------------------------------------------------------------------------------------


async def test_the_same_is_told_once_in_a_while(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert len(await here.told(BANNED, BANNED, GONE)) == 2
        assert await here.told(BANNED, GONE) == []
        here.later(ONCE_IN)
        assert await here.told(BANNED) == [("suspended", "a", "b")]


async def test_an_alarm_that_waits_raises_no_alarm_and_what_waits_with_it_does(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b", breaker=RESTS), destination("c")) as here:
        fail(here.lane("b"))
        here.noticed.failing["b"] = here.here.clock.now()
        here.here.dispatch.config = msgspec.structs.replace(
            here.here.dispatch.config, destinations={name: destination(name) for name in "bac"}
        )
        assert await here.told(GONE) == [("disabled", "a", "b")]
        here.here.clock.step(3600.0)
        here.noticed.failing["b"] -= 3600.0
        assert await here.told() == []
        await here.here.store("somebody's", to="b")
        assert set(await here.told()) == {("breaker", "b", "a"), ("age", "b", "a")}


# --- after a kill ------------------------------------------------------------------------------------------------------


async def test_an_alarm_that_a_kill_prevented_is_raised_at_the_next_start_and_only_once(tmp_path: Path) -> None:
    options = destination("a")
    async with house(tmp_path) as before:
        memory = LaneMemory("a", about=options.fingerprint, disabled="404 from Discord")
        await before.dispatch.remember(memory, [])
    for expected in ([("disabled", "a", "b")], []):
        async with watch(tmp_path, options, destination("b")) as here:
            here.here.nursery.start_soon(here.alarms.run)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await here.settled()
            assert [(f.trouble, f.about, f.road) for f in here.here.facts if isinstance(f, Alarmed)] == expected
    assert (tmp_path / "b.jsonl").read_text().count("a is disabled") == 1
