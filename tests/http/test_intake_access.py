"""Who may post to the intake, over which address, and what becomes of a post that is not taken."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.harness import DaemonProcess, FakeProcess, discord, file, need, route
from tests.http_client import (
    LISTEN,
    TOKEN,
    WEBHOOK,
    address,
    arrived,
    ask,
    configuration,
    daemon_with,
    post,
)


def test_token_for_one_destination_reaches_no_other(tmp_path: Path, fake: FakeProcess) -> None:
    config = configuration(fake).replace("token =", 'tokens = { local-file = "token-of-the-file" }\ntoken =')
    with DaemonProcess(tmp_path, config).start() as daemon:
        for name, status in (("local-file", 204), ("alerts", 401), ("nowhere", 401)):
            path = f"/api/webhooks/{name}/token-of-the-file"
            assert ask(daemon, "POST", path, {"content": "x"}).status == status
        assert "token-of-the-file" not in daemon.log.read_text()


def test_refused_message_and_wrong_token_are_counted_and_logged(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        for _ in range(3):
            assert ask(daemon, "POST", "/api/webhooks/alerts/wrong", {"content": "x"}).status == 401
        assert post(daemon, {"content": "x" * 2001}).status == 400
        refused = daemon.wait_for("signal-refused")
        assert refused["reason"] == "a message for alerts: Invalid Form Body: content: Must be 2000 or fewer in length"
        closed = daemon.wait_for("connection-refused")
        assert (closed["kind"], closed["reason"]) == (
            "http-401",
            "an HTTP request was refused: its token is missing or wrong",
        )
        assert ask(daemon, "POST", f"/api/webhooks/renamed/{TOKEN}", {"content": "x"}).status == 404
        counters = daemon.status()["counters"]
        assert (counters["signals_refused"], counters["connections_refused"]) == (2, 3)
        assert daemon.log.read_text().count("connection-refused") == 1


def test_reload_changes_the_token(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        place = address(daemon)
        daemon.configure(configuration(fake).replace(TOKEN, "another-token"))
        daemon.reload()
        daemon.wait_for("reloaded")
        assert address(daemon) == place
        assert post(daemon, {"content": "x"}).status == 401
        assert ask(daemon, "POST", "/api/webhooks/alerts/another-token", {"content": "x"}).status == 204


def test_unix_socket_takes_messages_whatever_the_host_header(tmp_path: Path, fake: FakeProcess) -> None:
    place = tmp_path / "http.sock"
    config = configuration(fake).replace("127.0.0.1:0", str(place))
    with DaemonProcess(tmp_path, config).start() as daemon:
        daemon.wait_for("http-opened")
        command = [need("curl"), "--silent", "--write-out", "%{http_code}", "--unix-socket", str(place)]
        for host in ("localhost", "whatever.example"):
            url = f"http://{host}{WEBHOOK}"
            done = subprocess.run(
                [*command, url, "--json", '{"content": "over a socket"}'],
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
            assert done.stdout == "204"
        arrived(fake, "over a socket")


def test_full_disk_is_a_503_and_no_429(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake, '[daemon]\nreserve = "999999TB"\n').start() as daemon:
        answer = post(daemon, {"content": "x"})
        assert (answer.status, answer.json()["code"], "Retry-After" in answer.headers) == (503, 0, True)
        assert "kept in reserve" in answer.json()["message"]


def test_without_token_there_is_no_intake(tmp_path: Path, fake: FakeProcess) -> None:
    bare = LISTEN.splitlines()
    config = "\n".join(bare[:2]) + "\n" + discord("alerts", fake.webhooks[0]["url"]) + file() + route("alerts")
    with DaemonProcess(tmp_path, config).start() as daemon:
        assert post(daemon, {"content": "x"}).status == 404
        assert ask(daemon, "GET", "/healthz").status == 200


def test_log_names_no_token(running: DaemonProcess) -> None:
    post(running, {"content": "logged"})
    assert TOKEN not in running.log.read_text()
