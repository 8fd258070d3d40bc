"""The floors: the least that a hand-off costs here, as servers of their own.

python -m tests.bench.floors durable SOCKET FILE    blocking echo; each body is written into FILE and fdatasynced before the answer
python -m tests.bench.floors trio SOCKET            echo by a trio server that does nothing else
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from .handoff import BODY_BYTES, Server

_PREALLOCATED = 16 * 1024 * 1024  # bytes really written, so that no fdatasync has to write an extent's metadata


class DurableFloor(Server):
    """Blocking Unix-socket echo, with write + fdatasync into a preallocated file before each answer."""

    name = "floor: echo + fdatasync"

    def start(self, folder: Path) -> None:
        address = folder / "floor.sock"
        self.serve(address, sys.executable, "-m", "tests.bench.floors", "durable", str(address), str(folder / "floor"))
        self._socket = connected(address)

    def put(self, body: bytes) -> None:
        exchange(self._socket, body)

    def stop(self) -> None:
        super().stop()
        self._socket.close()


class TrioFloor(DurableFloor):
    """Bare trio Unix-socket echo: no disk."""

    name = "floor: trio echo"

    def start(self, folder: Path) -> None:
        address = folder / "trio.sock"
        self.serve(address, sys.executable, "-m", "tests.bench.floors", "trio", str(address))
        self._socket = connected(address)


def connected(address: Path) -> socket.socket:
    """A blocking connection."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(address))
    return client


def exchange(client: socket.socket, body: bytes) -> None:
    """Send `body` and read as many bytes back."""
    client.sendall(body)
    left = len(body)
    while left:
        left -= len(client.recv(left))


def _serve_durable(address: str, path: str) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, bytes(_PREALLOCATED))
    os.fsync(file)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        while True:  # the first to come only looks whether we listen
            _answer_durably(listener.accept()[0], file)


def _answer_durably(client: socket.socket, file: int) -> None:
    at = 0
    while body := client.recv(BODY_BYTES, socket.MSG_WAITALL):
        at += os.pwrite(file, body, at % (_PREALLOCATED - BODY_BYTES))
        os.fdatasync(file)
        client.sendall(body)


def _serve_trio(address: str) -> None:
    import trio

    async def echo(stream: trio.SocketStream) -> None:
        async for body in stream:
            await stream.send_all(body)

    async def serve() -> None:
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listener:
            await listener.bind(address)
            listener.listen()
            await trio.serve_listeners(echo, [trio.SocketListener(listener)])

    trio.run(serve)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["durable", address, path]:
            _serve_durable(address, path)
        case ["trio", address]:
            _serve_trio(address)
