"""A host ends its own deliveries: its journal, and an engine in memory at which another host sends."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.journal import factories
from tests.journal.test_shared_view import arriving
from tests.shared.test_scopes import CONFIG

from tocsin.signals import Signal
from tocsind.clock import SystemClock
from tocsind.config import parse
from tocsind.core.active_config import ActiveConfig
from tocsind.journal import Connection, Journal, shared, shared_arrivals
from tocsind.policy.delivery import Priority
from tocsind.shared import taking
from tocsind.shared.engine import LEASE_MS, Done, EngineAway, Item, Settled
from tocsind.shared.identity import Identity
from tocsind.shared.taking import Taking
from tocsind.shared.targets import Target, Targets
from tocsind.testing.engine import MemoryEngine

US, SENDER = "vm-1", "vm-2"


class Host:
    """The accepting host, with one delivery."""

    def __init__(self, engine: MemoryEngine, journal: Journal) -> None:
        self.engine = engine
        self.journal = journal
        self.clock = SystemClock()
        self.targets = Targets(ActiveConfig(parse(CONFIG, "alerts.toml")), self.clock, degrades=False)
        self.targets.away_since = None
        self.taking = Taking(engine, journal, self.targets, self.clock, Identity(US))

    @property
    def target(self) -> Target:
        found = self.targets.of("d")
        assert found
        return found

    async def accept(self) -> None:
        """Number 1, for destination d."""
        signal = await self.journal.run(factories.put, "d")
        self.item = f"{US}/{signal}/d"

    async def hand_over(self) -> None:
        await self.engine.offer(self.target.name, US, [Item(self.item, 2, b"", "e")])
        here = shared.Here(US, self.target.name, "d")
        await self.journal.run(_handed_over, here, self.item)

    async def begin(self) -> str:
        """Another host begins an attempt; its token."""
        name = self.target.name
        await self.engine.tend(name, SENDER, token="", wants=False)
        token = (await self.engine.tend(name, SENDER, token="earlier", wants=True)).token
        assert await self.engine.begin(name, token, [self.item], [self.item], "r") == []
        return token

    async def free(self) -> bool:
        """Whether this host may end it."""
        async with self.taking.free({1: "d"}) as found:
            return 1 in found

    async def row(self) -> tuple[str | None, bool]:
        """Its stage, and whether it is marked."""
        return await self.journal.run(_row)

    def is_at_engine(self) -> bool:
        return any(self.item in found.at for found in self.engine.content.values())


def _handed_over(connection: Connection, here: shared.Here, item: str) -> None:
    shared.handed_over(connection, here, {1: item}, factories.NOW, epoch="e", surely=True)


def _row(connection: Connection) -> tuple[str | None, bool]:
    stage, doubt = connection.execute(
        "SELECT stage, doubt FROM deliveries LEFT JOIN shared ON delivery = number WHERE number = 1"
    ).fetchone()
    return stage, bool(doubt)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Journal(tmp_path) as journal:
        found = Host(MemoryEngine(), journal)
        await found.accept()
        yield found


async def test_delivery_that_the_engine_does_not_have_is_free(host: Host) -> None:
    assert await host.free()
    assert await host.row() == (None, False)


async def test_delivery_without_an_open_attempt_is_withdrawn_and_free(host: Host) -> None:
    await host.hand_over()
    assert await host.free()
    assert (await host.row(), host.is_at_engine()) == (("told", False), False)


async def test_delivery_in_flight_at_another_host_is_not_free_until_its_attempt_ends(host: Host) -> None:
    await host.hand_over()
    token = await host.begin()
    assert not await host.free()
    assert host.is_at_engine()
    await host.engine.settle(host.target.name, token, Settled(waiting=[host.item], request="r"))
    assert await host.free()


async def test_delivery_that_ended_at_another_host_is_not_free(host: Host) -> None:
    await host.hand_over()
    token = await host.begin()
    await host.engine.settle(host.target.name, token, Settled(done=[Done(host.item, US, b"sent")]))
    assert not await host.free()


async def test_delivery_that_another_host_accepted_is_not_free(host: Host) -> None:
    found = arriving(Signal("of another host"))
    here = shared.Here(US, host.target.name, "d")

    def take_in(connection: Connection) -> None:
        shared_arrivals.take_in(connection, here, [found], factories.NOW, epoch="e", sent_alone=False)

    await host.journal.run(take_in)
    async with host.taking.free({1: "d", 2: "d"}) as free:
        assert set(free) == {1}


async def test_host_that_sends_asks_its_own_journal(host: Host) -> None:
    await host.hand_over()
    host.target.ready, host.target.valid_until = True, math.inf
    assert await host.free()
    assert host.is_at_engine(), "the engine has to hear that the delivery ended"


async def test_delivery_is_not_handed_over_while_it_ends(host: Host) -> None:
    async with host.taking.free({1: "d"}):
        assert host.target.moving.locked()
    assert not host.target.moving.locked()


async def test_hand_over_without_an_answer_yet_is_waited_for(host: Host) -> None:
    async with trio.open_nursery() as nursery, host.target.moving:
        found: list[bool] = []

        async def ask() -> None:
            found.append(await host.free())

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await host.hand_over()
        await host.begin()
        assert found == []
    assert found == [False]


async def test_delivery_waits_for_an_engine_that_is_away_for_a_moment(
    host: Host, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    await host.hand_over()
    host.engine.away = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_come_back, host.engine)
        assert await host.free()
    assert await host.row() == ("told", False)


async def _come_back(engine: MemoryEngine) -> None:
    await trio.sleep(1.0)
    engine.away = False


async def test_delivery_is_marked_when_the_engine_stays_away(host: Host) -> None:
    await host.hand_over()
    host.engine.away, host.targets.away_since = True, host.clock.now() - LEASE_MS / 1000 - 1
    assert await host.free()
    assert await host.row() == ("withdrawn", True)


async def test_engine_that_refuses_for_long_leaves_the_delivery_as_it_is(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "ASK_SECONDS", 0.01)
    await host.hand_over()
    host.engine.away = True
    assert not await host.free()
    assert (await host.row())[1] is False


async def test_delivery_that_the_engine_lost_is_offered_again_before_it_is_free(host: Host) -> None:
    await host.hand_over()
    host.engine.flush()
    assert not await host.free()
    here, after = shared.Here(US, host.target.name, "d"), dict.fromkeys(Priority, 0)

    def leaving(connection: Connection) -> list[int]:
        return [each.delivery.number for each in shared.leaving(connection, here, after, 9, digests=True)]

    assert await host.journal.run(leaving) == [1]
    await host.hand_over()
    assert await host.free()


async def test_answer_that_is_lost_leaves_a_fallback_waiting_for_a_new_hand_over(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.hand_over()

    async def silent(target: str, ids: Sequence[str]) -> dict[str, bool]:
        await MemoryEngine.withdraw(host.engine, target, ids)
        raise EngineAway("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(host.engine, "withdraw", silent)
        here = shared.Here(US, host.target.name, "d")
        assert await host.taking.back(host.target, here, tuple(Priority), ["fallback"], hurried=False) == []
    assert await host.row() == ("begun", False)
    await host.hand_over()
    assert await host.taking.back(host.target, here, tuple(Priority), ["fallback"], hurried=False) == [1]
