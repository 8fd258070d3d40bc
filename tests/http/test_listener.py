"""The HTTP listener of an in-process daemon: a stuck lane, and an address that becomes free."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from tests.daemon.inprocess import PATIENCE, InProcess, destination, in_process

from tocsind.config import HttpOptions
from tocsind.events import HttpOpened
from tocsind.http import HttpListener, listener, make_router
from tocsind.observe.liveness import Liveness
from tocsind.observe.metrics import Metrics


@asynccontextmanager
async def monitored(folder: Path, listen: str) -> AsyncIterator[tuple[InProcess, HttpListener]]:
    async with in_process(folder) as here:
        await here.apply(destination("a"))
        status = here.status_view(Metrics(here.clock))
        check = Liveness(here.journal, here.lanes, patience=1.0).check
        router = make_router(status, check, lambda: here.core.disk_guard.closed, clock=here.clock)
        watching = HttpListener(router, here.record)
        watching.apply(HttpOptions(listen))
        here.nursery.start_soon(watching.run)
        yield here, watching


async def opened(here: InProcess) -> str:
    with trio.fail_after(PATIENCE):
        while not (found := [fact.listen for fact in here.events if isinstance(fact, HttpOpened)]):
            await trio.testing.wait_all_tasks_blocked(0.001)
    return found[0]


async def get(address: str, path: str) -> tuple[int, str]:
    host, _, port = address.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b"".join([chunk async for chunk in stream]).decode()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


async def test_healthz_is_503_while_a_lane_is_stuck(tmp_path: Path) -> None:
    async with monitored(tmp_path, "127.0.0.1:0") as (here, _):
        ask = partial(get, await opened(here), "/healthz")
        assert await ask() == (200, "ok\n")
        lane = here.lanes.get("a")
        assert lane is not None
        lane.turns.busy = True  # the turn is not released, and later released without a notification
        await here.accept("waits", to="a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        lane.turns.busy = False
        assert await ask() == (503, "a: a delivery may be sent, and no sender sends it\n")
        lane.turns.notify()
        assert await ask() == (200, "ok\n")


async def test_http_listener_opens_once_the_address_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "REOPEN_INTERVAL", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        async with monitored(tmp_path, where) as (here, watching):
            with trio.fail_after(PATIENCE):
                while not watching.view()[1]:
                    await trio.testing.wait_all_tasks_blocked(0.001)
            taken.close()
            assert await opened(here) == where
            assert watching.view() == ({"listen": where, "reason": None}, [])
            assert (await get(where, "/readyz"))[0] == 200
