"""Notifications of the service manager: sd_notify on a real datagram socket that checks the sender's pid."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route
from tests.manager import Manager

CONFIG = file() + route("local-file")
OFTEN = {"WATCHDOG_USEC": "200000"}  # WATCHDOG=1 each tenth of a second
PROGRAMS = {"venv": (sys.executable, "-m", "tocsind")}  # ways to start the daemon; a manager must see no difference


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return PROGRAMS[request.param]


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = f"@tocsin-test-{os.getpid()}-{tmp_path.name}"
    with Manager(str(tmp_path / "manager") if request.param == "a path" else abstract) as manager:
        yield manager


def test_daemon_notifies_ready_watchdog_reloading_and_stopping_from_own_pid(
    tmp_path: Path, manager: Manager, program: tuple[str, ...]
) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.spawn(*program, env={"NOTIFY_SOCKET": manager.address, **OFTEN})
        ready, pid = manager.receive()
        assert (ready["READY"], ready["MAINPID"]) == ("1", str(pid))
        assert daemon.client.status()["pid"] == pid
        assert daemon.client.send("READY means that it serves").state == "stored"
        assert [manager.receive_assignment("WATCHDOG")[1] for _ in range(3)] == [pid] * 3

        os.kill(pid, signal.SIGHUP)
        reloading, sender = manager.receive_assignment("RELOADING")
        assert (reloading["RELOADING"], sender) == ("1", pid)
        assert int(reloading["MONOTONIC_USEC"]) > 0
        again, sender = manager.receive_assignment("READY")
        assert (again["READY"], sender) == ("1", pid)

        os.kill(pid, signal.SIGTERM)
        stopping, sender = manager.receive_assignment("STOPPING")
        assert (stopping["STOPPING"], sender) == ("1", pid)
        assert daemon.process.wait(PATIENCE) == 0


def test_stopped_process_sends_no_watchdog_notification(tmp_path: Path) -> None:
    with Manager(str(tmp_path / "manager")) as manager, DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": manager.address, **OFTEN})
        manager.receive_assignment("READY")
        manager.receive_assignment("WATCHDOG")
        daemon.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
        manager.discard()
        assert manager.is_silent(0.5)
        daemon.process.send_signal(signal.SIGCONT)
        manager.receive_assignment("WATCHDOG")


@pytest.mark.parametrize(
    "wish", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {**OFTEN, "WATCHDOG_PID": "1"}], ids=str
)
def test_daemon_without_watchdog_request_sends_no_watchdog_notification(tmp_path: Path, wish: dict[str, str]) -> None:
    with Manager(str(tmp_path / "manager")) as manager, DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": manager.address, **wish})
        manager.receive_assignment("READY")
        assert manager.is_silent(0.3)


def test_watchdog_abort_writes_stacks_of_all_threads_and_loses_nothing(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        id_ = daemon.client.send("x").id
        daemon.process.send_signal(signal.SIGABRT)
        code = daemon.process.wait(PATIENCE)
        said = daemon.log.read_text()
        assert code < 0, (
            code,
            said,
        )  # by a signal; looking at threads that still run may end it by another than this one
        assert "Fatal Python error: Aborted" in said
        assert "Thread 0x" in said
        daemon.start()
        assert daemon.settled(id_) == ["delivered"]


def test_refused_reload_notifies_ready_again(tmp_path: Path) -> None:
    with Manager(str(tmp_path / "manager")) as manager, DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": manager.address})
        manager.receive()
        daemon.configure("nonsense = 1\n")
        daemon.reload()
        assert "RELOADING" in manager.receive()[0]
        assert "READY" in manager.receive()[0]


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@no-listener", "nonsense", "vsock:2:1"])
def test_unreachable_notify_socket_is_not_fatal(tmp_path: Path, address: str) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": address, **OFTEN})
        daemon.await_socket()
        assert daemon.stop() == 0
