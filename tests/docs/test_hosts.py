"""docs/how-to/hosts.md: the engine's settings and its user, and the host's table, as written there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import Shell, blocks, steps
from tests.docs.test_backup import on_the_path, typed
from tests.harness import DaemonProcess, FakeProcess, discord, need, route, until
from tests.shared.conftest import RedisServer

PAGE = "how-to/hosts.md"


@pytest.fixture
def engine() -> Iterator[RedisServer]:
    """An engine as the page sets it up."""
    need("redis-server")
    settings, user = [block.text for block in blocks(PAGE) if block.language == "text"][:2]
    folder = Path(tempfile.mkdtemp(prefix="tocsin-engine-"))
    options = [word for line in (settings + user).splitlines() for word in f"--{line}".split()]
    server = RedisServer(folder, *options).start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_hosts_page_sets_up_an_engine_and_a_user_that_are_enough(
    tmp_path: Path, fake: FakeProcess, engine: RedisServer
) -> None:
    (table,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    url = f"unix://tocsin:PASSWORD@{engine.socket}"
    config = table + discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, {"TOCSIN_REDIS": url}) as daemon:
        on_the_path(daemon)
        daemon.start()
        until(lambda: bool(daemon.status()["shared"]["lanes"][0]["here"]))
        id_ = daemon.client.send("by the engine", key="trade").id
        assert daemon.settled(id_) == ["delivered"]
        until(lambda: daemon.status()["shared"]["lanes"][0]["waiting"] == 0)
        assert "engine-lost" not in daemon.log.read_text()
        shared = daemon.status()["shared"]
        assert (shared["reason"], shared["complaints"]) == (None, [])
        with Shell(tmp_path, daemon.env) as shell:
            for command, shown in steps(PAGE):
                typed(shell, command, shown)
        assert "PASSWORD" not in daemon.log.read_text()
        assert engine.command("--user", "tocsin", "--pass", "PASSWORD", "FLUSHALL").startswith("NOPERM")
