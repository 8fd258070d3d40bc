"""Alarms about ourselves: of what, to whom, how often, and that they end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
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
    Disabled,
    Enabled,
    Event,
    IntakeClosed,
    IntakeOpened,
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
    """A house whose alarms hear what a test says, and look when it says so."""

    def __init__(self, here: InProcess) -> None:
        self.here = here
        self.restart()

    def restart(self) -> None:
        """The alarms of a later run; `load` is left to the test."""
        here = self.here
        self.noticed = AlarmTracker()
        self.alarms = Alarms(
            self.noticed,
            here.health_check(Metrics(here.clock)),
            here.journal,
            here.core.acceptor,
            here.lanes,
            config=here.core.config,
            clock=here.clock,
            emit=here.record,
        )
        here.observers.append(self.noticed)

    async def told(self, *facts: Event) -> list[tuple[str, str, str]]:
        """The alarms that follow from facts, and from what lasts: trouble, about whom, told where."""
        before = len(self.here.events)
        for fact in facts:
            self.here.record(fact)
        await self.alarms.raise_due()
        return [
            (each.condition, each.about, each.route)
            for each in self.here.events[before:]
            if isinstance(each, AlarmRaised)
        ]

    async def cleared(self, *facts: Event) -> list[tuple[str, str, str]]:
        """The all-clears that follow."""
        before = len(self.here.events)
        await self.told(*facts)
        return [
            (each.condition, each.about, each.route) for each in self.here.events[before:] if isinstance(each, AllClear)
        ]

    async def missed(self) -> list[tuple[str, str, int, str]]:
        """The reports that follow: missed where, how it ended, how many, told where."""
        before = len(self.here.events)
        self.alarms._reports._next_query = 0.0
        await self.told()
        found = [each for each in self.here.events[before:] if isinstance(each, LossReported)]
        return [(each.destination, each.state, each.signals, each.route) for each in found]

    async def reported(self) -> None:
        """Until every report has been delivered."""
        for fact in self.here.events:
            if isinstance(fact, LossReported):
                assert await self.here.core.waiters.wait_settled(fact.id, PATIENCE) == "delivered"

    async def settled(self) -> None:
        """Until every alarm has been delivered."""
        for fact in self.here.events:
            if isinstance(fact, AlarmRaised):
                assert await self.here.core.waiters.wait_settled(fact.id, PATIENCE) == "delivered"

    def unheard(self) -> list[str]:
        return [fact.about for fact in self.here.events if isinstance(fact, AlarmUndeliverable)]

    def later(self, seconds: float) -> None:
        """So long ago was all that was told."""
        told = self.alarms._throttle
        told._when = {about: at - seconds for about, at in told._when.items()}

    def lane(self, name: str) -> Lane:
        lane = self.here.lanes.get(name)
        assert lane is not None
        return lane

    def read_by_people(self, *names: str) -> None:
        """These are of a kind that a person reads; the others stay files."""
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
    """Its breaker opens, for an hour; its first failure was so many seconds ago."""
    lane.rerouting.outage.on_failure(lane.clock.now(), "503 from Discord")
    lane.rerouting.outage.since = lane.clock.now() - since
    assert lane.breaker.failed(lane.clock.now(), "503 from Discord")


def works(lane: Lane) -> None:
    """A delivery is answered."""
    lane.rerouting.answered()
    assert lane.breaker.succeeded()


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
        await here.here.apply(destination("a"), destination("b"))
        assert await here.told() == [("disabled", "a", "b")]


async def test_what_is_over_before_anybody_could_be_told_is_not_told(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        assert await here.told(GONE, IntakeClosed("full")) == [("disk", "the disk", "a")]
        here.later(MIN_INTERVAL)
        assert await here.told(Enabled("a"), IntakeClosed("full"), IntakeOpened()) == []
        await here.here.apply(destination("a"), destination("b"))
        assert await here.told() == []


async def test_what_concerns_no_destination_goes_where_the_routes_lead(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b"), destination("c", fallback=("b",))) as here:
        routes = (Route(("c",), {"source": ("tocsin",)}),)
        here.here.core.config.current = msgspec.structs.replace(here.here.core.config.current, routes=routes)
        facts = Quarantined("x.jsonl", "no JSON"), SpoolProblem("chmod 700"), SignalsLost(3, "full")
        names = {("quarantine", "the spool", "c"), ("spool", "the spool", "c"), ("lost", "the disk", "c")}
        assert set(await here.told(*facts)) == names
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
        roads = AlarmRoutes(here.core.config, here.lanes)
        assert roads.all("a") == ("chat", "b", "f")
        here.core.config.current = msgspec.structs.replace(
            here.core.config.current, routes=(Route(("f",), {"source": ("tocsin",)}),)
        )
        assert roads.all("a") == ("f", "chat", "b"), "what a route says of our own signals is obeyed"


async def test_alarm_takes_no_road_that_fails_itself(tmp_path: Path) -> None:
    failing = destination("b", breaker=RESTS)
    async with watch(tmp_path, destination("a", fallback=("b", "c")), failing, destination("c")) as here:
        fail(here.lane("b"))
        assert await here.told(GONE) == [("disabled", "a", "c")]


# --- what ends ---------------------------------------------------------------------------------------------------------


async def test_all_clear_follows_an_alarm_with_its_duration_and_what_waits(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=3 * MINUTE)
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 0.2, "a moment")
        await here.here.accept("waits", to="a")
        assert await here.told() == [("breaker", "a", "b")]
        assert await here.cleared() == [], "it lasts"
        works(here.lane("a"))
        await trio.sleep(0.25)
        assert await here.cleared() == [("breaker", "a", "b")]
        assert await here.cleared() == []
        await here.settled()
    told = (tmp_path / "b.jsonl").read_text()
    assert "a is no longer failing" in told
    assert "It lasted 3m" in told


async def test_all_clear_of_an_alarm_that_only_a_file_took_goes_to_people_again(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("f")) as here:
        here.read_by_people("a")
        fail(here.lane("a"), since=3 * MINUTE)
        assert await here.told() == [("breaker", "a", "f")]
        works(here.lane("a"))
        assert await here.cleared() == [("breaker", "a", "a")]
        assert await here.told() == [], "what is over is not told once more"
        await here.settled()


async def test_alarm_that_only_a_file_took_is_told_to_people_once_something_they_read_works(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b"), destination("f")) as here:
        here.read_by_people("a", "b")
        fail(here.lane("a"))
        damage = Quarantined("x.jsonl", "no JSON")
        here.lane("b").disabled = "404 from Discord"
        assert await here.told(Disabled("b", "404 from Discord"), damage) == [
            ("disabled", "b", "f"),
            ("quarantine", "the spool", "f"),
        ]
        assert await here.told() == []
        works(here.lane("a"))
        assert await here.told() == [("disabled", "b", "a"), ("quarantine", "the spool", "a")]
        assert await here.told() == []
        await here.settled()
    assert (tmp_path / "a.jsonl").read_text().count("b is disabled") == 1


async def test_alarm_that_only_a_file_took_before_a_restart_is_repeated_to_people(tmp_path: Path) -> None:
    async with watch(
        tmp_path, destination("a", breaker=RESTS), destination("b", breaker=RESTS), destination("f")
    ) as here:
        here.read_by_people("a", "b")
        fail(here.lane("a"), since=3 * MINUTE)
        fail(here.lane("b"), since=3 * MINUTE)
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        told = [("limited", "a", "f"), ("breaker", "a", "f"), ("breaker", "b", "f")]
        assert await here.told(BANNED, SpoolProblem("chmod 700")) == [
            told[0],
            ("spool", "the spool", "f"),
            *told[1:],
        ]
        here.restart()
        await here.alarms.load()
        assert await here.told(SpoolProblem("chmod 700")) == []
        works(here.lane("b"))
        assert sorted(await here.told()) == [
            ("breaker", "a", "b"),
            ("limited", "a", "b"),
            ("spool", "the spool", "b"),
        ]
        assert await here.told() == []
        here.restart()
        await here.alarms.load()
        assert await here.told() == [], "people have read it"
        await here.settled()


async def test_all_clear_follows_when_the_disk_has_room_and_when_the_spool_is_taken_in(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        core = here.here.core
        core.config.current = msgspec.structs.replace(core.config.current, daemon=DaemonOptions(reserve=2**62))
        core.disk_guard.check()
        assert await here.told(SpoolProblem("chmod 700")) == [("disk", "the disk", "a"), ("spool", "the spool", "a")]
        assert await here.cleared() == []
        core.config.current = msgspec.structs.replace(core.config.current, daemon=DaemonOptions(reserve=0))
        core.disk_guard.check()
        assert await here.cleared(SpoolRecovered()) == [("disk", "the disk", "a"), ("spool", "the spool", "a")]


async def test_all_clear_follows_when_a_block_ends_a_destination_is_enabled_and_a_queue_moves(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        await here.here.accept("waits", to="a")
        here.here.clock.step(16 * MINUTE)
        assert set(await here.told(BANNED)) == {("limited", "a", "b"), ("age", "a", "b")}
        assert await here.cleared() == []
        await here.lane("a").enable()
        (id_,) = await here.here.accept("behind what waited", to="a", priority="low")
        assert await here.here.core.waiters.wait_settled(id_, PATIENCE) == "delivered"
        assert {each[0] for each in await here.cleared()} == {"limited", "age"}
        here.lane("a").disable("404")
        assert await here.told(GONE) == [("disabled", "a", "b")]
        assert await here.cleared() == []
        await here.lane("a").enable()
        assert await here.cleared() == [("disabled", "a", "b")]


async def test_no_all_clear_for_what_a_person_switched_off_or_what_became_worse(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=3 * MINUTE)
        assert await here.told() == [("breaker", "a", "b")]
        here.lane("a").disable("404 from Discord")
        assert await here.cleared() == []
        assert ("breaker", "a") not in here.alarms._open


async def test_all_clear_of_an_alarm_of_an_earlier_run_is_told_once(tmp_path: Path) -> None:
    options = destination("a", breaker=RESTS)
    async with watch(tmp_path, options, destination("b")) as here:
        fail(here.lane("a"), since=3 * MINUTE)
        assert await here.told() == [("breaker", "a", "b")]
        await here.lane("a").save()
        await here.settled()
        wall = here.here.clock.wall()
    async with watch(tmp_path, options, destination("b")) as here:
        here.here.clock.step(wall - here.here.clock.wall() + 3600.0)
        await here.alarms.load()
        assert await here.told() == [], "it lasts, and was told"
        works(here.lane("a"))
        assert await here.cleared() == [("breaker", "a", "b")]
    async with watch(tmp_path, options, destination("b")) as here:
        await here.alarms.load()
        assert await here.cleared() == []


# --- signals that nobody saw --------------------------------------------------------------------------------------------


async def test_what_expired_is_reported_where_it_was_missed_once_that_works(tmp_path: Path) -> None:
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


async def test_what_expired_is_told_by_another_road_when_its_own_stays_away(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"))
        await here.here.accept("BUY", to="a", expires=60)
        here.here.clock.step(61.0)
        await here.here.core.store.expire()
        here.here.clock.step(MIN_INTERVAL)
        assert await here.missed() == [("a", "expired", 1, "b")]


async def test_what_expired_while_nobody_ran_is_reported(tmp_path: Path) -> None:
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


async def test_dead_and_dropped_signals_are_reported_and_those_that_a_fallback_delivered_are_not(
    tmp_path: Path,
) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        dropped, dead, told = await here.here.accept("dropped", "dead", "told elsewhere", to="a", priority="urgent")
        await here.here.core.operator.drop(dropped)
        await here.here.make_dead(dead, told)
        await here.here.journal.run(_also_sent, told)
        here.here.clock.step(6.0)
        assert await here.missed() == [("a", "dead", 1, "b")]
        here.lane("a").limiter.unblock()
        here.lane("a").rerouting.answered()
        assert await here.missed() == [("a", "dropped", 1, "a")]
        await here.reported()
    assert "told elsewhere" not in (tmp_path / "b.jsonl").read_text()


async def test_reports_come_once_in_a_while_and_tell_of_all_until_then(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        for number, expected in enumerate(([("a", "dead", 1, "b")], [])):
            await here.here.make_dead(*await here.here.accept(f"first {number}", to="a"))
            here.here.clock.step(6.0)
            assert await here.missed() == expected
        await here.here.make_dead(*await here.here.accept("third", to="a"))
        here.later(MIN_INTERVAL)
        here.here.clock.step(6.0)
        assert await here.missed() == [("a", "dead", 2, "b")]


async def test_reports_of_our_own_signals_are_not_made(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        alarm = Signal("an alarm", to="a", source="tocsin")
        await here.here.core.acceptor.accept([alarm], Peer(0, 0, 0), from_daemon=True)
        await here.here.make_dead(alarm.id)
        theirs = await here.here.accept("not an alarm", to="a", source="x", fields={"source": "tocsin"})
        await here.here.make_dead(*theirs)
        here.here.clock.step(6.0)
        assert await here.missed() == [("a", "dead", 1, "b")]


async def test_what_is_put_back_in_time_is_not_reported(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        here.lane("a").limiter.endpoint.block(here.here.clock.now() + 3600.0, "banned")
        (id_,) = await here.here.accept("dead", to="a")
        await here.here.make_dead(id_)
        assert await here.here.core.operator.retry(id_) == 1
        here.here.clock.step(6.0)
        assert await here.missed() == []


async def test_signal_that_no_route_takes_is_reported(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        await here.here.accept("nowhere")
        here.here.clock.step(6.0)
        assert await here.missed() == [("unrouted", "dead", 1, "a")]


async def test_refused_signals_are_counted_until_they_may_be_told(tmp_path: Path) -> None:
    refused = SignalRefused("to", "there is no destination 'x'", 1000, 4711)
    async with watch(tmp_path, destination("a")) as here:
        assert await here.told(refused) == [("refused", "senders", "a")]
        assert await here.told(refused, refused) == []
        here.later(MIN_INTERVAL)
        assert await here.told() == [("refused", "senders", "a")]
        await here.settled()
    lines = (tmp_path / "a.jsonl").read_text()
    assert "1 signal was refused" in lines
    assert "2 signals were refused" in lines


async def test_losses_that_programs_report_are_told(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        told = await here.told(LossesReported(2, 3, 1000, 4711))
        assert sorted(told) == [("dropped", "senders", "a"), ("refused", "senders", "a")]
        await here.settled()
    lines = (tmp_path / "a.jsonl").read_text()
    assert "2 signals were refused" in lines
    assert "3 signals were dropped" in lines


# --- of what -----------------------------------------------------------------------------------------------------------


async def test_a_long_wait_is_told_and_a_short_one_is_not(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert await here.told(RateLimited("a", "429", 59.0)) == []
        assert await here.told(BANNED) == [("limited", "a", "b")]
        await here.settled()
    assert "a is shut out for 1h" in (tmp_path / "b.jsonl").read_text()


async def test_a_breaker_that_stays_open_is_told_once(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=MINUTE)
        assert await here.told() == [], "it has just begun"
        here.lane("a").rerouting.outage.since -= MINUTE  # type: ignore[operator]
        assert await here.told() == [("breaker", "a", "b")]
        here.later(MIN_INTERVAL)
        assert await here.told() == [], "it lasts"
        await here.settled()
    assert "a has been failing for 2m" in (tmp_path / "b.jsonl").read_text()


async def test_a_breaker_that_closes_in_time_is_not_told_and_its_next_time_counts_anew(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        fail(here.lane("a"), since=2 * MINUTE)
        works(here.lane("a"))
        assert await here.told() == []
        fail(here.lane("a"))
        assert await here.told() == []


async def test_a_queue_that_grows_old_is_told(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        here.options(breaker=None)
        fail(here.lane("a"))
        await here.here.accept("waits", to="a")
        here.here.clock.step(14 * MINUTE)
        assert await here.told() == []
        here.here.clock.step(2 * MINUTE)
        assert await here.told() == [("age", "a", "b")]
        await here.settled()
    assert "Signals have been waiting for a for 16m" in (tmp_path / "b.jsonl").read_text()


async def test_both_may_be_switched_off(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a", breaker=RESTS), destination("b")) as here:
        here.options(breaker=None, age=None)
        fail(here.lane("a"), since=3600.0)
        await here.here.accept("waits", to="a")
        await here.told()
        here.here.clock.step(3600.0)
        assert await here.told() == []


async def test_a_full_disk_is_told_out_of_the_reserve(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a")) as here:
        core = here.here.core
        core.config.current = msgspec.structs.replace(core.config.current, daemon=DaemonOptions(reserve=2**62))
        core.disk_guard.check()
        assert core.disk_guard.closed
        assert await here.told() == [("disk", "the disk", "a")]
        await here.settled()
    assert "No signals are taken" in (tmp_path / "a.jsonl").read_text()


# --- how often ---------------------------------------------------------------------------------------------------------


async def test_the_same_is_told_once_in_a_while(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b")) as here:
        assert len(await here.told(BANNED, BANNED, GONE)) == 2
        assert await here.told(BANNED, GONE) == []
        here.later(MIN_INTERVAL)
        assert await here.told(BANNED) == [("limited", "a", "b")]


async def test_alarm_that_waits_raises_no_alarm_and_what_waits_with_it_does(tmp_path: Path) -> None:
    async with watch(tmp_path, destination("a"), destination("b", breaker=RESTS), destination("c")) as here:
        here.here.core.config.current = msgspec.structs.replace(
            here.here.core.config.current, destinations={name: destination(name) for name in "bac"}
        )
        held = here.lane("b").limiter.endpoint
        held.block(here.here.clock.now() + 3.0, "a moment")
        assert await here.told(GONE) == [("disabled", "a", "b")]
        held.block(here.here.clock.now() + 7200.0, "a long time")
        fail(here.lane("b"), since=3600.0)
        here.here.clock.step(3600.0)
        assert await here.told() == []
        await here.here.accept("somebody's", to="b")
        assert set(await here.told()) == {("breaker", "b", "a"), ("age", "b", "a")}


# --- after a kill ------------------------------------------------------------------------------------------------------


async def test_an_alarm_that_a_kill_prevented_is_raised_at_the_next_start_and_only_once(tmp_path: Path) -> None:
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
    assert (tmp_path / "b.jsonl").read_text().count("a is disabled") == 1
