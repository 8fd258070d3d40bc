"""The heartbeat: when it is told, when it is withheld, and what is said when nobody hears it. The far end is a real one, on loopback."""

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
Said = HeartbeatResumed | HeartbeatFailed | HeartbeatWithheld


class Switch:
    """A dead man's switch, and a heart for it. A test says when the heart beats."""

    def __init__(self, here: InProcess, client: HttpClient) -> None:
        self.here = here
        self.metrics = Metrics(here.clock)
        here.observers.append(self.metrics)
        self.still: str | None = None  # what stands still
        self.health = here.health_check(self.metrics)
        self.heart = Heartbeat(self.health, self.prove, client, here.clock, here.record)
        self.reply = Reply(200)
        self.heard: list[str] = []

    async def prove(self) -> str | None:
        return self.still

    async def listen(self, request: Request) -> Reply:
        self.heard.append(f"{request.method} {request.path}")
        return self.reply

    async def beat(self) -> int:
        """How often it was heard, after one beat more."""
        url = self.heart._options.url
        assert url is not None
        await self.heart._beat(url)
        return len(self.heard)

    def later(self, seconds: float) -> None:
        """Everything that happened lies so much further back."""
        self.here.clock.step(seconds)
        self.health._since -= seconds
        for record in self.metrics.destinations.values():
            if record.last_success is not None:
                record.last_success -= seconds

    def said(self) -> list[str]:
        return [type(fact).__name__ for fact in self.here.events if isinstance(fact, Said)]

    def problems(self) -> list[str]:
        return self.heart.view()[1]

    def fail(self, name: str) -> None:
        lane = self.here.lanes.get(name)
        assert lane is not None
        lane.breaker.failed(self.here.clock.now(), "503 from Discord")


@asynccontextmanager
async def switch(folder: Path, *destinations: DestinationOptions) -> AsyncIterator[Switch]:
    async with in_process(folder) as here, HttpClient() as client, trio.open_nursery() as nursery:
        await here.apply(*destinations)
        found = Switch(here, client)
        web = WebServer(found.listen, Bounds())
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, web.serve_connection, listeners)
        port = listeners[0].socket.getsockname()[1]
        found.heart.apply(HeartbeatOptions(url=Secret(f"http://127.0.0.1:{port}/canary"), patience=PATIENCE))
        yield found
        nursery.cancel_scope.cancel()


# --- it is told --------------------------------------------------------------------------------------------------------


async def test_a_quiet_daemon_beats_and_says_nothing_of_it(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.later(86400.0)
        assert await here.beat() == 1
        told, problems = here.heart.view()
        assert told is not None
        assert (told["beats"], told["failures"], told["withheld"], told["reason"]) == (1, 0, 0, None)
        assert (here.heard, here.said(), problems) == (["GET /canary"], [], [])


async def test_it_beats_at_once_and_then_in_its_time(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.heart.apply(msgspec.structs.replace(here.heart._options, every=0.05))
        here.here.nursery.start_soon(here.heart.run)
        with trio.fail_after(20):
            while len(here.heard) < 3:
                await trio.testing.wait_all_tasks_blocked(0.001)
        here.heart.apply(HeartbeatOptions())
        assert here.heart.view() == (None, [])


async def test_a_queue_that_moves_is_work_however_long_it_is(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a", breaker=RESTS)) as here:
        here.fail("a")
        await here.here.accept("waits", to="a")
        here.later(PATIENCE + 1)
        here.metrics(Sent("ID", "a", 1, 0.1))
        assert await here.beat() == 1


async def test_what_waits_for_a_limit_of_ours_is_not_due(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a", limit=Rate(1, 3600.0))) as here:
        assert await here.here.send("the hour's first", "a") == "delivered"
        await here.here.accept("the next", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        here.later(PATIENCE + 1)
        assert await here.beat() == 1


async def test_what_the_configuration_leaves_out_is_none_of_ours(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a", disabled="switched off")) as here:
        await here.here.accept("waits", to="a")
        here.later(PATIENCE + 1)
        assert await here.beat() == 1


# --- it is withheld ----------------------------------------------------------------------------------------------------


async def test_where_something_is_due_and_nothing_gets_through_it_is_withheld_until_something_does(
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
        assert (here.said(), here.problems()) == (["HeartbeatWithheld", "HeartbeatResumed"], [])


async def test_one_that_is_gone_and_has_no_fallback_withholds_it(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        lane = here.here.lanes.get("a")
        assert lane is not None
        lane.disable("404 from Discord")
        await here.here.accept("waits", to="a")
        here.later(PATIENCE + 1)
        assert await here.beat() == 0


async def test_what_stands_still_withholds_it(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.still = "the journal has not answered for 10 s"
        assert await here.beat() == 0
        assert here.problems() == ["the heartbeat is withheld: the journal has not answered for 10 s"]


# --- nobody hears it ---------------------------------------------------------------------------------------------------


async def test_that_it_is_not_heard_is_counted_each_time_and_told_once(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.reply = Reply(503)
        await here.beat()
        await here.beat()
        assert here.problems() == [], "the way there has its hiccups"
        await here.beat()
        assert here.problems() == ["the heartbeat does not reach the monitor: 503 was the answer"]
        here.reply = Reply(204)
        await here.beat()
        told, problems = here.heart.view()
        assert told is not None
        assert (told["beats"], told["failures"], told["last_error"]) == (1, 3, "503 was the answer")
        assert (here.said(), problems) == (["HeartbeatFailed", "HeartbeatResumed"], [])


async def test_it_goes_where_it_was_sent_and_nowhere_else(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.reply = Reply(302, {"Location": "/elsewhere"})
        assert await here.beat() == 1
        told, _ = here.heart.view()
        assert told is not None
        assert (told["failures"], told["last_error"]) == (1, "302 was the answer")


async def test_that_nobody_is_there_is_said_without_the_url(tmp_path: Path) -> None:
    async with switch(tmp_path, destination("a")) as here:
        here.heart.apply(HeartbeatOptions(url=Secret("http://127.0.0.1:9/canary")))
        await here.beat()
        said = f"{here.heart.view()} {here.here.events}"
        assert "cannot connect" in said
        assert "canary" not in said
