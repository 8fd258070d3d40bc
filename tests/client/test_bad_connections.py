"""Whatever the daemon and its socket do, a hand-off ends in time and says what happened."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Manner, Serve, Visit, answering, refusing, silent, stored
from tests.harness import PATIENCE

import tocsin
from tocsin import Client, paths
from tocsin.connection import Deadline, connect

TIMEOUT = 0.2
LEEWAY = PATIENCE / 2  # a busy machine may be late; a hang would be later


@pytest.fixture
def in_time() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < TIMEOUT + LEEWAY


def _garbage(visit: Visit) -> None:
    visit.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    visit.leaving.wait()


def _no_json(visit: Visit) -> None:
    visit.hear()
    visit.connection.sendall(b"\0\0\0\x05{oops")
    visit.leaving.wait()


def _hanging_up(visit: Visit) -> None:
    visit.hear()


def _hanging_up_midway(visit: Visit) -> None:
    visit.hear()
    visit.connection.sendall(b'\0\0\0\x30{"ok":')


def _trickling(visit: Visit) -> None:
    visit.hear()
    visit.connection.sendall(b"\0\0\xff\xff")
    while not visit.leaving.wait(0.02):
        visit.connection.sendall(b"{")


def _not_reading(visit: Visit) -> None:
    visit.leaving.wait()


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        (silent, "may have stored"),
        (_garbage, "is that socket tocsind's"),
        (_no_json, "is that socket tocsind's"),
        (_hanging_up, "may have stored"),
        (_hanging_up_midway, "may have stored"),
        (_trickling, "may have stored"),
    ],
)
@pytest.mark.usefixtures("in_time")
def test_send_to_a_faulty_daemon_takes_at_most_the_timeout(serve: Serve, manner: Manner, said: str) -> None:
    with Client(serve(manner).path, timeout=TIMEOUT) as client:
        receipt = client.send("BUY")
    assert receipt.state == "spooled"
    assert said in (receipt.reason or "")


@pytest.mark.usefixtures("in_time")
def test_send_to_a_daemon_that_does_not_read_takes_at_most_the_timeout(serve: Serve) -> None:
    with Client(serve(_not_reading).path, timeout=TIMEOUT, ack="none") as client:
        states = [client.send("BUY", body="x" * 4000).state for _ in range(200)]  # these fill any socket's buffer
    assert "spooled" in states


@pytest.mark.usefixtures("in_time")
def test_send_without_a_daemon_returns_at_once(folder: Path) -> None:
    receipt = Client(folder / "s", timeout=PATIENCE).send("BUY")
    assert receipt.state == "spooled"
    assert "nothing is there" in (receipt.reason or "")


def test_receipt_names_a_stale_socket_file(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(folder / "s"))
    assert "no process listens" in (Client(folder / "s").send("BUY").reason or "")


@pytest.mark.parametrize("path", ["/" + "x" * 200, "/dev/null", "/dev/null/s", ".", "nul\0l"])
def test_send_to_an_impossible_socket_path_raises_nothing(path: str) -> None:
    receipt = Client(path, timeout=TIMEOUT).send("BUY")
    assert receipt.state == "spooled"
    assert receipt.reason


@contextlib.contextmanager
def _full_backlog(path: Path) -> Iterator[socket.socket]:
    """A listener with a full backlog: connect blocks until a connection is accepted."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        while True:
            waiting = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except BlockingIOError:
                break
        yield listener


@pytest.mark.usefixtures("in_time")
def test_send_to_a_full_backlog_takes_at_most_the_timeout(folder: Path) -> None:
    with _full_backlog(folder / "s"):
        receipt = Client(folder / "s", timeout=TIMEOUT).send("BUY")
    assert receipt.state == "spooled"
    assert "no connection to" in (receipt.reason or "")


def test_send_succeeds_when_the_backlog_empties_in_time(folder: Path) -> None:
    with _full_backlog(folder / "s") as listener, Client(folder / "s", timeout=10) as client:
        receipts: list[tocsin.Receipt] = []
        sender = threading.Thread(target=lambda: receipts.append(client.send("BUY")))
        sender.start()
        first, _ = listener.accept()
        first.close()
        second, _ = listener.accept()
        with second:
            visit = Visit(second, threading.Event())
            request = visit.hear()
            assert request is not None
            visit.tell(stored(request))
            sender.join(PATIENCE)
    assert receipts[0].state == "stored"


def test_send_reconnects_to_a_restarted_daemon(serve: Serve) -> None:
    first = serve()
    with Client(first.path) as client:
        assert client.send("one").state == "stored"
        first.stop()
        second = serve()
        assert client.send("two").state == "stored"
    assert [request["signal"]["title"] for request in second.requests] == ["two"]


def test_send_repeats_an_interrupted_request_under_the_same_id(serve: Serve) -> None:
    heard: list[str] = []

    def leaving_once(visit: Visit) -> None:
        while (request := visit.hear()) is not None:
            heard.append(request["signal"]["id"])
            if len(heard) == 2:
                return
            visit.tell(stored(request))

    server = serve(leaving_once)
    with Client(server.path) as client:
        client.send("one")
        receipt = client.send("two")
    assert receipt.state == "stored"
    assert heard[1:] == [receipt.id, receipt.id]
    assert server.visits == 2


def test_send_gives_up_after_the_second_attempt(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        client.send("one")
        server.stop()
        assert "no process listens" in (client.send("two").reason or "")


def test_client_reads_the_answer_of_a_daemon_that_rejects_the_connection(serve: Serve) -> None:
    def busy(visit: Visit) -> None:
        visit.connection.shutdown(socket.SHUT_RD)
        visit.tell(refusing("busy")({}))

    with Client(serve(busy).path, timeout=10) as client, pytest.raises(tocsin.RequestFailed, match="told busy"):
        client.request(
            "send", signal={"body": "x" * 1_000_000}
        )  # more than a socket holds: still on its way when the listener closes


def test_daemon_that_closes_without_an_answer_is_unreachable(serve: Serve) -> None:
    with (
        Client(serve(lambda _: None).path, timeout=10) as client,
        pytest.raises(tocsin.Unreachable, match="closed the connection"),
    ):
        client.request("send", signal={"body": "x" * 1_000_000})


def test_client_never_reads_a_late_answer_as_the_next_one(serve: Serve) -> None:
    release = threading.Event()

    def late_once(visit: Visit) -> None:
        while (request := visit.hear()) is not None:
            if request["signal"]["title"] == "slow":
                release.wait(PATIENCE)
            visit.tell(stored(request))

    server = serve(late_once)
    with Client(server.path, timeout=TIMEOUT) as client:
        assert client.send("slow").state == "spooled"
        client.timeout = PATIENCE
        release.set()
        assert client.send("next", to="a").state == "stored"
    assert server.visits == 2


def test_client_never_reads_an_unsolicited_answer_as_the_next_one(serve: Serve) -> None:
    said = threading.Event()

    def talkative(visit: Visit) -> None:
        request = visit.hear()
        assert request is not None
        visit.tell(stored(request))
        visit.tell({"ok": True, "receipt": "absent's"})
        said.set()
        answering(stored)(visit)

    server = serve(talkative)
    with Client(server.path) as client:
        client.send("one")
        assert said.wait(PATIENCE)
        assert client.send("two").state == "stored"
    assert server.visits == 2


def test_reply_over_the_limit_is_not_read(serve: Serve) -> None:
    def boastful(visit: Visit) -> None:
        visit.hear()
        visit.connection.sendall(b"\x7f\xff\xff\xff{}")
        visit.leaving.wait()

    with Client(serve(boastful).path, strict=True) as client, pytest.raises(tocsin.ProtocolMismatch, match="length"):
        client.send("BUY")


@pytest.mark.usefixtures("in_time")
def test_timeout_includes_the_wait_for_another_thread(serve: Serve) -> None:
    busy = threading.Event()

    def slow(visit: Visit) -> None:
        visit.hear()
        busy.set()
        visit.leaving.wait()

    server = serve(slow)
    with Client(server.path, timeout=TIMEOUT) as client:
        other = threading.Thread(target=_quietly(lambda: client.request("status", timeout=2 * PATIENCE)), daemon=True)
        other.start()
        assert busy.wait(PATIENCE)
        assert client.send("BUY").state == "spooled"
        server.stop()
        other.join(PATIENCE)


def _quietly(run: Callable[[], Any]) -> Callable[[], None]:
    def quietly() -> None:
        with contextlib.suppress(tocsin.TocsinError):
            run()

    return quietly


def test_client_is_usable_after_ctrl_c(serve: Serve) -> None:
    def interrupting(visit: Visit) -> None:
        request = visit.hear()
        assert request is not None
        if request["signal"]["title"] == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
            visit.leaving.wait()
        visit.tell(stored(request))

    server = serve(interrupting)
    with Client(server.path, timeout=30) as client:
        with pytest.raises(KeyboardInterrupt):
            client.send("interrupted")
        assert client.send("after").state == "stored"


def test_client_with_a_timeout_of_zero_sends_nothing(serve: Serve) -> None:
    with Client(serve().path, timeout=0) as client:
        assert client.send("BUY").state == "spooled"


def test_infinite_timeout_is_accepted(serve: Serve) -> None:
    with Client(serve().path, timeout=float("inf")) as client:
        assert client.send("BUY").state == "stored"


@pytest.fixture
def default_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The socket stands where it does for a user without XDG_RUNTIME_DIR."""
    for name in ("TOCSIN_SOCKET", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(paths, "RUNTIMES", str(folder / "run"))
    monkeypatch.setattr(paths, "ROOT_SOCKET", paths.own_sockets()[0])  # root has no private place
    return folder / f"tocsin-{os.geteuid()}"


def _connect() -> Any:
    connect(None, Deadline(TIMEOUT)).close()


def test_client_follows_no_link_in_the_temporary_folder(default_place: Path, folder: Path) -> None:
    (folder / "trap").mkdir()
    default_place.symlink_to(folder / "trap")
    with pytest.raises(PermissionError, match="with mode 0700"):
        _connect()
    assert "with mode 0700" in (Client().send("BUY").reason or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_client_uses_no_other_users_folder_in_the_temporary_folder(default_place: Path) -> None:
    default_place.mkdir()
    os.chown(default_place, 12345, 12345)
    with pytest.raises(PermissionError, match="with mode 0700"):
        _connect()


def test_client_uses_its_own_users_folder_in_the_temporary_folder(default_place: Path) -> None:
    default_place.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(default_place / "tocsin.sock"))
        listener.listen()
        _connect()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o755, 0o770])
def test_private_folder_that_others_may_enter_is_refused_and_signal_spooled(default_place: Path, mode: int) -> None:
    default_place.mkdir()
    default_place.chmod(mode)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(default_place / "tocsin.sock"))
        listener.listen()
        receipt = Client().send("BUY")
    assert (receipt.state, f"mode {mode:04o}" in (receipt.reason or "")) == ("spooled", True)
