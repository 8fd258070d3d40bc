"""What the service manager is told: sd_notify on a real datagram socket, with the sender as the kernel knows it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route


class Manager:
    """A NOTIFY_SOCKET that also asks the kernel who writes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(PATIENCE)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self) -> tuple[dict[str, str], int]:
        """The next message's assignments, and the pid of its sender."""
        message, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
        ((level, kind, raw),) = ancillary
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
        pid, uid, _ = struct.unpack("3i", raw)
        assert uid == os.geteuid()
        return dict(line.split("=", 1) for line in message.decode().split("\n")), pid

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = f"@tocsin-test-{os.getpid()}-{tmp_path.name}"
    manager = Manager(str(tmp_path / "manager") if request.param == "a path" else abstract)
    yield manager
    manager.close()


def test_it_tells_ready_reloading_ready_again_and_stopping_each_from_its_own_pid(
    tmp_path: Path, manager: Manager
) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        pid = daemon.spawn(env={"NOTIFY_SOCKET": manager.address}).pid
        ready, sender = manager.hear()
        assert (ready["READY"], ready["MAINPID"], sender) == ("1", str(pid), pid)
        assert daemon.client.send("READY means that it serves").state == "stored"

        daemon.reload()
        reloading, sender = manager.hear()
        assert (reloading["RELOADING"], sender) == ("1", pid)
        assert int(reloading["MONOTONIC_USEC"]) > 0
        again, sender = manager.hear()
        assert (again["READY"], sender) == ("1", pid)

        daemon.process.terminate()
        stopping, sender = manager.hear()
        assert (stopping["STOPPING"], sender) == ("1", pid)
        assert daemon.process.wait(PATIENCE) == 0


def test_a_refused_reload_is_over_too(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "manager"))
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": manager.address})
        manager.hear()
        daemon.configure("nonsense = 1\n")
        daemon.reload()
        assert "RELOADING" in manager.hear()[0]
        assert "READY" in manager.hear()[0]
    manager.close()


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@nobody-listens-there", "nonsense", "vsock:2:1"])
def test_a_manager_that_cannot_be_told_stops_nothing(tmp_path: Path, address: str) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": address})
        daemon.await_socket()
        assert daemon.stop() == 0
