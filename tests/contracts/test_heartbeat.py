"""The heartbeat of a real daemon: a monitor on loopback gets the pings, and no output shows the URL."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import fork_server
from tests.contracts.heartbeat_monitor import CANARY, HEARTBEAT, Monitor, running_monitor
from tests.contracts.visible import visible_text
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route, until


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with running_monitor() as server:
        yield server


def test_heartbeat_pings_from_start_and_its_url_is_not_shown(tmp_path: Path, monitor: Monitor) -> None:
    with DaemonProcess(tmp_path, HEARTBEAT + file() + route("local-file"), {"HEARTBEAT_URL": monitor.url}) as daemon:
        daemon.start()
        id_ = daemon.client.send("x").id
        until(lambda: daemon.status()["heartbeat"]["beats"] >= 2)
        monitor.status = 500
        daemon.wait_for("heartbeat-failed", reason="500 was the answer")
        said = visible_text(daemon, id_)
    assert set(monitor.paths) == {f"/{CANARY}"}
    assert "canary" not in said


def test_heartbeat_is_withheld_during_outage_without_an_alarm_by_another_route(
    tmp_path: Path, fake: FakeProcess, monitor: Monitor
) -> None:
    fake.script({"behaviour": "status", "status": 503, "count": 1000})
    config = HEARTBEAT + 'patience = "1s"\n' + discord("d", fake.webhooks[0]["url"]) + file() + route("d")
    with DaemonProcess(tmp_path, config, {"HEARTBEAT_URL": monitor.url}).start() as daemon:
        daemon.client.send("refused connection")
        reason = daemon.wait_for("heartbeat-withheld")["reason"]
        assert reason == "nothing got through to d for 1 s, and something is due there"
        assert f"the heartbeat is withheld: {reason}" in daemon.status()["problems"]
        assert daemon.status()["counters"]["alarms_raised"] == 0
        fake.control("DELETE", "script")
        daemon.wait_for("heartbeat-resumed")


def test_missing_heartbeat_url_is_no_mistake_and_found_by_reload(tmp_path: Path, monitor: Monitor) -> None:
    where = tmp_path / "url"
    config = HEARTBEAT.replace('{ env = "HEARTBEAT_URL" }', f'{{ file = "{where}" }}')
    with DaemonProcess(tmp_path, config + file() + route("local-file")).start() as daemon:
        assert daemon.status()["heartbeat"]["reason"] == f"{where} does not exist"
        assert daemon.status()["problems"] == [f"there is no heartbeat: {where} does not exist"]
        where.write_text(monitor.url)
        where.chmod(0o600)
        daemon.reload()
        until(lambda: daemon.status()["heartbeat"]["beats"] >= 1)
        assert daemon.status()["health"] == "ok"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com/canary", "must be https"),
        ("https://user:canary@example.com/x", "must not carry a user name"),
        ("https://example.com/x#canary", "must not carry"),
        ("ftp://example.com/canary", "is no web address"),
        ("canary", "is no web address"),
        ("https://exa mple.com/canary", "is no web address"),
        ("https://[canary/x", "is no web address"),
    ],
)
@pytest.mark.parametrize("form", ['"{url}"', '{{ env = "HEARTBEAT_URL" }}'])
def test_invalid_heartbeat_url_is_reported_without_quoting_it(tmp_path: Path, url: str, said: str, form: str) -> None:
    (tmp_path / "alerts.toml").write_text(f"[heartbeat]\nurl = {form.format(url=url)}\n")
    done = fork_server.run(
        [sys.executable, "-m", "tocsind", "check", "--json", "--config", "alerts.toml"],
        cwd=tmp_path,
        env={**os.environ, "HEARTBEAT_URL": url},
        timeout=PATIENCE,
    )
    (problem,) = json.loads(done.stdout)["problems"]
    assert (done.returncode, problem["line"], problem["key"]) == (78, 2, "heartbeat.url")
    assert said in problem["message"]
    assert "canary" not in done.stdout + done.stderr


def test_heartbeat_keeps_its_interval(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text('[heartbeat]\nurl = { env = "U" }\nevery = "10ms"\n')
    done = fork_server.run(
        [sys.executable, "-m", "tocsind", "check", "--config", "alerts.toml"],
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert (done.returncode, "alerts.toml:3: heartbeat.every: must be at least 1s" in done.stderr) == (78, True)
