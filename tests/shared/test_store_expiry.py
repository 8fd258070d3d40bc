"""Deadlines at a host that shares: its own deliveries and those of other hosts, with an engine in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.journal import factories
from tests.journal.test_shared_view import arriving
from tests.shared.test_scopes import CONFIG

from tocsin.signals import Signal
from tocsind.config import parse
from tocsind.core.assembly import Core, assemble
from tocsind.errors import StorageFull
from tocsind.events import Event, Expired
from tocsind.journal import Connection, Journal, shared, shared_arrivals, withdrawals
from tocsind.journal.maintenance import CHUNK
from tocsind.shared.assembly import store_maker
from tocsind.shared.engine import Item
from tocsind.shared.store import OVERDUE_SECONDS, SharedStore
from tocsind.testing.clock import SteppedClock
from tocsind.testing.engine import MemoryEngine


class Host:
    """A host whose clock the test moves."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.journal, self.clock, self.engine = journal, SteppedClock(), MemoryEngine()
        self.events: list[Event] = []
        config = parse(f'[shared]\nurl = "unix:///engine.sock"\n{CONFIG}', "alerts.toml")
        make = store_maker(config.shared, folder, self.clock, self.engine)
        self.core: Core = assemble(journal, config, self.clock, self.events.append, folder, make_store=make)
        assert isinstance(self.core.store, SharedStore)
        self.store = self.core.store
        self.store.targets.away_since = None
        target = self.store.targets.of("d")
        assert target
        self.target, self.here = target.name, self.store.here(target, "d")

    async def asks_again(self) -> bool:
        """Whether what is overdue is looked at again soon."""
        began = self.clock.steady()
        next_ = await self.store.expire()
        return next_ is not None and began <= next_ <= self.clock.steady() + OVERDUE_SECONDS

    def expired(self) -> list[str | None]:
        """The hosts that accepted what expired; None: this one."""
        return [each.origin for each in self.events if isinstance(each, Expired)]

    async def hand_over(self, number: int, deadline: float) -> str:
        """The id of a delivery of this host that the engine has."""
        signal = await self.journal.run(factories.put, "d")
        id_ = f"{self.store.host}/{signal}/d"

        def note(connection: Connection) -> None:
            connection.execute("UPDATE deliveries SET deadline = ? WHERE number = ?", (deadline, number))
            shared.handed_over(connection, self.here, {number: id_}, factories.NOW, epoch="e", surely=True)

        await self.journal.run(note)
        await self.engine.offer(self.target, self.store.host, [Item(id_, 2, b"", "e")])
        return id_


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Journal(tmp_path) as journal:
        yield Host(journal, tmp_path)


async def test_all_overdue_deliveries_of_other_hosts_expire_at_once(host: Host) -> None:
    now = host.clock.steady()
    found = [msgspec.structs.replace(arriving(Signal(str(n))), deadline=now + 1000) for n in range(CHUNK + 1)]

    def take_in(connection: Connection) -> None:
        shared_arrivals.take_in(connection, host.here, found, now, epoch="e", sent_alone=False)

    await host.journal.run(take_in)
    assert await host.store.expire() == now + 1000
    host.clock.step(1000)
    assert await host.store.expire() is None
    assert host.expired() == ["vm-2"] * len(found)


async def test_delivery_in_flight_is_asked_for_again_soon(host: Host) -> None:
    now = host.clock.steady()
    id_ = await host.hand_over(1, now + 1000)
    await host.hand_over(2, now + 1000)
    await host.hand_over(3, now + 9000)
    await host.engine.tend(host.target, "vm-2", token="", wants=False)
    token = (await host.engine.tend(host.target, "vm-2", token="earlier", wants=True)).token
    await host.engine.begin(host.target, token, [id_], [id_], "r")
    host.clock.step(1000)
    assert await host.asks_again()
    assert host.expired() == [None]
    host.clock.step(8000)
    assert await host.asks_again()
    assert host.expired() == [None, None]


async def test_full_disk_lets_overdue_deliveries_expire_later(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    now = host.clock.steady()
    await host.hand_over(1, now)

    def full(*_: object) -> None:
        raise StorageFull("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(withdrawals, "taken_back", full)
        assert await host.asks_again()
    assert host.expired() == []
    assert await host.asks_again(), "the engine gave it back: it is handed over again"
    await host.hand_over(2, now + 9000)
    await host.engine.offer(host.target, host.store.host, [await _offered(host)])
    assert await host.store.expire() == now + 9000
    assert host.expired() == [None]


async def _offered(host: Host) -> Item:
    (id_,) = await host.journal.run(_begun)
    return Item(id_, 2, b"", "e")


def _begun(connection: Connection) -> list[str]:
    return [id_ for (id_,) in connection.execute("SELECT id FROM shared WHERE stage = 'begun'")]
