"""A socket of the service manager: it outlives the daemon, and connections wait for the next daemon."""

from __future__ import annotations

import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.raw_peer import HUNG_UP, Peer, request
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, need, route, until
from tests.manager import Listening, with_socket

CONFIG = file() + route("local-file")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    with Listening(tmp_path / "t.sock") as listening:
        yield listening


def test_inherited_socket_keeps_its_file_and_mode(tmp_path: Path, listening: Listening) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        Path(daemon.socket).chmod(0o600)
        before = Path(daemon.socket).lstat()
        daemon.start(*listening.inheriting(), **listening.popen)
        assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
        assert daemon.wait_for("started")["socket"] == daemon.socket
        assert daemon.stop() == 0
        after = Path(daemon.socket).lstat()
    assert (after.st_ino, stat.S_IMODE(after.st_mode)) == (before.st_ino, 0o600)


def test_connection_while_daemon_is_down_is_served_by_next_daemon(tmp_path: Path, listening: Listening) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon, Peer(daemon.socket) as peer:
        peer.json(request("send", signal={"title": "early"}))
        daemon.start(*listening.inheriting(), **listening.popen)
        reply = peer.reply()
        assert reply is not HUNG_UP
        assert reply["receipt"]["state"] == "stored"


def test_connection_during_drain_is_served_by_next_daemon(
    tmp_path: Path, listening: Listening, fake: FakeProcess
) -> None:
    url = fake.webhooks[0]["url"]
    with DaemonProcess(tmp_path, discord("d", url) + route("d")) as daemon:
        daemon.start(*listening.inheriting(), **listening.popen)
        fake.hold()
        daemon.client.send("in flight")
        fake.await_held()
        daemon.process.terminate()
        until(lambda: "stopping" in daemon.log.read_text())
        with Peer(daemon.socket) as peer:
            peer.json(request("send", signal={"title": "late"}))
            fake.release()
            assert daemon.process.wait(PATIENCE) == 0
            daemon.start(*listening.inheriting(), **listening.popen)
            reply = peer.reply()
            assert reply is not HUNG_UP
            assert reply["receipt"]["state"] == "stored"


def test_inherited_socket_overrides_configured_one_with_warning(tmp_path: Path, listening: Listening) -> None:
    with DaemonProcess(tmp_path, CONFIG, {"TOCSIN_SOCKET": str(tmp_path / "other.sock")}) as daemon:
        daemon.start(*listening.inheriting(), **listening.popen)
        assert daemon.client.send("x").state == "stored"
        assert not (tmp_path / "other.sock").exists()
        assert f"inherited from the service manager, and not {tmp_path}/other.sock" in daemon.log.read_text()


def test_inherited_socket_of_wrong_type_is_a_configuration_error(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as wrong,
        DaemonProcess(tmp_path, CONFIG, {"LISTEN_FDS": "1"}) as daemon,
    ):
        assert daemon.spawn(*with_socket(wrong), pass_fds=(wrong.fileno(),)).wait(PATIENCE) == 78
        assert "ListenStream= must be a path" in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()


def test_systemd_socket_activate_starts_daemon_at_first_connection(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        passed = [f"--setenv={name}" for name in ("PATH", "PYTHONPATH", "TOCSIN_SOCKET", "STATE_DIRECTORY")]
        activate = [need("systemd-socket-activate"), f"--listen={daemon.socket}", *passed]
        daemon.spawn(*activate, sys.executable, "-m", "tocsind")
        until(lambda: "Listening on" in daemon.log.read_text())  # its file is there a moment earlier
        assert daemon.settled(daemon.client.send("the first connection").id) == ["delivered"]
        assert daemon.status()["pid"] == daemon.process.pid
        assert daemon.stop() == 0
