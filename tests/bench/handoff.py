"""The interface of what is measured: a queue whose `put` returns when the body is stored."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PATIENCE = 20.0  # seconds for a server to begin or to end
BODY_BYTES = 300
BODY = (b'{"title":"BUY BTCUSDT","body":"' + b"fast MA crossed slow MA; " * 12)[: BODY_BYTES - 2] + b'"}'


class Handoff:
    """One measured queue. It needs `program` and `package`; without them it is skipped by name."""

    name: str
    program: str | None = None
    package: str | None = None
    each = 1  # signals in a put
    sent = 0  # signals, where the handoff counts them

    def missing(self) -> str | None:
        """Why this cannot be measured here; None when it can."""
        if self.program and not shutil.which(self.program):
            return f"there is no {self.program} on this machine"
        if self.package and not importlib.util.find_spec(self.package):
            return f"the package {self.package} is not installed"
        return None

    def start(self, folder: Path) -> None:
        """Begin, with all files below `folder`."""
        raise NotImplementedError

    def join(self) -> None:
        """In a forked process: connect a client of its own to the server that the parent started."""

    def reconnect(self) -> None:
        """Before each round, which is not measured: open the connections again that the server may have closed as idle."""

    def put(self, body: bytes) -> None:
        """Hand `body` over; it is stored when this returns."""
        raise NotImplementedError

    def rest(self) -> None:
        """Wait until the server is idle."""

    def stop(self) -> None:
        """End what `start` began, however far it came: processes first."""


class Server(Handoff):
    """A handoff to a process of its own, on a Unix socket."""

    process: subprocess.Popen[bytes] | None = None

    def serve(self, address: Path, *command: str) -> None:
        """Start the server and wait until it listens on `address`."""
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while not _listens(address):
            assert self.process.poll() is None, f"{command[0]} left at once"
            assert time.monotonic() < until, f"{command[0]} does not listen"
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)


def _listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(os.fspath(address)) == 0


def timed(call: Callable[[], object], times: int) -> list[float]:
    """Seconds that each of so many calls took."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return found


def interleaved(things: Sequence[Handoff], rounds: int, puts: int) -> dict[str, list[list[float]]]:
    """Seconds of each `put`, by name and round. A round before the first warms up and is not counted."""
    found: dict[str, list[list[float]]] = {thing.name: [] for thing in things}
    for number in range(rounds + 1):
        for thing in things:
            thing.reconnect()
            seconds = timed(lambda put=thing.put: put(BODY), puts)  # type: ignore[misc]  # a default binds early
            thing.rest()
            if number:
                found[thing.name].append(seconds)
    return found
