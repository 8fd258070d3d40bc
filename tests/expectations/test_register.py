"""Expectations over a real journal, and real processes to watch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from tests.core.fixture import PATIENCE, PEER, CoreFixture, config, fill_disk, free_disk, opened

from tocsin.signals import Signal
from tocsind.config import Config, ExpectOptions
from tocsind.core.admission import Peer
from tocsind.errors import StorageFull
from tocsind.events import ExpectationEnded, ExpectationLate, ExpectationMet, Expected
from tocsind.expectations import Beat, Expectations, ExpectRefused, register
from tocsind.expectations import process as process_module
from tocsind.journal import queries
from tocsind.policy import expectation as law
from tocsind.policy.routes import Route

OTHER = Peer(uid=1001, gid=1001, pid=99)


@pytest.fixture(autouse=True)
def awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of the clock are working time: the daemon did not sleep."""
    monkeypatch.setattr(register, "ABSENCE", inf)


class Running:
    """Expectations that run, over a core without lanes."""

    def __init__(self, core: CoreFixture, expectations: Expectations) -> None:
        self.core = core
        self.expectations = expectations

    async def beat(self, name: str = "bot", peer: Peer = PEER, **settings: Any) -> None:
        await self.expectations.beat(Beat(name, **settings), peer)

    def stages(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.expectations.views()}

    async def signals(self, *kinds: type[ExpectationLate | ExpectationMet]) -> list[dict[str, Any]]:
        """The alarms and all-clears, as the journal has them."""
        ids = [each.id for each in self.core.events if isinstance(each, kinds or (ExpectationLate, ExpectationMet))]
        stories = [await self.core.journal.run(queries.why, id_) for id_ in ids]
        return [story["signal"] for story in stories if story]

    async def pass_by(self, seconds: float) -> None:
        """Time passes while the daemon works; then all that is due is done."""
        self.core.clock.step(seconds)
        await self.expectations.advance()


@asynccontextmanager
async def running(folder: Path, known: Config | None = None) -> AsyncIterator[Running]:
    async with opened(folder, known) as core, trio.open_nursery() as nursery:
        found = Expectations(
            core.journal, core.core.acceptor, config=core.core.config, clock=core.clock, emit=core._record
        )
        await nursery.start(found.run)
        yield Running(core, found)
        nursery.cancel_scope.cancel()


@contextmanager
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is killed."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def of(process: subprocess.Popen[bytes]) -> Peer:
    return Peer(os.getuid(), os.getgid(), process.pid)


async def test_missing_beat_brings_one_alarm_and_its_return_one_all_clear(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=60.0, message="epoch 3", priority="urgent")
        assert await here.expectations.advance() == pytest.approx(66, abs=5)
        await here.pass_by(66)
        await here.pass_by(1000)
        (alarm,) = await here.signals()
        assert alarm["title"].startswith("bot is silent: no heartbeat for 1m")
        assert (alarm["priority"], alarm["source"], alarm["host"]) == ("urgent", "bot", os.uname().nodename)
        assert "Its last message: epoch 3" in alarm["body"]
        await here.beat()
        await here.expectations.advance()
        (back,) = await here.signals(ExpectationMet)
        assert back["title"].startswith("bot is back after 17m")
        assert (back["priority"], back["to"]) == ("normal", ["a"]), "where the alarm went"
        assert (back["key"], back["done"]) == (alarm["key"], True), "one story"
        assert here.stages() == {"bot": "waiting"}


async def test_alarm_goes_to_its_own_destination_or_by_a_route_of_its_name(tmp_path: Path) -> None:
    known = config(routes=(Route(("b",), {"source": ("bot",)}), Route(("a",))))
    async with running(tmp_path, known) as here:
        await here.beat(every=60.0)
        await here.beat("job", every=60.0, to=("c",))
        await here.pass_by(66)
        ids = {each.name: each.id for each in here.core.events if isinstance(each, ExpectationLate)}
        assert await here.core.states(ids["bot"]) == {"b": "queued"}
        assert await here.core.states(ids["job"]) == {"c": "queued"}


async def test_destination_that_left_the_configuration_is_replaced_by_the_routes(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=60.0, to=("c",))
        known = here.core.core.config.current
        kept = {name: each for name, each in known.destinations.items() if name != "c"}
        here.core.core.config.current = msgspec.structs.replace(known, destinations=kept)
        await here.pass_by(66)
        (late,) = here.core.events_of(ExpectationLate)
        assert isinstance(late, ExpectationLate)
        assert await here.core.states(late.id) == {"a": "queued"}


async def test_expectation_survives_a_restart_and_is_postponed_by_it(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=60.0, grace=6.0, message="m", to=("b",), priority="low")
    async with running(tmp_path) as here:
        (view,) = here.expectations.views()
        assert (view["every"], view["grace"], view["message"], view["to"], view["priority"]) == (
            60,
            6,
            "m",
            ["b"],
            "low",
        )
        assert view["due_seconds"] == pytest.approx(66, abs=5)
        await here.pass_by(66)
        assert len(await here.signals()) == 1
    async with running(tmp_path) as here:
        await here.pass_by(1000)
        assert (here.stages(), await here.signals()) == ({"bot": "reported"}, [])


async def test_machine_that_slept_raises_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "ABSENCE", 2.0)
    async with running(tmp_path) as here:
        await here.beat(every=60.0)
        await here.beat("other", every=60.0)
        await trio.testing.wait_all_tasks_blocked()
        here.core.clock.step(3600)
        await here.beat("third", every=60.0)  # wakes the task
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert here.stages() == {"bot": "waiting", "other": "waiting", "third": "waiting"}
        assert await here.signals() == []


async def test_beats_are_saved_ten_times_in_every_at_most(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=1000.0)
        before = await here.core.journal.run(lambda c: c.execute("SELECT last FROM expectations").fetchone())
        here.core.clock.step(99)
        await here.beat()
        assert await here.core.journal.run(lambda c: c.execute("SELECT last FROM expectations").fetchone()) == before
        here.core.clock.step(2)
        await here.beat()
        assert await here.core.journal.run(lambda c: c.execute("SELECT last FROM expectations").fetchone()) > before


async def test_full_disk_refuses_a_new_expectation_and_takes_beats_of_known_ones(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=60.0)
        await here.core.journal.run(fill_disk)
        here.core.clock.step(30)
        await here.beat()
        (view,) = here.expectations.views()
        assert view["last_seconds"] < 10
        with pytest.raises(StorageFull):
            await _until_full(here)
        await here.core.journal.run(free_disk)


async def _until_full(here: Running) -> None:
    """New expectations until no page has room for another."""
    for number in range(1000):
        await here.beat(str(number), Peer(number, 0, 0), every=60.0, message="x" * law.MAX_MESSAGE)


async def test_expectations_of_one_user_are_limited(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        for number in range(law.MAX_PER_USER):
            await here.beat(str(number), every=60.0)
        with pytest.raises(ExpectRefused, match="no room"):
            await here.beat("one more", every=60.0)
        await here.beat("one more", OTHER, every=60.0)


async def test_beat_changes_the_settings_of_its_own_expectation_only(tmp_path: Path) -> None:
    known = msgspec.structs.replace(config(), expect=(ExpectOptions("job", 3600.0, 60.0),))
    async with running(tmp_path, known) as here:
        await here.beat(every=60.0, grace=1.0)
        await here.beat(every=120.0)
        await here.beat("job", every=1.0, grace=0.0, priority="low", to=("b",))
        views = {each["name"]: each for each in here.expectations.views()}
        assert (views["bot"]["every"], views["bot"]["grace"]) == (120, 12)
        assert (views["job"]["every"], views["job"]["grace"], views["job"]["priority"]) == (3600, 60, "high")
        await here.beat(priority="low", to=("c",))
        (bot,) = [each for each in here.expectations.views() if each["name"] == "bot"]
        assert (bot["every"], bot["grace"], bot["priority"], bot["to"]) == (120, 12, "low", ["c"])
        with pytest.raises(ExpectRefused, match="no destination 'x'"):
            await here.beat(to=("x",))
        with pytest.raises(ExpectRefused, match="the first heartbeat says how often"):
            await here.beat("unknown")


async def test_done_ends_ones_own_expectation(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=60.0)
        with pytest.raises(ExpectRefused, match="nothing called 'bot'"):
            await here.expectations.goodbye("bot", OTHER, forget=True)
        await here.expectations.goodbye("bot", PEER, forget=True)
        assert here.expectations.views() == []
        assert here.core.events_of(Expected, ExpectationEnded) == [
            Expected("bot", 60.0, 1000, 4711),
            ExpectationEnded("bot", 1000, 4711),
        ]
    async with running(tmp_path) as here:
        assert here.expectations.views() == []


async def test_watched_process_that_is_killed_is_reported_with_its_last_signal(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        with child() as process:
            await here.beat(every=3600.0, peer=of(process), watch=True)
            await here.core.core.acceptor.accept([Signal("BUY"), Signal("SELL")], of(process))
            await here.core.core.acceptor.accept([Signal("another process'")], OTHER)
            process.kill()
            process.wait(PATIENCE)
            await here.core.until(ExpectationLate)
        (alarm,) = await here.signals()
        assert alarm["title"] == "bot ended without a goodbye, by SIGKILL"
        assert f"Its process {process.pid} ended by SIGKILL.\nIts last signal: SELL (" in alarm["body"]


async def test_goodbye_ends_the_watch(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        with child() as process:
            await here.beat(every=3600.0, peer=of(process), watch=True)
            assert here.expectations.views()[0]["pid"] == process.pid
            process.kill()
            process.wait(PATIENCE)
            await here.expectations.goodbye("bot", of(process), forget=False)  # it waited in the socket
            await trio.sleep(0.7)
        assert (here.stages(), here.expectations.views()[0]["pid"]) == ({"bot": "waiting"}, None)
        assert await here.signals() == []


async def test_successor_takes_over_the_watch(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        with child() as old, child() as new:
            await here.beat(every=3600.0, peer=of(old), watch=True)
            await here.beat(peer=of(new), watch=True)
            old.kill()
            old.wait(PATIENCE)
            await trio.sleep(0.7)
            assert here.stages() == {"bot": "waiting"}
            new.kill()
            await here.core.until(ExpectationLate)


async def test_watch_goes_on_after_a_restart_and_ends_with_a_reboot(tmp_path: Path) -> None:
    with child() as process:
        async with running(tmp_path) as here:
            for name in ("bot", "rebooted", "reused"):
                await here.beat(name, every=3600.0, peer=of(process), watch=True)
            await here.core.journal.run(_change, "UPDATE expectations SET boot = 'another' WHERE name = 'rebooted'")
            await here.core.journal.run(_change, "UPDATE expectations SET started = 1 WHERE name = 'reused'")
        async with running(tmp_path) as here:
            pids = {each["name"]: each["pid"] for each in here.expectations.views()}
            assert pids == {"bot": process.pid, "rebooted": None, "reused": None}
            process.kill()
            await here.core.until(ExpectationLate)
            assert here.stages() == {"bot": "reported", "rebooted": "waiting", "reused": "waiting"}


async def test_start_time_identifies_a_process_where_pidfds_share_an_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_pidfd_inode", lambda _: None)  # as before Linux 6.9
    with child() as process:
        async with running(tmp_path) as here:
            await here.beat("bot", every=3600.0, peer=of(process), watch=True)
            await here.beat("reused", every=3600.0, peer=of(process), watch=True)
            await here.core.journal.run(_change, "UPDATE expectations SET started = 1 WHERE name = 'reused'")
        async with running(tmp_path) as here:
            assert {each["name"]: each["pid"] for each in here.expectations.views()} == {
                "bot": process.pid,
                "reused": None,
            }


async def test_process_without_an_identity_is_watched_until_the_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_pidfd_inode", lambda _: None)
    monkeypatch.setattr(process_module, "_stat", lambda *_: None)  # ProtectProc=invisible
    with child() as process:
        async with running(tmp_path) as here:
            await here.beat("bot", every=3600.0, peer=of(process), watch=True)
            assert here.expectations.views()[0]["pid"] == process.pid
        async with running(tmp_path) as here:
            assert here.expectations.views()[0]["pid"] is None
            await here.beat("bot", peer=of(process), watch=True)
            process.kill()
            await here.core.until(ExpectationLate)


def _change(connection: Any, statement: str) -> int:
    changed: int = connection.execute(statement).rowcount
    return changed


async def test_process_of_another_pid_namespace_is_not_watched(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=60.0, peer=Peer(1000, 1000, 0), watch=True)
        assert here.expectations.views()[0]["pid"] is None


async def test_reload_ends_a_users_expectation_of_a_configured_name(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        with child() as process:
            await here.beat("job", every=60.0, peer=of(process), watch=True)
            known = msgspec.structs.replace(config(), expect=(ExpectOptions("job", 10.0, 1.0, "low", ("b",)),))
            await here.expectations.apply(known)
            (view,) = here.expectations.views()
            assert (view["configured"], view["every"], view["priority"], view["to"]) == (True, 10, "low", ["b"])
        await here.expectations.apply(config())
        assert here.expectations.views() == []


async def test_flapping_expectation_alarms_in_a_burst_and_then_later_with_the_count(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await here.beat(every=10.0, grace=0.0)
        for _ in range(law.BURST + 3):
            await here.pass_by(11)
            await here.beat()
            await here.expectations.advance()
        assert len(await here.signals(ExpectationLate)) == law.BURST
        await here.pass_by(law.PERIOD)
        alarm = (await here.signals(ExpectationLate))[-1]
        assert "Since the last alarm it was late 3 times and came back." in alarm["body"]
