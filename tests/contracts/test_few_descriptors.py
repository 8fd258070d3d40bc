"""A daemon that may open few files."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, file, route


@pytest.mark.parametrize("descriptors", [40, 64])
def test_idle_connections_leave_descriptors_for_journal_and_destinations(tmp_path: Path, descriptors: int) -> None:
    config = file("a", "a.jsonl") + file("b", "b.jsonl") + route("a", "b")
    with DaemonProcess(tmp_path, config) as daemon, ExitStack() as stack:
        daemon.start(
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)),
        )
        for _ in range(descriptors + 20):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(daemon.socket)
        receipt = daemon.client.send("x")
        assert daemon.settled(receipt.id) == ["delivered"]
        assert daemon.status()["health"] == "ok"
        assert daemon.stop() == 0
        log = daemon.log.read_text()
        assert "Traceback" not in log
        assert "accept-failed" not in log
