"""The tasks of a host, in this process, on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.daemon.inprocess import supervisor
from tests.harness import PATIENCE, discord, route
from tests.shared.conftest import RedisServer

from tocsind.clock import SystemClock
from tocsind.config.loading import parse
from tocsind.core.assembly import assemble
from tocsind.destinations.http import HttpClient
from tocsind.events import EngineFound, EngineLost, EngineUnsafe, Event
from tocsind.journal import Journal
from tocsind.shared import hub as hubs
from tocsind.shared.assembly import make_hub, store_maker
from tocsind.shared.hub import Hub

WEBHOOK = "http://127.0.0.1:1/api/webhooks/1/token"  # nothing is sent there
OFTEN = ("RENEW_SECONDS", "POLL_SECONDS", "NOTE_SECONDS")


class Observed:
    """The events of a host."""

    def __init__(self) -> None:
        self._seen: list[Event] = []
        self._more = trio.Event()

    def __call__(self, event: Event) -> None:
        self._seen.append(event)
        self._more.set()
        self._more = trio.Event()

    async def first(self, kind: type[Event]) -> Event:
        """The first event of this kind, which may have come already."""
        with trio.fail_after(PATIENCE):
            while not (found := [event for event in self._seen if isinstance(event, kind)]):
                await self._more.wait()
        return found[0]


@asynccontextmanager
async def host(folder: Path, engine: RedisServer) -> AsyncIterator[tuple[Observed, Hub]]:
    """A host that shares one destination."""
    config = parse(f'[shared]\nurl = "{engine.url}"\n{discord("d", WEBHOOK)}{route("d")}', "alerts.toml")
    clock, emit = SystemClock(), Observed()
    async with Journal(folder) as journal, HttpClient() as client, trio.open_nursery() as nursery:
        make_store = store_maker(config.shared, folder, clock)
        core = assemble(journal, config, clock, emit, folder, make_store=make_store)
        lanes = supervisor(core, clock, emit, folder, client)
        hub = make_hub(
            config.shared, journal, core.store, lanes, hosts=core.hosts, operator=core.operator, clock=clock, emit=emit
        )
        nursery.start_soon(hub.run)
        yield emit, hub
        nursery.cancel_scope.cancel()


async def problems(hub: Hub) -> list[str]:
    _, found = await hub.view.part()
    return found


async def test_end_of_the_subscription_is_the_first_notice_of_the_end_of_an_engine(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OFTEN:  # no other step is due
        monkeypatch.setattr(hubs, name, 10 * PATIENCE)
    async with host(tmp_path, redis_server) as (events, _):
        await events.first(EngineFound)
        redis_server.kill()
        lost = await events.first(EngineLost)
    assert isinstance(lost, EngineLost)
    assert lost.cause == "unreachable"


async def test_settings_that_people_change_are_read_again(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "NOTE_SECONDS", 0.01)
    monkeypatch.setattr(hubs, "SETTINGS_SECONDS", 0.01)
    async with host(tmp_path, redis_server) as (events, hub):
        await events.first(EngineFound)
        assert await problems(hub) == []
        redis_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        unsafe = await events.first(EngineUnsafe)
        assert isinstance(unsafe, EngineUnsafe)
        assert "allkeys-lru" in unsafe.reason
        redis_server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        with trio.fail_after(PATIENCE):
            while await problems(hub):  # noqa: ASYNC110 - the engine's settings are no event
                await trio.sleep(0.01)
