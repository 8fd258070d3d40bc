"""A host that is meant to share and cannot, or does not yet: people learn of it where they look."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import DaemonProcess, file, route, until
from tests.shared.conftest import RedisServer

from tocsind.config import shared as shared_table
from tocsind.config.loading import parse

REST = file() + route("local-file")
TABLE = '[shared]\nurl = { env = "TOCSIN_TEST_REDIS" }\n'


def titles(host: DaemonProcess) -> list[str]:
    written = host.state / "alerts.jsonl"
    return written.read_text().splitlines() if written.exists() else []


def test_host_without_the_variable_has_a_problem_and_raises_one_alarm(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, TABLE + REST).start() as host:
        shown = host.tocsin("status")
        assert "[shared]: TOCSIN_TEST_REDIS is not set: this host shares nothing" in " ".join(shown.stdout.split())
        assert host.tocsin("status", "-q").returncode == 1
        alarm = host.wait_for("alarm-raised", condition="shares-nothing")
        assert host.settled(alarm["id"]) == ["delivered"]
        assert host.stop() == 0
        host.start()
        host.wait_for("started")
        assert host.settled(host.client.send("another start").id) == ["delivered"]
        assert sum("shares no channel" in line for line in titles(host)) == 1


def test_reload_with_the_engine_that_was_lacking_needs_a_restart(tmp_path: Path, redis_server: RedisServer) -> None:
    key = tmp_path / "url"
    table = f'[shared]\nurl = {{ file = "{key}" }}\n'
    with DaemonProcess(tmp_path / "h", table + REST).start() as host:
        (lacking,) = host.status()["problems"]
        assert lacking.startswith(f"[shared]: {key} does not exist")
        key.write_text(redis_server.url)
        key.chmod(0o600)
        (restart,) = host.status()["problems"]
        assert restart == lacking, "until a reload"
        assert "[shared] has changed" in host.tocsin("reload").stderr
        (restart,) = host.status()["problems"]
        assert restart.startswith("[shared] has changed")
        assert host.stop() == 0
        host.start()
        until(lambda: host.status()["shared"]["away_seconds"] is None)


def test_package_that_is_lacking_is_a_problem_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_table, "find_spec", lambda _: None)
    config = parse('[shared]\nurl = "unix:///run/engine.sock"\n' + REST, "alerts.toml")
    (problem,) = config.problems
    assert "redis is not installed: pip install 'tocsin[shared]'" in problem
    assert parse(REST, "alerts.toml").problems == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('url = "http://e"', "no address of an engine"),
        ('url = "rediss://e"\nca = "/nowhere/ca.pem"', "no certificates"),
    ],
)
def test_reload_with_a_wrong_address_or_an_unreadable_ca_is_refused_and_a_problem(
    tmp_path: Path, line: str, said: str
) -> None:
    with DaemonProcess(tmp_path, REST).start() as host:
        host.configure(f"[shared]\n{line}\n{REST}")
        done = host.tocsin("reload")
        assert done.returncode == 78
        assert said in done.stderr
        (problem,) = host.status()["problems"]
        assert said in problem
