"""The socket's file is removed or replaced: real sockets in a folder; the tests call `look` instead of waiting for a check."""

# ruff: noqa: ASYNC240 - the files are the subject, and a temporary folder does not block
from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tocsind.events import Event, SocketProblem, SocketRestored
from tocsind.host.unix_socket import UnixListener, adopt, open_listener

PATIENCE = 20.0


class Served:
    """A listener that sends `hello` on every connection."""

    def __init__(self, listener: UnixListener, path: Path) -> None:
        self.listener = listener
        self.path = path
        self.events: list[Event] = []

    async def greet(self) -> None:
        while True:
            async with await self.listener.accept() as stream:
                await stream.send_all(b"hello")

    def look(self) -> str | None:
        self.listener.check(self.events.append)
        return self.listener.problem

    async def is_reached(self) -> bool:
        with trio.fail_after(PATIENCE):
            async with await trio.open_unix_socket(self.path) as stream:
                return await stream.receive_some(5) == b"hello"


@asynccontextmanager
async def served(listener: UnixListener, path: Path) -> AsyncIterator[Served]:
    at = Served(listener, path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(at.greet)
        yield at
        nursery.cancel_scope.cancel()
    await listener.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "t.sock"


async def test_socket_that_is_removed_is_bound_again(path: Path) -> None:
    async with served(open_listener(str(path)), path) as at:
        assert await at.is_reached()
        for _ in range(3):
            path.unlink()
            assert at.look() is None
            assert await at.is_reached()
            assert at.look() is None
        assert at.events == [SocketRestored(str(path))] * 3
        assert path.stat().st_mode & 0o777 == 0o660


async def test_socket_whose_folder_is_removed_is_bound_again(path: Path) -> None:
    async with served(open_listener(str(path)), path) as at:
        shutil.rmtree(path.parent)
        assert at.look() is None
        assert await at.is_reached()
        assert path.parent.stat().st_mode & 0o077 in (0, 0o055)


async def test_socket_that_is_moved_away_is_bound_again_and_the_other_file_is_left(path: Path) -> None:
    async with served(open_listener(str(path)), path) as at:
        path.rename(path.with_name("moved"))
        assert at.look() is None
        assert await at.is_reached()
        at.listener.remove()
        assert [each.name for each in path.parent.iterdir()] == ["moved"]


async def test_socket_path_of_another_daemon_is_left_alone(path: Path) -> None:
    async with served(open_listener(str(path)), path) as at:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            inode = path.stat().st_ino
            for _ in range(2):
                assert "another daemon listens" in (at.look() or "")
            assert [type(event) for event in at.events] == [SocketProblem], "it is reported once"
            at.listener.remove()
            assert path.stat().st_ino == inode
        assert at.look() is None, "no process listens there any more"
        assert await at.is_reached()
        assert at.events[-1] == SocketRestored(str(path))


async def test_file_of_another_kind_at_the_socket_path_is_left_alone_and_reported(path: Path) -> None:
    async with served(open_listener(str(path)), path) as at:
        path.unlink()
        path.write_text("precious")
        assert "is no socket" in (at.look() or "")
        at.listener.remove()
        assert path.read_text() == "precious"
        path.unlink()
        assert at.look() is None


async def test_stale_socket_at_the_path_is_replaced(path: Path) -> None:
    async with served(open_listener(str(path)), path) as at:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        assert at.look() is None
        assert await at.is_reached()


async def test_inherited_socket_without_its_file_is_reported_and_not_bound_again(tmp_path: Path) -> None:
    path = tmp_path / "t.sock"
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(str(path))
    inherited.listen()
    async with served(adopt(inherited), path) as at:
        assert at.look() is None
        path.rename(tmp_path / "kept")
        assert "restart its socket unit" in (at.look() or "")
        assert not path.exists()
        (tmp_path / "kept").rename(path)
        assert at.look() is None
        assert await at.is_reached()
        at.listener.remove()
        assert path.exists(), "it is the service manager's to remove"
