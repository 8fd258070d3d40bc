"""The heartbeat of a real daemon: somebody on loopback hears it, and nobody hears of its URL."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.contracts.test_secrets import said_of
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route, until

CANARY = "canary-canary-canary"
HEARTBEAT = '[heartbeat]\nurl = { env = "HEARTBEAT_URL" }\nevery = "1s"\n'


class Switch(ThreadingHTTPServer):
    """Counts who knocks."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Listener)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{CANARY}"


class Listener(BaseHTTPRequestHandler):
    server: Switch

    def do_GET(self) -> None:
        self.server.heard.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: a test looks at `heard`."""


@pytest.fixture
def switch() -> Iterator[Switch]:
    with listening() as server:
        yield server


@contextmanager
def listening() -> Iterator[Switch]:
    with Switch() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_heartbeat_pings_from_start_and_its_url_is_not_shown(tmp_path: Path, switch: Switch) -> None:
    with DaemonProcess(tmp_path, HEARTBEAT + file() + route("local-file"), {"HEARTBEAT_URL": switch.url}) as daemon:
        daemon.start()
        id_ = daemon.client.send("x").id
        until(lambda: daemon.status()["heartbeat"]["beats"] >= 2)
        switch.status = 500
        daemon.wait_for("heartbeat-failed", reason="500 was the answer")
        said = said_of(daemon, id_)
    assert set(switch.heard) == {f"/{CANARY}"}
    assert "canary" not in said


def test_heartbeat_is_withheld_during_outage_without_an_alarm_by_another_route(
    tmp_path: Path, fake: FakeProcess, switch: Switch
) -> None:
    fake.script({"behaviour": "status", "status": 503, "count": 1000})
    config = HEARTBEAT + 'patience = "1s"\n' + discord("d", fake.webhooks[0]["url"]) + file() + route("d")
    with DaemonProcess(tmp_path, config, {"HEARTBEAT_URL": switch.url}).start() as daemon:
        daemon.client.send("nobody takes it")
        reason = daemon.wait_for("heartbeat-withheld")["reason"]
        assert reason == "nothing got through to d for 1 s, and something is due there"
        assert f"the heartbeat is withheld: {reason}" in daemon.status()["problems"]
        assert daemon.status()["counters"]["alarms_raised"] == 0
        fake.control("DELETE", "script")
        daemon.wait_for("heartbeat-resumed")


def test_missing_heartbeat_url_is_no_mistake_and_found_by_reload(tmp_path: Path, switch: Switch) -> None:
    where = tmp_path / "url"
    config = HEARTBEAT.replace('{ env = "HEARTBEAT_URL" }', f'{{ file = "{where}" }}')
    with DaemonProcess(tmp_path, config + file() + route("local-file")).start() as daemon:
        assert daemon.status()["heartbeat"]["reason"] == f"{where} does not exist"
        assert daemon.status()["problems"] == [f"there is no heartbeat: {where} does not exist"]
        where.write_text(switch.url)
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
    done = subprocess.run(
        [sys.executable, "-m", "tocsind", "check", "--json", "--config", "alerts.toml"],
        cwd=tmp_path,
        env={"HEARTBEAT_URL": url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    (problem,) = json.loads(done.stdout)["problems"]
    assert (done.returncode, problem["line"], problem["key"]) == (78, 2, "heartbeat.url")
    assert said in problem["message"]
    assert "canary" not in done.stdout + done.stderr


def test_heartbeat_keeps_its_interval(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text('[heartbeat]\nurl = { env = "U" }\nevery = "10ms"\n')
    done = subprocess.run(
        [sys.executable, "-m", "tocsind", "check", "--config", "alerts.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, "alerts.toml:3: heartbeat.every: must be at least 1s" in done.stderr) == (78, True)
