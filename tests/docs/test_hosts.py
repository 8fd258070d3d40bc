"""docs/how-to/hosts.md: the engine's settings and its user, and the host's table, as written there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.docs.blocks import Shell, blocks, steps
from tests.docs.test_backup import on_the_path, typed
from tests.harness import DaemonProcess, FakeProcess, discord, need, route, until
from tests.shared.conftest import RedisServer

PAGE = "how-to/hosts.md"


@contextmanager
def engine_with(*lines: str) -> Iterator[RedisServer]:
    """An engine as the page sets it up, with further lines of its settings file."""
    need("redis-server")
    settings, user = [block.text for block in blocks(PAGE) if block.language == "text"][:2]
    folder = Path(tempfile.mkdtemp(prefix="tocsin-engine-"))
    options = [word for line in (*(settings + user).splitlines(), *lines) for word in f"--{line}".split()]
    server = RedisServer(folder, *options).start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def engine() -> Iterator[RedisServer]:
    with engine_with() as found:
        yield found


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


def test_hosts_page_makes_certificates_by_which_the_engine_is_known(
    tmp_path: Path, fake: FakeProcess, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("openssl")
    monkeypatch.setenv("REDISCLI_AUTH", "ADMINPASSWORD")
    (making,) = [command for command, _ in steps(PAGE) if "openssl" in command]
    (settings,) = [block.text for block in blocks(PAGE) if block.language == "conf"]
    with Shell(tmp_path, {"PATH": os.environ["PATH"]}) as shell:
        typed(shell, making, None)
    lines = settings.replace("6380", str(port)).replace("0.0.0.0", "127.0.0.1").splitlines()
    whole = [re.sub(r"\S+\.(pem|key)$", lambda name: str(tmp_path / name[0]), line) for line in lines]
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    env = {"TOCSIN_REDIS": f"rediss://tocsin:PASSWORD@localhost:{port}/0"}
    table = '[shared]\nurl = { env = "TOCSIN_REDIS" }\n'
    with engine_with(*whole), DaemonProcess(tmp_path / "host", table + config, env) as daemon:
        daemon.start()
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in (daemon.status()["shared"]["reason"] or ""))
        daemon.stop()
        daemon.configure(f'{table}ca = "{tmp_path / "ca.pem"}"\n{config}')
        daemon.start()
        assert daemon.settled(daemon.client.send("by TLS").id) == ["delivered"]
        assert daemon.status()["shared"]["reason"] is None
