"""The memory that destinations of every kind cost a daemon at rest, compared with a daemon that has a file only."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route

GOAL = 3.0  # MB
NOISE = 0.5  # MB between two runs on the same machine
DAEMONS = 3  # of each; the smallest counts, because what disturbs a measurement adds to it
STABLE = 16  # KiB
NOWHERE = "http://127.0.0.1:9"  # the query of each destination at the start is refused
ENVIRONMENT = {
    "TELEGRAM": "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "URL": f"{NOWHERE}/hook",
    "BOT": "xoxb-123-abcdefghij",
    "APPRISE": "json://127.0.0.1:9/x",
}
EVERY_KIND = f"""
[destinations.discord]
kind = "discord"
webhook = "{NOWHERE}/api/webhooks/1/token"
[destinations.ntfy]
kind = "ntfy"
server = "{NOWHERE}"
topic = "alerts"
[destinations.telegram]
kind = "telegram"
bot-token = {{ env = "TELEGRAM" }}
chat-id = -100123
api-url = "{NOWHERE}"
[destinations.webhook]
kind = "webhook"
url = {{ env = "URL" }}
[destinations.email]
kind = "email"
smarthost = "127.0.0.1:9"
tls = "none"
from = "a@example.com"
to = ["b@example.com"]
[destinations.slack-webhook]
kind = "slack"
webhook = {{ env = "URL" }}
[destinations.slack-bot]
kind = "slack"
bot-token = {{ env = "BOT" }}
channel = "C0123ABCD"
api-url = "{NOWHERE}"
[destinations.exec]
kind = "exec"
command = ["/bin/true"]
[destinations.apprise]
kind = "apprise"
url = {{ env = "APPRISE" }}
"""


def anonymous(daemon: DaemonProcess) -> int:
    """Memory of the daemon's own, in KiB: without pages of files, which other processes share."""
    rollup = Path(f"/proc/{daemon.process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:"))


def at_rest(daemon: DaemonProcess) -> int:
    """The same, once it does not change for a second."""
    end, before = time.monotonic() + PATIENCE, -STABLE
    while time.monotonic() < end and abs(before - (before := anonymous(daemon))) >= STABLE:
        time.sleep(1.0)
    return before


@pytest.mark.slow
def test_every_kind_beside_a_file_takes_little_memory_at_rest(tmp_path: Path) -> None:
    tables = file("local"), EVERY_KIND, route("local")
    configs = {"plain": tables[0] + tables[2], "full": "".join(tables)}
    with ExitStack() as stack:
        daemons = {
            (name, number): stack.enter_context(
                DaemonProcess(tmp_path / f"{name}{number}", config, ENVIRONMENT, executed=True).start()
            )
            for number in range(DAEMONS)
            for name, config in configs.items()
        }
        assert len(daemons["full", 0].status()["destinations"]) == 10
        assert all(each["condition"] != "disabled" for each in daemons["full", 0].status()["destinations"])
        found = {key: at_rest(daemon) for key, daemon in daemons.items()}
    least = {name: min(kib for (each, _), kib in found.items() if each == name) for name in configs}
    assert (least["full"] - least["plain"]) / 1024 <= GOAL + NOISE, found
