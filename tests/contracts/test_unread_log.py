"""A log without a reader: a full pipe, a stopped terminal. The daemon serves, and exits when asked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route, until

import tocsin

CONFIG = file() + route("local-file")
SIGNALS = 3000  # some lines each at level debug: more than fits into the buffer and a pipe


def send_many(daemon: DaemonProcess) -> None:
    for start in range(0, SIGNALS, 500):
        signals = [tocsin.Signal(f"signal {number} {'x' * 100}") for number in range(start, start + 500)]
        assert {receipt.state for receipt in daemon.client.send_many(signals)} == {"stored"}


@pytest.mark.parametrize("reads_in_the_end", [False, True])
def test_daemon_with_full_log_pipe_serves_and_exits(tmp_path: Path, reads_in_the_end: bool) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon, ExitStack() as stack:
        daemon.start(stderr=subprocess.PIPE)
        send_many(daemon)
        until(lambda: daemon.status()["log"]["dropped_lines"] > 0)  # log lines about deliveries follow the receipts
        metrics = daemon.tocsin("status", "--prometheus").stdout
        assert "tocsin_log_lines_dropped_total " in metrics
        daemon.process.terminate()
        assert daemon.process.stderr is not None
        stack.callback(daemon.process.stderr.close)
        if reads_in_the_end:
            lines = daemon.process.stderr.read().decode().splitlines()
            assert any(" warning log-lines-dropped lines=" in line for line in lines)
            assert " info stopped " in lines[-1]
        assert daemon.process.wait(PATIENCE) == 0


def test_daemon_on_stopped_terminal_serves_and_exits(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.start(stderr=terminal)
        termios.tcflow(terminal, termios.TCOOFF)  # Ctrl-S
        send_many(daemon)
        assert daemon.stop() == 0
    os.close(terminal)
    os.close(controller)


def test_daemon_that_cannot_start_exits_although_stderr_is_full(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    (tmp_path / "alerts.toml").write_text("nonsense = true")
    command = [sys.executable, "-m", "tocsind", "run", "--config", str(tmp_path / "alerts.toml")]
    assert subprocess.run(command, stderr=writing, check=False, timeout=60).returncode == 78
    os.close(reading)
    os.close(writing)


def test_log_file_on_full_disk_is_not_fatal(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            daemon.start(stderr=full)
        assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
        assert daemon.status()["log"]["dropped_lines"] > 0
        assert daemon.stop() == 0
