"""The connection to the engine: what fails ends in time as EngineAway, and the next step begins on a sound connection."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import redis
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness import reserved_port, until
from tests.shared.conftest import PROGRAM, RedisServer

from tocsind.config.shared import EngineAddress
from tocsind.secret import Secret
from tocsind.shared import client as clients
from tocsind.shared.client import Client
from tocsind.shared.engine import EngineAway

Step = Callable[[redis.Redis], object]


@pytest.fixture
def second_server(redis_server: RedisServer) -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="tocsin-engine-"))
    server = RedisServer(folder).start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def serving(answer: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[Client]:
    """A client of a server that answers each connection like this."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        client = Client(EngineAddress("127.0.0.1", listener.socket.getsockname()[1]))
        yield client
        await client.aclose()
        nursery.cancel_scope.cancel()


def ping(client: redis.Redis) -> object:
    return client.ping()


def set_key(client: redis.Redis) -> object:
    return client.set("k", "v")


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=50)
    | st.from_regex(rb"\A(\*[0-9]{1,9}\r\n){1,9}[$:+_,#!=(~%-][-0-9a-z.]{0,9}\r\n.{0,5}", fullmatch=True)
)
def test_no_answer_of_a_stranger_has_an_error_of_another_kind(junk: bytes) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(junk)

    async def main() -> None:
        async with serving(answer) as client:
            with suppress(EngineAway):
                await client.run(lambda redis: redis.hgetall("k"))

    trio.run(main)


async def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "STEP_SECONDS", 0.3)
    ended = trio.Event()

    async def drip(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        with trio.move_on_after(30) as limit:
            while not ended.is_set():
                await stream.send_all(b"x")
                await trio.sleep(0.02)
        assert not limit.cancelled_caught

    async with serving(drip) as client:
        for _ in range(2):  # the second one waits behind the first one's thread
            with pytest.raises(EngineAway, match="in time"):
                await client.run(ping)
        ended.set()


async def test_an_engine_that_was_hung_does_not_mix_up_answers(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "COMMAND_SECONDS", 1.0)
    client = Client(EngineAddress(path=str(redis_server.socket)))
    await client.run(set_key)
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(EngineAway):
                await client.run(lambda redis: redis.get("k"))
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    assert await client.run(ping) is True
    assert await client.run(lambda redis: redis.get("k")) == b"v"
    await client.aclose()


async def test_a_name_that_leads_to_a_new_primary_is_followed(
    tmp_path: Path, redis_server: RedisServer, second_server: RedisServer
) -> None:
    name = tmp_path / "engine.sock"
    name.symlink_to(redis_server.socket)
    client = Client(EngineAddress(path=str(name)))
    await client.run(set_key)
    assert redis_server.command("REPLICAOF", "127.0.0.1", "1") == "OK"
    name.unlink()
    name.symlink_to(second_server.socket)
    with pytest.raises(EngineAway, match="read only"):
        await client.run(set_key)
    assert await client.run(set_key)
    assert second_server.command("GET", "k") == "v"
    await client.aclose()


async def test_a_subscription_begins_again_after_the_end_of_the_engine(redis_server: RedisServer) -> None:
    client = Client(EngineAddress(path=str(redis_server.socket)))
    with trio.fail_after(20):
        await client.hear(["a"])
        redis_server.command("PUBLISH", "a", "1")
        await client.hear(["a"])
        redis_server.kill()
        with pytest.raises(EngineAway):
            await client.hear(["a"])
        with pytest.raises(EngineAway):
            await client.hear(["a"])
        redis_server.start()
        await client.hear(["a", "b"])
        redis_server.command("PUBLISH", "b", "1")
        await client.hear(["a", "b"])
    await client.aclose()


@pytest.fixture
def sentinel(
    redis_server: RedisServer, second_server: RedisServer, tmp_path: Path, port: int
) -> Iterator[EngineAddress]:
    """A primary, a replica of it, and a sentinel that makes the replica the primary when it has gone."""
    primary = redis_server.listen()
    second_server.listen()
    redis_server.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    second_server.command("REPLICAOF", "127.0.0.1", str(primary))
    until(lambda: "master_link_status:up" in second_server.command("INFO", "replication"))
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor tocsin 127.0.0.1 {primary} 1\n"
        "sentinel down-after-milliseconds tocsin 500\nsentinel failover-timeout tocsin 2000\n"
    )
    process = subprocess.Popen([PROGRAM, str(config), "--sentinel"], stdout=subprocess.DEVNULL)

    def knows_the_replica() -> bool:
        asked = ["redis-cli", "-p", str(port), "SENTINEL", "replicas", "tocsin"]
        return "127.0.0.1" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout

    try:
        until(knows_the_replica)
        with reserved_port() as silent:
            yield EngineAddress(service="tocsin", sentinels=(("127.0.0.1", silent), ("127.0.0.1", port)))
    finally:
        process.kill()
        process.wait()


async def test_sentinels_that_do_not_answer_are_named_without_settings(port: int) -> None:
    client = Client(EngineAddress(service="tocsin", sentinels=(("127.0.0.1", port),), password=Secret("p")))
    with pytest.raises(EngineAway) as away:
        await client.run(set_key)
    assert re.fullmatch("the engine cannot be reached: no sentinel that answers [a-z ]*", str(away.value))
    await client.aclose()


async def test_sentinels_lead_to_the_next_primary(
    sentinel: EngineAddress, redis_server: RedisServer, second_server: RedisServer
) -> None:
    client = Client(sentinel)
    await client.run(set_key)
    assert await client.hear(["a"]) is None
    redis_server.kill()
    with pytest.raises(EngineAway):
        await client.run(set_key)
    with trio.fail_after(60):
        while True:
            with suppress(EngineAway):
                await client.run(set_key)
                break
            await trio.sleep(0.1)
        assert second_server.command("ROLE").startswith("master")
        with suppress(EngineAway):  # the connection to the one that was killed
            await client.hear(["a"])
        await client.hear(["a"])
    await client.aclose()
