"""A real engine on a Unix socket, and one in memory."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Self

import pytest

from tocsind.config.shared import EngineAddress
from tocsind.shared.engine import Engine
from tocsind.shared.redis_engine import RedisEngine
from tocsind.testing.engine import MemoryEngine


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
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while self.command("PING") != "PONG":
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)
        return self

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
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
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
