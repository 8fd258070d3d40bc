"""A scope on two hosts that share an engine in memory: what each counts, and when it waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tocsind.clock import Clock, SystemClock
from tocsind.config import parse
from tocsind.core.active_config import ActiveConfig
from tocsind.delivery.turns import TurnQueue
from tocsind.journal import Journal, LimitState, RequestStart, limiter_state
from tocsind.policy.bucket import Rate
from tocsind.policy.rate_limits import ChannelLimit, SavedLimit
from tocsind.shared import scopes
from tocsind.shared.identity import Identity
from tocsind.shared.scopes import Scopes, name_of
from tocsind.shared.targets import Targets
from tocsind.testing import engine_scope
from tocsind.testing.engine import MemoryEngine

CHANNEL = "channel:discord:1"
CONFIG = '[destinations.d]\nkind = "discord"\nwebhook = "https://discord.com/api/webhooks/1/' + "t" * 68 + '"\n'
ASKING = RequestStart("d", CHANNEL, expedited=True)


class Host:
    """Its limit, journal and scopes. `learned` are limits that came from others."""

    def __init__(self, name: str, engine: MemoryEngine, journal: Journal, count: int = 3) -> None:
        self.name = name
        self.clock: Clock = SystemClock()
        self.journal = journal
        self.queue = TurnQueue(CHANNEL, ChannelLimit(Rate(count, 600.0)), self.clock)
        self.learned: list[LimitState] = []
        targets = Targets(ActiveConfig(parse(CONFIG, "alerts.toml")), self.clock, degrades=False)
        targets.offset = -self.clock.steady()
        self.scopes = Scopes(engine, journal, targets, self.clock, Identity(name))
        self.scopes.attach(self)
        self._requests = 0

    def turn_queue(self, destination: str) -> TurnQueue | None:
        return self.queue if destination == "d" else None

    def learn(self, limits: Collection[LimitState]) -> None:
        self.learned += limits
        for each in limits:
            until = each.blocked_until and each.blocked_until - self.clock.steady() + self.clock.now()
            self.queue.limit.restore(SavedLimit(until, each.blocked_because))

    async def take(self) -> str:
        """The request that may leave; "" without room."""
        self._requests += 1
        request = name_of(self.name, self._requests, expedited=True)
        if await self.scopes.take(ASKING, request):
            return request
        await self.scopes.settle(request, None)
        return ""

    async def send(self) -> bool:
        """Whether a request left, and was answered."""
        request = await self.take()
        if request:
            await self.scopes.settle(request, self.clock.now())
        return bool(request)

    def used(self) -> int:
        """How many requests its limit counts."""
        return self.queue.limit.buckets[0].used(self.clock.now())


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    monkeypatch.setattr(engine_scope, "SETTLING_MS", 0)
    return MemoryEngine()


@pytest.fixture
async def hosts(engine: MemoryEngine, tmp_path: Path) -> AsyncIterator[list[Host]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in ("host-a", "host-b"):
            (tmp_path / name).mkdir()
            found.append(Host(name, engine, await stack.enter_async_context(Journal(tmp_path / name))))
            await found[-1].scopes.join(["d"])
        yield found


async def test_a_host_counts_what_others_sent_once_and_waits_without_room(hosts: list[Host]) -> None:
    a, b = hosts
    assert [await a.send() for _ in range(3)] == [True] * 3
    for _ in range(2):
        await b.scopes.join(["d"])
    assert (a.used(), b.used()) == (0, 3), "its own requests a lane counts, not the scope"
    assert b.scopes.hosts("d") == 2
    assert not await b.send()
    assert b.queue.limit.ready_at(b.clock.now()) > b.clock.now() + 500


async def test_a_request_that_did_not_leave_gives_its_room_back(hosts: list[Host]) -> None:
    a, b = hosts
    requests = [await a.take() for _ in range(3)]
    assert all(requests)
    assert not await b.take()
    await a.scopes.settle(requests[0], None)
    assert await b.take()


async def test_a_block_stops_other_hosts_and_does_not_come_back(hosts: list[Host]) -> None:
    a, b = hosts
    block = LimitState(CHANNEL, blocked_until=a.clock.steady() + 300.0, blocked_because="429")
    other = LimitState("endpoint:1")
    assert await a.scopes.teach([block, other]) == [other]
    assert not await b.send()
    (learned,) = b.learned
    assert learned.blocked_because == "429"
    await b.scopes.teach([learned])
    await a.scopes.join(["d"])
    assert a.learned == []


async def test_an_engine_that_forgot_learns_again_what_was_sent(hosts: list[Host], engine: MemoryEngine) -> None:
    a, b = hosts
    for expedited in (True, False):
        start = RequestStart("d", CHANNEL, expedited=expedited)
        await a.journal.run(limiter_state.start_request, start, a.clock.steady())
        await a.journal.run(limiter_state.finish_request, "d", a.clock.steady())
    assert await b.send()
    await a.scopes.join(["d"])
    engine.flush()
    for _ in range(2):
        await a.scopes.join(["d"])
        await b.scopes.join(["d"])
    assert (a.used(), b.used()) == (1, 2), "each request of another host is counted once"
    await a.scopes.join(["d"])
    assert not await a.send(), "two of its own, and one that the other host has seen"


async def test_after_an_outage_a_host_reports_before_it_sends(
    hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    (a, _) = hosts
    monkeypatch.setattr(scopes, "PAUSE_SECONDS", 600.0)
    a.scopes.on_outage()
    assert not await a.send()
    assert a.queue.limit.ready_at(a.clock.now()) > a.clock.now() + 500


async def test_a_destination_without_a_limit_needs_no_room(hosts: list[Host], engine: MemoryEngine) -> None:
    a = hosts[0]
    a.queue = TurnQueue("channel:webhook:1", ChannelLimit(), a.clock)
    engine.away = True
    assert await a.take()
