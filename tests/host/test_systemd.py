"""The socket that the service manager passes: accepted when the daemon can serve on it, else refused with the reason."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.manager import Listening

from tocsind.host import systemd
from tocsind.host.systemd import WrongSocket, inherited_socket

HandDown = Callable[..., None]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    with Listening(tmp_path / "t.sock") as listening:
        yield listening


@pytest.fixture
def pass_down(monkeypatch: pytest.MonkeyPatch) -> Iterator[HandDown]:
    """A function that passes a copy of a descriptor, as the service manager does."""
    copies = []

    def hand(descriptor: int, pid: str | None = None, count: str = "1") -> None:
        copies.append(os.dup(descriptor))
        monkeypatch.setattr(systemd, "FIRST_FD", copies[-1])
        given = {"PID": str(os.getpid()) if pid is None else pid, "FDS": count, "FDNAMES": "a:b"}
        for name, value in given.items():
            monkeypatch.setenv(f"LISTEN_{name}", value)

    yield hand
    for copy in copies:
        with suppress(OSError):  # the code under test may have closed it
            os.close(copy)


def test_watchdog_ping_is_dropped_when_the_managers_queue_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_PATIENCE", 3600.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert systemd.ping_watchdog()
        while systemd.ping_watchdog():  # until the queue is full
            pass
        assert not systemd.notify_status("it hangs")
        assert manager.recv(100).startswith(b"WATCHDOG=1")
        assert systemd.ping_watchdog()


def test_inherited_socket_is_taken_once_and_not_inheritable(listening: Listening, pass_down: HandDown) -> None:
    pass_down(listening.fileno())
    inherited = inherited_socket()
    assert inherited is not None
    with inherited:
        assert inherited.getsockname() == listening.getsockname()
        assert not inherited.get_inheritable()
    assert not any(name.startswith("LISTEN_") for name in os.environ)
    assert inherited_socket() is None


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("", "1"), (None, "0"), (None, ""), (None, "many")])
def test_inherited_socket_of_another_process_or_without_count_is_ignored(
    listening: Listening, pass_down: HandDown, pid: str | None, count: str
) -> None:
    pass_down(listening.fileno(), pid, count)
    assert inherited_socket() is None


def test_inherited_socket_is_none_without_variables() -> None:
    assert inherited_socket() is None


def test_several_inherited_sockets_are_an_error_with_their_names(listening: Listening, pass_down: HandDown) -> None:
    pass_down(listening.fileno(), count="2")
    with pytest.raises(WrongSocket, match=r"2 sockets were handed down \(a:b\).*one ListenStream="):
        inherited_socket()


def _not_listening() -> socket.socket:
    return socket.socket(socket.AF_UNIX)


def _datagrams() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def _tcp() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _abstract() -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(f"\0tocsin-test-{os.getpid()}")
    found.listen()
    return found


@pytest.mark.parametrize("make", [_not_listening, _datagrams, _tcp, _abstract])
def test_inherited_socket_of_another_kind_is_an_error_with_the_unit_setting(
    pass_down: HandDown, make: Callable[[], socket.socket]
) -> None:
    with make() as wrong:
        pass_down(wrong.fileno())
        with pytest.raises(WrongSocket, match="ListenStream= must be a path, and Accept= no"):
            inherited_socket()


def test_inherited_descriptor_that_is_no_socket_is_an_error(tmp_path: Path, pass_down: HandDown) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as file:
        pass_down(file.fileno())
        with pytest.raises(WrongSocket, match="is no socket"):
            inherited_socket()


@pytest.mark.parametrize(
    ("frozen", "pid", "expected"),
    [(False, os.getppid(), False), (True, os.getppid(), True), (True, 1, os.getppid() == 1)],
)
def test_inherited_socket_of_the_bootloader_is_taken_by_a_single_file_binary(
    monkeypatch: pytest.MonkeyPatch, frozen: bool, pid: int, expected: bool
) -> None:
    if frozen:
        monkeypatch.setattr("sys.frozen", True, raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(pid))
    assert systemd.watchdog_interval() == (30.0 if expected else None)
