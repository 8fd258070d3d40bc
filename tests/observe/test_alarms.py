"""Alarms about the daemon and its destinations: conditions, routes, throttling and all-clears."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.daemon.inprocess import PATIENCE, InProcess, destination, in_process

from tocsin.signals import Signal
from tocsind.config import AlarmsOptions, DaemonOptions, DestinationOptions, DiscordOptions
from tocsind.core.admission import Peer
from tocsind.delivery.lane import Lane
from tocsind.events import (
    AlarmRaised,
    AlarmUndeliverable,
    AllClear,
    DestinationNote,
    Disabled,
    Enabled,
    EngineFound,
    EngineMissing,
    EngineUnsafe,
    Event,
    FolderCopied,
    HostForgotten,
    HostFound,
    HostMissing,
    IntakeClosed,
    IntakeOpened,
    ItemQuarantined,
    LossesReported,
    LossReported,
    Quarantined,
    RateLimited,
    SignalRefused,
    SignalsLost,
    SpoolProblem,
    SpoolRecovered,
)
from tocsind.journal import Connection, LaneState
from tocsind.observe import alarm_texts
from tocsind.observe.alarm_routes import AlarmRoutes
from tocsind.observe.alarm_tracker import AlarmTracker
from tocsind.observe.alarms import Alarms
from tocsind.observe.metrics import Metrics
from tocsind.policy.alarm_throttle import MIN_INTERVAL
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.routes import Route
from tocsind.secret import Secret

MINUTE = 60.0


class Watch:
    """An in-process daemon whose alarms receive the events of the test, and are evaluated when the test says so."""

    def __init__(self, here: InProcess) -> None:
        self.here = here
        self.restart()

    def restart(self) -> None:
        """Start the alarms of a later run; the test calls `load`."""
        here = self.here
        self.tracker = AlarmTracker()
        self.alarms = Alarms(
            self.tracker,
            here.health_check(Metrics(here.clock)),
            here.journal,
            here.core.acceptor,
            here.lanes,
            config=here.core.config,
            clock=here.clock,
            emit=here.record,
        )
        here.observers.append(self.tracker)

    async def raised(self, *events: Event) -> list[tuple[str, str, str]]:
        """Emit events and evaluate; the alarms raised: condition, subject, route."""
        before = len(self.here.events)
        for event in events:
            self.here.record(event)
        await self.alarms.raise_due()
        return [
            (each.condition, each.about, each.route)
            for each in self.here.events[before:]
            if isinstance(each, AlarmRaised)
        ]

    async def cleared(self, *events: Event) -> list[tuple[str, str, str]]:
        """Emit events and evaluate; the all-clears sent."""
        before = len(self.here.events)
        await self.raised(*events)
        return [
            (each.condition, each.about, each.route) for each in self.here.events[before:] if isinstance(each, AllClear)
        ]

    async def missed(self) -> list[tuple[str, str, int, str]]:
        """Evaluate; the loss reports sent: destination, state, number of signals, route."""
        before = len(self.here.events)
        self.alarms._reports._next_query = 0.0
        await self.raised()
        found = [each for each in self.here.events[before:] if isinstance(each, LossReported)]
        return [(each.destination, each.state, each.signals, each.route) for each in found]

    async def reported(self) -> None:
        """Wait until every report is delivered."""
        for fact in self.here.events:
            if isinstance(fact, LossReported):
                assert await self.here.core.waiters.wait_settled(fact.id, PATIENCE) == "delivered"

    async def settled(self) -> None:
        """Wait until every alarm is delivered."""
        for fact in self.here.events:
            if isinstance(fact, AlarmRaised):
                assert await self.here.core.waiters.wait_settled(fact.id, PATIENCE) == "delivered"

    def undeliverable(self) -> list[str]:
        return [fact.about for fact in self.here.events if isinstance(fact, AlarmUndeliverable)]

    def later(self, seconds: float) -> None:
        """Move all alarms raised so far into the past."""
        throttle = self.alarms._throttle
        throttle._when = {about: at - seconds for about, at in throttle._when.items()}

    def lane(self, name: str) -> Lane:
        lane = self.here.lanes.get(name)
        assert lane is not None
        return lane

    def read_by_people(self, *names: str) -> None:
        """Give these destinations a kind that people read; the others stay files."""
        config = self.here.core.config.current
        kinds = dict.fromkeys(names, "chat")
        destinations = {
            name: msgspec.structs.replace(each, kind=kinds.get(name, each.kind))
            for name, each in config.destinations.items()
        }
        self.here.core.config.current = msgspec.structs.replace(config, destinations=destinations)

    def options(self, **options: float | None) -> None:
        config = self.here.core.config.current
        self.here.core.config.current = msgspec.structs.replace(config, alarms=AlarmsOptions(**options))


@asynccontextmanager
async def watch(folder: Path, *destinations: DestinationOptions) -> AsyncIterator[Watch]:
    async with in_process(folder) as here:
        await here.apply(*destinations)
        yield Watch(here)


def _also_sent(connection: Connection, id_: str) -> None:
    connection.execute(
        "INSERT INTO deliveries (signal, destination, priority, state, since)"
        " SELECT number, 'b', 0, 'sent', 0 FROM signals WHERE id = ?",
        (id_,),
    )


GONE = Disabled("a", "404 from Discord")
BANNED = RateLimited("a", "429 from Cloudflare", 3600.0)
RESTS = BreakerLimits(failures=1, rest=3600.0, most=3600.0)


def fail(lane: Lane, since: float = 0.0) -> None:
    """Open the breaker for an hour; the first failure was so many seconds ago."""
    lane.rerouting.outage.on_failure(lane.clock.now(), "503 from Discord")
    lane.rerouting.outage.since = lane.clock.now() - since
    assert lane.breaker.failed(lane.clock.now(), "503 from Discord")


def works(lane: Lane) -> None:
    """Record a response to a delivery: the breaker closes and the outage ends."""
    lane.rerouting.answered()
    assert lane.breaker.succeeded()


# --- routes ------------------------------------------------------------------------------------------------------------


async def test_alarm_goes_to_the_fallback_otherwise_to_any_other(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", fallback=("c",)), destination("b"), destination("c")) as here:
        assert await here.raised(GONE) == [("disabled", "a", "c")]
        assert await here.raised(Disabled("b", "404")) == [("disabled", "b", "a")]
        await here.settled()
    line = (tmp_path / "c.jsonl").read_text()
    assert "a: it is disabled" in line
    assert "tocsin enable a" in line


async def test_alarm_names_the_destination_that_takes_the_alerts(tmp_path: Path) -> None:
    discord = DiscordOptions(webhook=Secret("http://127.0.0.1:9/api/webhooks/1/c"))
    chat, off = DestinationOptions("c", "discord", discord), destination("x", disabled="DISCORD_WEBHOOK is not set")
    config = [destination("a", fallback=("x", "b")), destination("b"), destination("d", fallback=("c",)), chat, off]
    async with watch(tmp_path, *config, destination("e")) as here:
        routes = AlarmRoutes(here.here.core.config, here.here.lanes)
        assert [routes.fallback(name) for name in ("a", "d", "e", None)] == ["the file b", "c", None, None]
    gone = alarm_texts.disabled("a", "404")
    assert gone.text("ops").splitlines() == [
        "404. tocsin sends nothing there any more. Its alerts go to ops now.",
        "When it is mended, run: tocsin enable a",
    ]
    assert "No other destination takes its alerts: they wait." in gone.text(None)
    assert "Alerts that wait too long for it go to ops." in alarm_texts.failing("a", "503", 660).text("ops")


async def test_alarm_says_that_alerts_arrive_only_in_part(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert await here.raised(DestinationNote("a", "an old server")) == []
        assert await here.raised(DestinationNote("a", "b@example.com is refused", is_problem=True)) == [
            ("note", "a", "a")
        ]
        await here.settled()
    line = json.loads((tmp_path / "a.jsonl").read_text())
    assert line["title"] == "Alerts of a arrive only in part"
    assert line["body"].startswith("b@example.com is refused.\n")


async def test_alarm_does_not_go_to_a_disabled_destination(tmp_path: Path) -> None:
    lost = destination("b", disabled="DISCORD_WEBHOOK is not set")
    async with watch(tmp_path, destination("a", fallback=("b", "c")), lost, destination("c")) as here:
        assert await here.raised(GONE) == [("disabled", "a", "c")]


async def test_undeliverable_alarm_is_reported_once_and_waits_for_a_route(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.raised(GONE) == []
        assert await here.raised() == []
        assert here.undeliverable() == ["a"]
        await here.here.apply(destination("a"), destination("b"))
        assert await here.raised() == [("disabled", "a", "b")]


async def test_alarm_is_dropped_when_its_condition_ends_before_a_route_works(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.raised(GONE, IntakeClosed("full")) == [("disk", "the disk", "a")]
        here.later(MIN_INTERVAL)
        assert await here.raised(Enabled("a"), IntakeClosed("full"), IntakeOpened()) == []
        await here.here.apply(destination("a"), destination("b"))
        assert await here.raised() == []


async def test_alarm_about_no_destination_follows_the_routes(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b"), destination("c", fallback=("b",))) as here:
        routes = (Route(("c",), {"source": ("tocsin",)}),)
        here.here.core.config.current = msgspec.structs.replace(here.here.core.config.current, routes=routes)
        facts = Quarantined("x.jsonl", "no JSON"), SpoolProblem("chmod 700"), SignalsLost(3, "full")
        names = {("quarantine", "the spool", "c"), ("spool", "the spool", "c"), ("lost", "the disk", "c")}
        assert set(await here.raised(*facts)) == names
        await here.settled()
    lines = (tmp_path / "c.jsonl").read_text()
    assert "x.jsonl: no JSON" in lines
    assert "3 signals were lost" in lines


async def test_alarm_goes_to_another_service_before_another_channel_and_to_a_file_last(tmp_path: Path) -> None:
    def channel(name: str, **options: Any) -> DestinationOptions:
        webhook = Secret(f"http://127.0.0.1:9/api/webhooks/1/{name}")
        return DestinationOptions(name, "discord", DiscordOptions(webhook=webhook), **options)

    chat = msgspec.structs.replace(channel("chat"), kind="chat")
    config = [channel("a", fallback=("f", "b")), destination("f"), channel("b"), chat]
    async with in_process(tmp_path) as here:
        here.core.config.current = msgspec.structs.replace(
            here.core.config.current, destinations={each.name: each for each in config}
        )
        routes_ = AlarmRoutes(here.core.config, here.lanes)
        assert routes_.all("a") == ("chat", "b", "f")
        here.core.config.current = msgspec.structs.replace(
            here.core.config.current, routes=(Route(("f",), {"source": ("tocsin",)}),)
        )
        assert routes_.all("a") == ("f", "chat", "b"), "an explicit route for the daemon's own signals comes first"


async def test_alarm_does_not_go_to_a_failing_destination(tmp_path: Path) -> None:
    failing = destination("b", breaker=RESTS)
    async with watch(tmp_path, destination("a", fallback=("b", "c")), failing, destination("c")) as here:
        fail(here.lane("b"))
        assert await here.raised(GONE) == [("disabled", "a", "c")]


# --- all-clears --------------------------------------------------------------------------------------------------------


async def test_all_clear_has_duration_and_comes_once_the_destination_delivers(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=3 * MINUTE)
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 0.2, "a moment")
        (waits,) = await here.here.accept("waits", to="a")
        assert await here.raised() == [("breaker", "a", "b")]
        assert await here.cleared() == [], "it lasts"
        works(here.lane("a"))
        assert await here.here.core.waiters.wait_settled(waits, PATIENCE) == "delivered"  # until then the block counts
        assert await here.cleared() == [("breaker", "a", "b")]
        assert await here.cleared() == []
        await here.settled()
    text = (tmp_path / "b.jsonl").read_text()
    assert "Alerts reach a again: it is no longer failing" in text
    assert "It lasted 3m" in text


async def test_all_clear_of_an_alarm_in_a_file_goes_to_people(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("f")) as here:
        here.read_by_people("a")
        fail(here.lane("a"), since=3 * MINUTE)
        assert await here.raised() == [("breaker", "a", "f")]
        works(here.lane("a"))
        assert await here.cleared() == [("breaker", "a", "a")]
        assert await here.raised() == [], "the condition is over"
        await here.settled()


async def test_alarm_in_a_file_is_repeated_once_to_people(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b"), destination("f")) as here:
        here.read_by_people("a", "b")
        fail(here.lane("a"))
        damage = Quarantined("x.jsonl", "no JSON")
        here.lane("b").disabled = "404 from Discord"
        assert await here.raised(Disabled("b", "404 from Discord"), damage) == [
            ("disabled", "b", "f"),
            ("quarantine", "the spool", "f"),
        ]
        assert await here.raised() == []
        works(here.lane("a"))
        assert await here.raised() == [("disabled", "b", "a"), ("quarantine", "the spool", "a")]
        assert await here.raised() == []
        await here.settled()
    assert (tmp_path / "a.jsonl").read_text().count("b: it is disabled") == 1


async def test_alarm_in_a_file_is_repeated_to_people_after_a_restart(tmp_path: Path) -> None:
    async with watch(
        tmp_path, destination("a", breaker=RESTS), destination("b", breaker=RESTS), destination("f")
    ) as here:
        here.read_by_people("a", "b")
        fail(here.lane("a"), since=3 * MINUTE)
        fail(here.lane("b"), since=3 * MINUTE)
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        expected = [("limited", "a", "f"), ("breaker", "a", "f"), ("breaker", "b", "f")]
        assert await here.raised(BANNED, SpoolProblem("chmod 700")) == [
            expected[0],
            ("spool", "the spool", "f"),
            *expected[1:],
        ]
        here.restart()
        await here.alarms.load()
        assert await here.raised(SpoolProblem("chmod 700")) == []
        works(here.lane("b"))
        assert sorted(await here.raised()) == [
            ("breaker", "a", "b"),
            ("limited", "a", "b"),
            ("spool", "the spool", "b"),
        ]
        assert await here.raised() == []
        here.restart()
        await here.alarms.load()
        assert await here.raised() == [], "people have read it"
        await here.settled()


async def test_all_clear_follows_when_disk_and_spool_recover(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        core = here.here.core
        core.config.current = msgspec.structs.replace(core.config.current, daemon=DaemonOptions(reserve=2**62))
        core.disk_guard.check()
        assert await here.raised(SpoolProblem("chmod 700")) == [("disk", "the disk", "a"), ("spool", "the spool", "a")]
        assert await here.cleared() == []
        core.config.current = msgspec.structs.replace(core.config.current, daemon=DaemonOptions(reserve=0))
        core.disk_guard.check()
        assert await here.cleared(SpoolRecovered()) == [("disk", "the disk", "a"), ("spool", "the spool", "a")]


async def test_all_clear_follows_when_the_engine_or_a_host_is_there_again(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        missing = EngineMissing(
            "redis://e:1", "full", "is full", "used memory > 'maxmemory'.", "what it accepts waits", 60.0
        )
        assert await here.raised(missing, HostMissing("vm-2", 61.0, 1, 3)) == [
            ("engine", "redis://e:1", "a"),
            ("host", "vm-2", "a"),
        ]
        assert await here.cleared(HostFound("vm-3")) == []
        assert await here.cleared(EngineFound("redis://e:1")) == [("engine", "redis://e:1", "a")]
        assert await here.cleared(HostFound("vm-2")) == [("host", "vm-2", "a")]
        told = alarm_texts.engine_missing(missing)
        assert told.title == "The engine redis://e:1 is full, for 1m now"
        assert told.body == "Used memory > 'maxmemory'. Until it can be used again, what it accepts waits."
    assert "1 alert waits in its journal alone" in alarm_texts.host_missing(HostMissing("vm-2", 61.0, 1, 3)).body


async def test_all_clear_for_a_missing_engine_of_an_earlier_run_waits_until_it_is_known(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        await here.raised(EngineMissing("redis://e:1", "silent", "does not answer", "", "it waits", 60.0))
        here.restart()
        await here.alarms.load()
        assert await here.cleared() == []
        assert await here.cleared(EngineFound("redis://e:1")) == [("engine", "redis://e:1", "a")]


async def test_no_all_clear_for_a_host_that_is_not_looked_for_any_more(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        await here.raised(HostMissing("vm-2", 61.0, 0, 0))
        assert await here.cleared(HostForgotten("vm-2")) == []
        assert await here.cleared(HostFound("vm-2")) == []


async def test_copied_state_folder_is_reported_once_and_has_no_all_clear(tmp_path: Path) -> None:
    copied = FolderCopied("vm-1", "vm-2", "another daemon runs with the same one", 1)
    async with watch(tmp_path, destination("a")) as here:
        assert await here.raised(copied) == [("copied", "vm-2", "a")]
        assert await here.raised(copied) == []
    told = alarm_texts.folder_copied(copied)
    assert told.title == "The state folder of vm-1 was copied"
    assert "So this one is vm-2 from now on.\n1 alert that waited here may come twice" in told.body


async def test_settings_of_the_engine_are_told_by_one_host_once(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.raised(EngineUnsafe("redis://e:1", "no append-only file")) == []
        told = EngineUnsafe("redis://e:1", "no append-only file", reports=True)
        assert await here.raised(told) == [("engine-settings", "redis://e:1", "a")]
        here.later(MIN_INTERVAL)
        assert await here.raised(told) == []


async def test_entries_that_are_no_alerts_accumulate_until_the_next_alarm(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        entry = ItemQuarantined("a", "evil/1/d", "it names no state")
        assert await here.raised(entry) == [("item", "the engine", "a")]
        assert await here.raised(entry, entry) == []
        here.later(MIN_INTERVAL)
        assert await here.raised() == [("item", "the engine", "a")]
        assert alarm_texts.item_put_aside(entry, 2).title.startswith("2 entries")


async def test_all_clear_follows_the_end_of_block_old_queue_and_disablement(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        await here.here.accept("waits", to="a")
        here.here.clock.step(16 * MINUTE)
        assert set(await here.raised(BANNED)) == {("limited", "a", "b"), ("age", "a", "b")}
        assert await here.cleared() == []
        await here.lane("a").enable()
        (id_,) = await here.here.accept("behind what waited", to="a", priority="low")
        assert await here.here.core.waiters.wait_settled(id_, PATIENCE) == "delivered"
        assert {each[0] for each in await here.cleared()} == {"limited", "age"}
        here.lane("a").disable("404")
        assert await here.raised(GONE) == [("disabled", "a", "b")]
        assert await here.cleared() == []
        await here.lane("a").enable()
        assert await here.cleared() == [("disabled", "a", "b")]


async def test_no_all_clear_when_a_failing_destination_is_disabled(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=3 * MINUTE)
        assert await here.raised() == [("breaker", "a", "b")]
        here.lane("a").disable("404 from Discord")
        assert await here.cleared() == []
        assert ("breaker", "a") not in here.alarms._open


async def test_all_clear_of_an_earlier_run_is_sent_once(tmp_path: Path) -> None:
    options = destination("a", breaker=RESTS)
    async with watch(tmp_path, options, destination("b")) as here:
        fail(here.lane("a"), since=3 * MINUTE)
        assert await here.raised() == [("breaker", "a", "b")]
        await here.lane("a").save()
        await here.settled()
        wall = here.here.clock.wall()
    async with watch(tmp_path, options, destination("b")) as here:
        here.here.clock.step(wall - here.here.clock.wall() + 3600.0)
        await here.alarms.load()
        assert await here.raised() == [], "it lasts, and its alarm was raised before"
        works(here.lane("a"))
        assert await here.cleared() == [("breaker", "a", "b")]
    async with watch(tmp_path, options, destination("b")) as here:
        await here.alarms.load()
        assert await here.cleared() == []


# --- loss reports -----------------------------------------------------------------------------------------------------


async def test_expired_signals_are_reported_to_their_destination_once_it_works(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"))
        ids = await here.here.accept("BUY", "SELL", to="a", priority="urgent", expires=60)
        here.here.clock.step(61.0)
        await here.here.core.store.expire()
        here.here.clock.step(6.0)
        assert await here.missed() == [], "its destination fails"
        works(here.lane("a"))
        assert await here.missed() == [("a", "expired", 2, "a")]
        assert await here.missed() == []
        await here.reported()
    (line,) = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert (line["title"], line["priority"]) == ("2 signals missed by a: expired", "high")
    assert all(id_ in line["body"] for id_ in ids)
    assert "urgent BUY" in line["body"]


async def test_expired_signals_are_reported_elsewhere_after_ten_minutes(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"))
        await here.here.accept("BUY", to="a", expires=60)
        here.here.clock.step(61.0)
        await here.here.core.store.expire()
        here.here.clock.step(MIN_INTERVAL)
        assert await here.missed() == [("a", "expired", 1, "b")]


async def test_signals_that_expired_while_the_daemon_was_down_are_reported(tmp_path: Path) -> None:
    options = destination("a", breaker=RESTS)
    async with watch(tmp_path, options) as here:
        fail(here.lane("a"))
        await here.here.accept("BUY", to="a", expires=60)
        await here.lane("a").save()
    async with watch(tmp_path, options) as here:
        here.here.clock.step(61.0)
        await here.here.core.store.expire()
        here.here.clock.step(6.0)
        works(here.lane("a"))
        assert await here.missed() == [("a", "expired", 1, "a")]


async def test_dead_and_dropped_signals_are_reported_unless_a_fallback_delivered_them(
    tmp_path: Path,
) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        dropped, dead, delivered = await here.here.accept(
            "dropped", "dead", "delivered by b", to="a", priority="urgent"
        )
        await here.here.core.operator.drop(dropped)
        await here.here.make_dead(dead, delivered)
        await here.here.journal.run(_also_sent, delivered)
        here.here.clock.step(6.0)
        assert await here.missed() == [("a", "dead", 1, "b")]
        here.lane("a").limiter.unblock()
        here.lane("a").rerouting.answered()
        assert await here.missed() == [("a", "dropped", 1, "a")]
        await here.reported()
    assert "delivered by b" not in (tmp_path / "b.jsonl").read_text()


async def test_loss_reports_are_throttled_and_accumulate(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        for number, expected in enumerate(([("a", "dead", 1, "b")], [])):
            await here.here.make_dead(*await here.here.accept(f"first {number}", to="a"))
            here.here.clock.step(6.0)
            assert await here.missed() == expected
        await here.here.make_dead(*await here.here.accept("third", to="a"))
        here.later(MIN_INTERVAL)
        here.here.clock.step(6.0)
        assert await here.missed() == [("a", "dead", 2, "b")]


async def test_loss_reports_omit_signals_of_the_daemon(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        alarm = Signal("an alarm", to="a", source="tocsin")
        await here.here.core.acceptor.accept([alarm], Peer(0, 0, 0), from_daemon=True)
        await here.here.make_dead(alarm.id)
        theirs = await here.here.accept("not an alarm", to="a", source="x", fields={"source": "tocsin"})
        await here.here.make_dead(*theirs)
        here.here.clock.step(6.0)
        assert await here.missed() == [("a", "dead", 1, "b")]


async def test_loss_reports_omit_requeued_signals(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        (id_,) = await here.here.accept("dead", to="a")
        await here.here.make_dead(id_)
        assert await here.here.core.operator.retry(id_) == 1
        here.here.clock.step(6.0)
        assert await here.missed() == []


async def test_loss_reports_include_unrouted_signals(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        await here.here.accept("nowhere")
        here.here.clock.step(6.0)
        assert await here.missed() == [("unrouted", "dead", 1, "a")]


async def test_refused_signals_accumulate_until_the_next_alarm(tmp_path: Path) -> None:
    refused = SignalRefused("to", "there is no destination 'x'", 1000, 4711)
    async with watch(tmp_path, destination("a")) as here:
        assert await here.raised(refused) == [("refused", "senders", "a")]
        assert await here.raised(refused, refused) == []
        here.later(MIN_INTERVAL)
        assert await here.raised() == [("refused", "senders", "a")]
        await here.settled()
    lines = (tmp_path / "a.jsonl").read_text()
    assert "1 signal was refused" in lines
    assert "2 signals were refused" in lines


async def test_losses_that_clients_report_raise_alarms(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        raised = await here.raised(LossesReported(2, 3, 1000, 4711))
        assert sorted(raised) == [("dropped", "senders", "a"), ("refused", "senders", "a")]
        await here.settled()
    lines = (tmp_path / "a.jsonl").read_text()
    assert "2 signals were refused" in lines
    assert "3 signals were dropped" in lines


# --- conditions --------------------------------------------------------------------------------------------------------


async def test_long_block_raises_an_alarm_and_a_short_one_does_not(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert await here.raised(RateLimited("a", "429", 59.0)) == []
        assert await here.raised(BANNED) == [("limited", "a", "b")]
        await here.settled()
    assert "No alerts reach a: shut out for 1h" in (tmp_path / "b.jsonl").read_text()


@pytest.mark.parametrize(("seconds", "shown"), [(3600, "1h"), (3541.2, "1h"), (3540, "59m"), (60.4, "2m"), (60, "1m")])
def test_alarm_of_a_block_shows_whole_minutes(seconds: float, shown: str) -> None:
    assert alarm_texts.limited("a", "429", seconds).title == f"No alerts reach a: shut out for {shown}"


async def test_open_breaker_raises_one_alarm(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=MINUTE)
        assert await here.raised() == [], "it is too young"
        here.lane("a").rerouting.outage.since -= MINUTE  # type: ignore[operator]
        assert await here.raised() == [("breaker", "a", "b")]
        here.later(MIN_INTERVAL)
        assert await here.raised() == [], "it lasts"
        await here.settled()
    assert "No alerts reach a: failing for 2m" in (tmp_path / "b.jsonl").read_text()


async def test_breaker_that_closes_in_time_raises_no_alarm(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=2 * MINUTE)
        works(here.lane("a"))
        assert await here.raised() == []
        fail(here.lane("a"))
        assert await here.raised() == []


async def test_old_queue_raises_an_alarm(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        here.options(breaker=None)
        fail(here.lane("a"))
        await here.here.accept("waits", to="a")
        here.here.clock.step(14 * MINUTE)
        assert await here.raised() == []
        here.here.clock.step(2 * MINUTE)
        assert await here.raised() == [("age", "a", "b")]
        await here.settled()
    assert "Alerts have been waiting for a for 16m" in (tmp_path / "b.jsonl").read_text()


async def test_old_queue_raises_an_alarm_again_after_its_all_clear(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"))
        await here.here.accept("waits", to="a")
        here.here.clock.step(16 * MINUTE)
        here.options(breaker=None)
        assert await here.raised() == [("age", "a", "b")]
        here.options(breaker=None, age=3600.0)
        assert await here.cleared() == [("age", "a", "b")], "it is not too old any more, and waits still"
        here.options(breaker=None)
        here.later(MIN_INTERVAL)
        assert await here.raised() == [("age", "a", "b")]


async def test_alarms_of_breaker_and_age_can_be_switched_off(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        here.options(breaker=None, age=None)
        fail(here.lane("a"), since=3600.0)
        await here.here.accept("waits", to="a")
        await here.raised()
        here.here.clock.step(3600.0)
        assert await here.raised() == []


async def test_alarm_of_a_full_disk_uses_the_reserve(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        core = here.here.core
        core.config.current = msgspec.structs.replace(core.config.current, daemon=DaemonOptions(reserve=2**62))
        core.disk_guard.check()
        assert core.disk_guard.closed
        assert await here.raised() == [("disk", "the disk", "a")]
        await here.settled()
    assert "No signals are taken" in (tmp_path / "a.jsonl").read_text()


# --- throttling --------------------------------------------------------------------------------------------------------


async def test_alarms_of_one_name_are_throttled(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert len(await here.raised(BANNED, BANNED, GONE)) == 2
        assert await here.raised(BANNED, GONE) == []
        here.later(MIN_INTERVAL)
        assert await here.raised(BANNED) == [("limited", "a", "b")]


async def test_queue_of_alarms_raises_no_alarm_until_another_signal_waits(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b", breaker=RESTS), destination("c")) as here:
        here.here.core.config.current = msgspec.structs.replace(
            here.here.core.config.current, destinations={name: destination(name) for name in "bac"}
        )
        held = here.lane("b").limiter.endpoint
        held.block(here.here.clock.now() + 3.0, "a moment")
        assert await here.raised(GONE) == [("disabled", "a", "b")]
        held.block(here.here.clock.now() + 7200.0, "a long time")
        fail(here.lane("b"), since=3600.0)
        here.here.clock.step(3600.0)
        assert await here.raised() == []
        await here.here.accept("not an alarm", to="b")
        assert set(await here.raised()) == {("breaker", "b", "a"), ("age", "b", "a")}


# --- after a kill ------------------------------------------------------------------------------------------------------


async def test_alarm_that_a_kill_prevented_is_raised_once_at_the_next_start(tmp_path: Path) -> None:
    options = destination("a")
    async with in_process(tmp_path) as before:
        memory = LaneState("a", about=options.fingerprint, disabled="404 from Discord")
        await before.core.store.save(memory, [])
    for expected in ([("disabled", "a", "b")], []):
        async with watch(tmp_path, options, destination("b")) as here:
            here.here.nursery.start_soon(here.alarms.run)
            with trio.fail_after(PATIENCE):
                while here.alarms._reports._next_query < 0:  # the first round ends with the loss reports
                    await trio.testing.wait_all_tasks_blocked(0.001)
            await here.settled()
            assert [(f.condition, f.about, f.route) for f in here.here.events if isinstance(f, AlarmRaised)] == expected
    assert (tmp_path / "b.jsonl").read_text().count("a: it is disabled") == 1
