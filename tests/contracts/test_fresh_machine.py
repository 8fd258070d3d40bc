"""A machine without configuration, variables and files: every signal is accepted and written to a local file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import DaemonProcess

BUILT_IN = ("signals-free", "signals-premium", "alerts-critical", "alerts-general")


class FreshDaemon(DaemonProcess):
    """A daemon without --config, in a clean environment."""

    def argv(self, *command: str) -> list[str]:
        return [*(command or (sys.executable, "-m", "tocsind")), "run"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder, empty = tmp_path_factory.mktemp("fresh"), tmp_path_factory.mktemp("empty")
    daemon = FreshDaemon(folder, "")
    keep = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "COVERAGE_PROCESS_START", "TOCSIN_SOCKET", "STATE_DIRECTORY")
    daemon.env = {name: daemon.env[name] for name in keep if name in daemon.env}
    with daemon.start(cwd=empty):
        yield daemon
        assert daemon.stop() == 0
        assert os.listdir(empty) == []  # noqa: PTH208 - the names alone


@pytest.mark.skipif(Path("/etc/tocsin/alerts.toml").exists(), reason="this machine is not fresh")
@pytest.mark.parametrize("tier", ["premium", "free", None])
@pytest.mark.parametrize("priority", ["urgent", "high", "normal", "low"])
def test_fresh_machine_writes_every_signal_to_local_file(
    daemon: DaemonProcess, tier: str | None, priority: str
) -> None:
    receipt = daemon.client.send(f"{tier} {priority}", tier=tier, priority=priority)
    assert receipt.state == "stored"
    assert daemon.settled(receipt.id) == ["delivered"]
    *away, here = daemon.client.why(receipt.id)["deliveries"]
    assert [delivery["state"] for delivery in away] == ["rerouted"] * len(away)
    assert away, "it was meant for Discord"
    assert "is not set" in away[0]["reason"]
    assert (here["destination"], here["state"]) == ("local-file", "sent")
    lines = [json.loads(line) for line in (daemon.state / "alerts.jsonl").read_text().splitlines()]
    assert [line["title"] for line in lines if line["id"] == receipt.id] == [f"{tier} {priority}"]


@pytest.mark.skipif(Path("/etc/tocsin/alerts.toml").exists(), reason="this machine is not fresh")
def test_fresh_machine_status_names_unset_variable_and_is_healthy(daemon: DaemonProcess) -> None:
    status = daemon.status()
    assert status["health"] == "ok"
    assert status["problems"] == []
    for name in BUILT_IN:
        found = daemon.destination(name)
        assert found["condition"] == "disabled"
        assert found["reason"] == f"DISCORD_WEBHOOK_{name.upper().replace('-', '_')} is not set"
    assert daemon.destination("local-file")["condition"] == "ready"
