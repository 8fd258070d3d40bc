"""A cleaner of /tmp or /run removes the daemon's socket."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.harness import DaemonProcess, file, route, until

CONFIG = file() + route("local-file")


def test_daemon_rebinds_removed_socket_and_reports_it(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        Path(daemon.socket).unlink()
        daemon.await_socket()
        assert daemon.wait_for("socket-restored")["socket"] == daemon.socket
        assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
        assert daemon.status()["socket"] == {"path": daemon.socket, "reason": None}
        assert daemon.stop() == 0
        assert not Path(daemon.socket).exists()


def test_daemon_reports_foreign_socket_at_its_path_and_keeps_it(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon, socket.socket(socket.AF_UNIX) as other:
        Path(daemon.socket).unlink()
        other.bind(daemon.socket)
        other.listen()
        until(lambda: "socket-problem" in daemon.log.read_text())
        assert "another daemon listens" in daemon.log.read_text()
        assert daemon.stop() == 0
        assert Path(daemon.socket).is_socket()
