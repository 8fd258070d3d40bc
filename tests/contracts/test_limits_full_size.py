"""Four members open as many connections as they may: the daemon stays below the memory limits of its unit and serves other clients."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from tests.contracts.raw_peer import framed, request
from tests.harness import PATIENCE, DaemonProcess, file, public_folder, route

import tocsin

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become four other users"),
]

MEMBERS = (20001, 20002, 20003, 20004)
EACH = 256  # connections
ANOTHER = 20005
UNIT = Path(__file__).parents[2] / "packaging/systemd/tocsind.service"

HALF_FRAME = (256 * 1024).to_bytes(4, "big") + b"{" + b"x" * 255 * 1024
EMPTY_LISTS = 255 * 1024  # each of them one byte in MessagePack, and 64 in memory
SIGNAL_OF_LISTS = (
    b"\x83\xa2op\xa4send\xa1v\x01\xa6signal\x81\xa6fields\xdd" + EMPTY_LISTS.to_bytes(4, "big") + b"\x90" * EMPTY_LISTS
)
ATTACKS = {
    "tails that are not read": framed(json.dumps(request("tail", follow=True))),
    "half frames": HALF_FRAME,
    "frames that grow when they are decoded": framed(SIGNAL_OF_LISTS) * 3,
    "replies that are not read": framed(json.dumps(request("queue", limit=1000))) * 50,
    "idle": b"",
}


@contextmanager
def holding(uid: int, path: str, opening: bytes) -> Iterator[Callable[[], bool]]:
    """Another user opens EACH connections, writes `opening` on each, and reads nothing until the end; the call waits until that is done."""
    ready, start = os.pipe()
    wait, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(end)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            connections = [opened(path, opening) for _ in range(EACH)]
            os.write(start, b"+" if connections else b"-")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(start)
    os.close(wait)
    try:
        yield lambda: os.read(ready, 1) == b"+"
    finally:
        os.close(end)
        os.close(ready)
        os.waitpid(pid, 0)


def opened(path: str, opening: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(0.02)
    with suppress(OSError):  # refused, or not read any more
        connection.connect(path)
        connection.sendall(opening)
    return connection


def as_user(uid: int, work: Callable[[], str]) -> str:
    """The result of `work` in a process of this user."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as output:
        answer = output.read()
    os.waitpid(pid, 0)
    return answer


def most_memory(pid: int) -> int:
    """The peak of the process's anonymous memory, in bytes."""
    found = dict(re.findall(r"^(VmHWM|RssFile):\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    return (int(found["VmHWM"]) - int(found["RssFile"])) * 1024


def memory_high() -> int:
    """MemoryHigh of the unit, in bytes."""
    found = re.search(r"^MemoryHigh=(\d+)M$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 2**20


@pytest.mark.parametrize("attack", ATTACKS)
def test_1024_connections_of_four_members_block_no_client_and_stay_below_memory_limit(attack: str) -> None:
    config = file() + route("local-file")
    with public_folder() as folder, DaemonProcess(folder, config, executed=True) as daemon, ExitStack() as stack:
        daemon.start()
        Path(daemon.socket).chmod(0o666)
        daemon.client.send_many([tocsin.Signal(f"signal {number}", body="y" * 1000) for number in range(1000)])
        members = [stack.enter_context(holding(uid, daemon.socket, ATTACKS[attack])) for uid in MEMBERS]

        def send() -> str:
            client = tocsin.Client(daemon.socket, timeout=PATIENCE * 3, spool=False)
            return client.send("another member's").state

        assert as_user(ANOTHER, send) == "stored"
        assert daemon.client.send("root's").state == "stored"
        assert all(have_opened() for have_opened in members)
        assert as_user(ANOTHER, send) == "stored"
        assert daemon.client.send("root's").state == "stored"
        assert daemon.status()["health"] == "ok"
        assert most_memory(daemon.process.pid) < memory_high()
