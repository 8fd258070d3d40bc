"""The accept loop when no file descriptor is left: a real listener and a real limit, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import trio
import trio.testing

from tocsind.host.accept_loop import AcceptLoop

SCRIPT = """
import errno, resource, socket, sys
import trio
from tocsind.host.accept_loop import AcceptLoop
from tocsind.events import AcceptFailed

async def main(path):
    events, served, evicted = [], [], []
    raw = socket.socket(socket.AF_UNIX)
    raw.bind(path)
    raw.listen(100)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(raw))

    async def serve(stream):
        served.append(stream)
        await trio.sleep_forever()

    loop = AcceptLoop("socket", events.append, 100, lambda: evicted.append(1))
    clients = [socket.socket(socket.AF_UNIX) for _ in range(10)]
    async with trio.open_nursery() as nursery:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raw.fileno() + 15, 100))
        for client in clients:
            client.connect(path)
        nursery.start_soon(loop.run, listener, serve, nursery)
        while len(evicted) < 4:
            await trio.sleep(0.01)
        [event] = events
        assert isinstance(event, AcceptFailed) and event.times == 1, event
        assert event.reason == "Too many open files", event
        before = len(served)
        assert before < 10
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        while len(served) < 10:
            await trio.sleep(0.01)
        assert len(events) == 1
        nursery.cancel_scope.cancel()
    assert raw.fileno() == -1 or listener.socket.fileno() == -1

trio.run(main, sys.argv[1])
"""


def test_accept_loop_reports_once_and_goes_on_when_descriptors_are_free_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "s"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


async def test_accept_loop_leaves_connections_in_the_backlog_when_enough_are_open(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(10)
    served: list[trio.Event] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            served.append(trio.Event())
            await served[-1].wait()

    async with trio.open_nursery() as nursery:
        loop = AcceptLoop("socket", print, 2)
        nursery.start_soon(loop.run, trio.SocketListener(trio.socket.from_stdlib_socket(listener)), serve, nursery)
        clients = [await trio.open_unix_socket(tmp_path / "s") for _ in range(3)]
        with trio.fail_after(20):
            while len(served) < 2:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            assert len(served) == 2
            served[0].set()
            assert await clients[0].receive_some(1) == b""
            while len(served) < 3:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    for client in clients:
        await client.aclose()
