"""The heartbeat: when it is sent, when it is withheld, and how failures are reported. The monitor is a real HTTP server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from tests.daemon.inprocess import InProcess, destination, in_process

from tocsind.config import DestinationOptions, HeartbeatOptions
from tocsind.destinations.http import HttpClient
from tocsind.events import HeartbeatFailed, HeartbeatResumed, HeartbeatWithheld, Sent
from tocsind.http_server import Bounds, Reply, Request, WebServer
from tocsind.observe.heartbeat import Heartbeat
from tocsind.observe.metrics import Metrics
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.secret import Secret

PATIENCE = 300.0
RESTS = BreakerLimits(failures=1, rest=3600.0, most=3600.0)
Reported = HeartbeatResumed | HeartbeatFailed | HeartbeatWithheld


class Switch:
    """An external monitor, and the heartbeat that pings it when the test says so."""

    def __init__(self, here: InProcess, client: HttpClient) -> None:
        self.here = here
        self.metrics = Metrics(here.clock)
        here.observers.append(self.metrics)
        self.stuck: str | None = None  # the result of the liveness check
        self.health = here.health_check(self.metrics)
        self.heartbeat = Heartbeat(self.health, self.check_liveness, client, here.clock, here.record)
        self.reply = Reply(200)
        self.received: list[str] = []

    async def check_liveness(self) -> str | None:
        return self.stuck

    async def respond(self, request: Request) -> Reply:
        self.received.append(f"{request.method} {request.path}")
        return self.reply

    async def beat(self) -> int:
        """Send one ping, or withhold it; how many pings the monitor has received."""
        url = self.heartbeat._options.url
        assert url is not None
        await self.heartbeat._beat(url)
        return len(self.received)

    def later(self, seconds: float) -> None:
        """Move all that happened so many seconds into the past."""
        self.here.clock.step(seconds)
        self.health._since -= seconds
        for record in self.metrics.destinations.values():
            if record.last_success is not None:
                record.last_success -= seconds

    def emitted(self) -> list[str]:
        return [type(fact).__name__ for fact in self.here.events if isinstance(fact, Reported)]

    def problems(self) -> list[str]:
        return self.heartbeat.view()[1]

    def fail(self, name: str) -> None:
        lane = self.here.lanes.get(name)
        assert lane is not None
        lane.breaker.failed(self.here.clock.now(), "503 from Discord")


@asynccontextmanager
async def switch(folder: Path, *destinations: DestinationOptions) -> AsyncIterator[Switch]:
    async with in_process(folder) as here, HttpClient() as client, trio.open_nursery() as nursery:
        await here.apply(*destinations)
        found = Switch(here, client)
        web = WebServer(found.respond, Bounds())
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, web.serve_connection, listeners)
        port = listeners[0].socket.getsockname()[1]
        found.heartbeat.apply(HeartbeatOptions(url=Secret(f"http://127.0.0.1:{port}/canary"), patience=PATIENCE))
        yield found
        nursery.cancel_scope.cancel()


# --- it is sent --------------------------------------------------------------------------------------------------------


async def test_heartbeat_of_an_idle_daemon_emits_no_event(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.later(86400.0)
        assert await here.beat() == 1
        view, problems = here.heartbeat.view()
        assert view is not None
        assert (view["beats"], view["failures"], view["withheld"], view["reason"]) == (1, 0, 0, None)
        assert (here.received, here.emitted(), problems) == (["GET /canary"], [], [])


async def test_heartbeat_pings_at_once_and_then_at_its_interval(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.heartbeat.apply(msgspec.structs.replace(here.heartbeat._options, every=0.05))
        here.here.nursery.start_soon(here.heartbeat.run)
        with trio.fail_after(20):
            while len(here.received) < 3:
                await trio.testing.wait_all_tasks_blocked(0.001)
        here.heartbeat.apply(HeartbeatOptions())
        assert here.heartbeat.view() == (None, [])


async def test_heartbeat_continues_while_a_long_queue_moves(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a", breaker=RESTS)) as here:
        here.fail("a")
        await here.here.accept("waits", to="a")
        here.later(PATIENCE + 1)
        here.metrics(Sent("ID", "a", 1, 0.1))
        assert await here.beat() == 1


async def test_heartbeat_continues_while_deliveries_wait_for_the_own_limit(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a", limit=Rate(1, 3600.0))) as here:
        assert await here.here.send("the hour's first", "a") == "delivered"
        await here.here.accept("the next", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        here.later(PATIENCE + 1)
        assert await here.beat() == 1


async def test_heartbeat_ignores_destinations_that_the_configuration_disables(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a", disabled="switched off")) as here:
        await here.here.accept("waits", to="a")
        here.later(PATIENCE + 1)
        assert await here.beat() == 1


# --- it is withheld ----------------------------------------------------------------------------------------------------


async def test_heartbeat_is_withheld_until_a_delivery_arrives(
    tmp_path: Path,
) -> None:
    async with switch(tmp_path, destination("a", breaker=RESTS)) as here:
        here.fail("a")
        await here.here.accept("waits", to="a")
        here.later(PATIENCE - 1)
        assert await here.beat() == 1
        here.later(2)
        assert await here.beat() == await here.beat() == 1
        (problem,) = here.problems()
        assert problem == "the heartbeat is withheld: nothing got through to a for 300 s, and something is due there"
        here.metrics(Sent("ID", "a", 1, 0.1))
        assert await here.beat() == 2
        assert (here.emitted(), here.problems()) == (["HeartbeatWithheld", "HeartbeatResumed"], [])


async def test_heartbeat_is_withheld_for_a_disabled_destination_without_fallback(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        lane = here.here.lanes.get("a")
        assert lane is not None
        lane.disable("404 from Discord")
        await here.here.accept("waits", to="a")
        here.later(PATIENCE + 1)
        assert await here.beat() == 0


async def test_heartbeat_is_withheld_while_the_liveness_check_fails(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.stuck = "the journal has not answered for 10 s"
        assert await here.beat() == 0
        assert here.problems() == ["the heartbeat is withheld: the journal has not answered for 10 s"]


# --- it fails ----------------------------------------------------------------------------------------------------------


async def test_heartbeat_failures_are_counted_and_reported_once(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.reply = Reply(503)
        await here.beat()
        await here.beat()
        assert here.problems() == [], "single pings do get lost"
        await here.beat()
        assert here.problems() == ["the heartbeat does not reach the monitor: 503 was the answer"]
        here.reply = Reply(204)
        await here.beat()
        view, problems = here.heartbeat.view()
        assert view is not None
        assert (view["beats"], view["failures"], view["last_error"]) == (1, 3, "503 was the answer")
        assert (here.emitted(), problems) == (["HeartbeatFailed", "HeartbeatResumed"], [])


async def test_heartbeat_follows_no_redirect(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.reply = Reply(302, {"Location": "/elsewhere"})
        assert await here.beat() == 1
        view, _ = here.heartbeat.view()
        assert view is not None
        assert (view["failures"], view["last_error"]) == (1, "302 was the answer")


async def test_heartbeat_error_does_not_contain_the_url(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.heartbeat.apply(HeartbeatOptions(url=Secret("http://127.0.0.1:9/canary")))
        await here.beat()
        said = f"{here.heartbeat.view()} {here.here.events}"
        assert "cannot connect" in said
        assert "canary" not in said
