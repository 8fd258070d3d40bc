"""B13: what a POST to the HTTP intake costs until its 204, beside the same POST to a bare trio server.

All read the same request with the same parser (tocsind.http_server). The intake has the message on disk before it answers; the bare server
answers at once; the third writes and syncs a block in a thread before it answers, which is what no durable server can do without. `one` is
one client on a kept connection; `16` are so many connections with a request each at any time.

python -m tests.bench.b13_http serve SOCKET [FILE]    the bare server; with FILE, it syncs a block of that file for each request
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.harness import PATIENCE, file, route

from .command import Size, main
from .daemons import Daemon
from .handoff import Handoff, Server, interleaved
from .table import Row, Table, over_rounds, percentile

TOKEN = "token-of-the-bench"
PATH = f"/api/webhooks/local-file/{TOKEN}"
PAYLOAD = json.dumps(
    {"content": "BUY BTCUSDT", "embeds": [{"title": "BUY BTCUSDT", "description": "fast MA crossed slow MA"}]}
).encode()
REQUEST = (
    f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(PAYLOAD)}\r\n\r\n".encode()
    + PAYLOAD
)
CONNECTIONS = 16
_MICRO = 1e6
_BLOCK = 4096  # bytes, as a record of an outbox has
_COUNTS = {Size.TINY: (1, 5), Size.QUICK: (5, 100), Size.FULL: (15, 200)}  # rounds, puts in each


class _Posts(Handoff):
    """Posts on `CONNECTIONS` kept connections to a Unix socket; a put uses the first `width` of them."""

    width = 1
    address: Path

    def connect(self) -> None:
        """Open the connections."""
        self._clients = [_connected(self.address) for _ in range(CONNECTIONS)]

    def reconnect(self) -> None:
        """Open new connections; the intake closes those on which nothing comes for ten seconds."""
        self.disconnect()
        self.connect()

    def disconnect(self) -> None:
        for client in self._clients:
            client.close()

    def put(self, body: bytes) -> None:  # noqa: ARG002 - a request of its own
        for client in self._clients[: self.width]:
            client.sendall(REQUEST)
        for client in self._clients[: self.width]:
            _read_answer(client)
        self.sent += self.width


class Intake(_Posts):
    """The intake of a daemon that delivers to a file."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width, self.each = name, width, width

    def start(self, folder: Path) -> None:
        self.address = folder / "http.sock"
        http = f'[http]\nlisten = "{self.address}"\ntoken = "{TOKEN}"\n'
        self.daemon = Daemon(folder, http + file() + route("local-file"))
        self.daemon.start()
        self.connect()

    def rest(self) -> None:
        self.daemon.wait_for_counter("notifications_sent", self.sent, patience=6 * PATIENCE)

    def accounted_for(self) -> int:
        """Messages that the daemon delivered."""
        return self.daemon.counter("notifications_sent")

    def stop(self) -> None:
        self.disconnect()
        self.daemon.stop()
        self.daemon.client.close()


class Bare(_Posts, Server):
    """The same HTTP server with a handler that does nothing, or only syncs a block."""

    def __init__(self, name: str, width: int, *, syncs: bool = False) -> None:
        self.name, self.width, self.each = name, width, width
        self._syncs = syncs

    def start(self, folder: Path) -> None:
        self.address = folder / "bare.sock"
        file = [str(folder / "blocks")] if self._syncs else []
        self.serve(self.address, sys.executable, "-m", "tests.bench.b13_http", "serve", str(self.address), *file)
        self.connect()

    def stop(self) -> None:
        self.disconnect()
        super().stop()


def measure(size: Size) -> Table:
    """The table of B13."""
    rounds, puts = _COUNTS[size]
    with TemporaryDirectory() as folder:
        widths = (("one", 1), ("16", CONNECTIONS))
        intakes = [Intake(f"tocsin, {label}", width) for label, width in widths]
        floors = [Bare(f"floor: bare server, {label}", width) for label, width in widths]
        syncing = [Bare(f"bare server that syncs, {label}", width, syncs=True) for label, width in widths]
        things: list[Intake | Bare] = [thing for group in zip(intakes, syncing, floors, strict=True) for thing in group]
        started: list[Intake | Bare] = []
        try:
            for number, thing in enumerate(things):
                own = Path(folder, str(number))
                own.mkdir()
                thing.start(own)
                started.append(thing)
            seconds = interleaved(things, rounds, puts)
            counts = {
                "sent": sum(each.sent for each in intakes),
                "accounted for": sum(each.accounted_for() for each in intakes),
            }
        finally:
            for thing in started:
                thing.stop()
    floor_of = {floor.width: seconds[floor.name] for floor in floors}
    rows = [_row(thing, seconds[thing.name], floor_of[thing.width]) for thing in things]
    notes = [f"medians over {rounds} interleaved rounds of {puts}; a request has {len(REQUEST)} bytes"]
    return Table(
        "b13", "a Discord message posted to the HTTP intake, durable before its 204", rows, counts, notes=notes
    )


def _row(thing: Intake | Bare, rounds: list[list[float]], floor: list[list[float]]) -> Row:
    """The ratio is taken within each round."""
    ratios = [percentile(own, 50) / percentile(bare, 50) for own, bare in zip(rounds, floor, strict=True)]
    rate = median(thing.each * len(each) / sum(each) for each in rounds)
    return Row(
        thing.name,
        {
            "p50 us": over_rounds(rounds, 50) * _MICRO,
            "p99 us": over_rounds(rounds, 99) * _MICRO,
            "p50 x floor": median(ratios),
            "requests per s": rate,
        },
    )


def _connected(address: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    client.connect(str(address))
    return client


def _read_answer(client: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # a 204 has no body
        chunk = client.recv(65536)
        assert chunk, "the server closed"
        answer += chunk
    assert answer.startswith(b"HTTP/1.1 204"), answer


def _serve(address: str, path: str | None = None) -> None:
    import trio

    from tocsind.http_server import Bounds, Reply, Request, WebServer

    file = None if path is None else _blocks(path)

    def sync(descriptor: int) -> None:
        os.pwrite(descriptor, bytes(_BLOCK), 0)
        os.fdatasync(descriptor)

    async def nothing(_: Request) -> Reply:
        if file is not None:
            await trio.to_thread.run_sync(sync, file)
        return Reply(204)

    async def serve() -> None:
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listener:
            await listener.bind(address)
            listener.listen()
            web = WebServer(nothing, Bounds())
            await trio.serve_listeners(web.serve_connection, [trio.SocketListener(listener)])

    trio.run(serve)


def _blocks(path: str) -> int:
    """A file with one block that is on disk: writing it again changes no metadata."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(file, bytes(_BLOCK), 0)
    os.fsync(file)
    return file


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", address]:
            _serve(address)
        case ["serve", address, path]:
            _serve(address, path)
        case _:
            main({"b13": measure})
