"""Unusable proxy and certificate settings: the daemon serves, and `check` reports what the daemon reports."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, file

ABROAD = """[destinations.abroad]
kind = "discord"
webhook = "https://discord.com/api/webhooks/1/token"
fallback = ["local-file"]
[[routes]]
to = ["abroad"]
"""


@pytest.mark.parametrize(
    ("settings", "output"),
    [
        ({"ALL_PROXY": "socks4://u:hunter2@127.0.0.1:1"}, "ALL_PROXY names a proxy (socks4://127.0.0.1:1)"),
        ({"https_proxy": "http://u:hunter2@p:port"}, "https_proxy is no URL of a proxy"),
        ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "SSL_CERT_FILE names a file that cannot be read"),
        ({"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/nowhere"}, "SSL_CERT_DIR names no folder with certificates"),
    ],
)
def test_unusable_proxy_settings_disable_only_affected_destinations(
    tmp_path: Path, settings: dict[str, str], output: str
) -> None:
    daemon = DaemonProcess(tmp_path, ABROAD + file(), {"NO_PROXY": "localhost,[::1],::1/128,[x", **settings})
    with daemon.start():
        assert daemon.settled(daemon.client.send("to the fallback").id) == ["delivered"]
        lane, status = daemon.destination("abroad"), daemon.status()
        assert daemon.stop() == 0
    assert lane["condition"] == "disabled"
    assert lane["reason"].startswith(output)
    assert status["health"] == "degraded"
    assert f"abroad is disabled: {lane['reason']}" in status["problems"]
    log = daemon.log.read_text()
    assert "[x cannot be read" in log
    assert "hunter2" not in log


def test_check_reports_unusable_network_environment_as_daemon_does(tmp_path: Path) -> None:
    settings = {"HTTPS_PROXY": "socks4://u:hunter2@p", "NO_PROXY": "::1/128,[x"}
    daemon = DaemonProcess(tmp_path, ABROAD + file(), settings)
    command = [*daemon.command, "check", "--config", str(daemon.config)]
    output = subprocess.run(command, env=daemon.env, capture_output=True, text=True, check=True)
    report = json.loads(subprocess.run([*command, "--json"], env=daemon.env, capture_output=True, check=True).stdout)
    assert "NO_PROXY: [x cannot be read, and is left out" in output.stderr
    assert "disabled: HTTPS_PROXY names a proxy (socks4://p)" in output.stdout
    assert report["destinations"][0]["reason"].startswith("HTTPS_PROXY names a proxy (socks4://p)")
    assert [each["condition"] for each in report["destinations"]] == ["disabled", "ready"]
    assert "hunter2" not in output.stdout + output.stderr + str(report)
