"""A real engine on a Unix socket, and one in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Self

import pytest
from tests.harness import need, reserved_port, until

from tocsind.config.shared import EngineAddress
from tocsind.shared.engine import Engine, EngineAway
from tocsind.shared.redis_engine import RedisEngine
from tocsind.testing.engine import MemoryEngine

PROGRAM = os.environ.get("TOCSIN_TEST_ENGINE", "redis-server")  # or valkey-server


class RedisServer:
    """redis-server in a folder of its own, with an append-only file; it can be killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "engine.sock"
        self.options = options
        self.databases = count(1)
        self.process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> Self:
        self.socket.unlink(missing_ok=True)
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        arguments += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", *self.options]
        self.process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL)
        until(lambda: self.command("PING") == "PONG")
        return self

    def listen(self) -> int:
        """The TCP port at which it listens from now on, beside its Unix socket."""
        port = int(self.command("CONFIG", "GET", "port").split()[1])
        while not port:
            with reserved_port() as free:
                port = free if self.command("CONFIG", "SET", "port", str(free)) == "OK" else 0
        return port

    def replica(self, folder: Path) -> RedisServer:
        """Another server, which has all that this one has and follows it."""
        self.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        port = self.listen()
        folder.mkdir()
        found = RedisServer(folder, *self.options, "--replicaof", f"127.0.0.1 {port}").start()
        until(lambda: "master_link_status:up" in found.command("INFO", "replication"))
        return found

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            ["redis-cli", "-s", str(self.socket), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    need(PROGRAM)
    folder = Path(tempfile.mkdtemp(prefix="tocsin-engine-"))
    server = RedisServer(folder).start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["memory", "redis"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    if request.param == "memory":
        yield MemoryEngine()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    found = RedisEngine(EngineAddress(path=str(server.socket)))
    yield found
    await found.aclose()


@pytest.fixture
def restart(engine: Engine, request: pytest.FixtureRequest) -> Callable[[], Awaitable[None]]:
    """Restart the engine, which loses nothing by it."""
    server: RedisServer | None = None
    if not isinstance(engine, MemoryEngine):
        server = request.getfixturevalue("redis_server")
        server.command(
            "CONFIG", "SET", "appendfsync", "always"
        )  # else it answers before it writes while a sync takes its time

    async def again() -> None:
        if server is None:
            assert isinstance(engine, MemoryEngine)
            engine.fail_over()
            return
        server.kill()
        server.start()
        with suppress(EngineAway):  # the connection has gone
            await engine.complaints()

    return again
