"""B8: memory of the daemon, idle and with a backlog that Discord does not accept.

Resident is RssAnon + RssFile of /proc/PID/status: what the process itself keeps in memory, the interpreter and the libraries that it
shares with others included. Pss (/proc/PID/smaps_rollup) divides those among who shares them, so it is shown beside it and not compared.
The floor is a process that has imported what the daemon is built on and does nothing. Nothing listens at the destination's address, so
the backlog meets everything: the window, the breaker, the rest.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness import PATIENCE, discord, route

import tocsin

from .command import Size, main
from .daemons import TEXT, TITLE, Daemon
from .table import Row, Table

_BACKLOGS = {Size.TINY: [500], Size.QUICK: [100_000], Size.FULL: [100_000, 1_000_000]}
_AT_ONCE = 500  # signals a frame
_KIB, _MIB = 1024, 1024 * 1024
_FLOOR = """
import httpx, msgspec, trio

async def idle():
    async with httpx.AsyncClient():
        print("ready", flush=True)
        await trio.sleep_forever()

trio.run(idle)
"""


def measure(size: Size) -> Table:
    """The table of B8."""
    backlogs = _BACKLOGS[size]
    with bare() as floor_pid, TemporaryDirectory() as folder, unreachable() as url:
        floor = resident(floor_pid)
        rows = [_row("floor: trio + httpx + msgspec, idle", floor_pid, floor, floor)]
        with Daemon(Path(folder), discord("d", url) + route("d")).start() as daemon:
            idle = resident(daemon.process.pid)
            rows.append(_row("daemon, idle", daemon.process.pid, floor, idle))
            for backlog in backlogs:
                _queue(daemon, backlog)
                rows.append(_row(f"daemon, {backlog:,} queued", daemon.process.pid, floor, idle))
            queued = daemon.status()["queue"]["depth"]
    return Table(
        bench="b8",
        title="resident memory (RssAnon + RssFile)",
        rows=rows,
        counts={"sent": backlogs[-1], "queued": queued},
        notes=["the destination is a loopback port without a listener"],
    )


@contextmanager
def bare() -> Iterator[int]:
    """The pid of a process that has imported the daemon's libraries, with an idle loop and a client."""
    process = subprocess.Popen([sys.executable, "-c", _FLOOR], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@contextmanager
def unreachable() -> Iterator[str]:
    """A webhook's URL at a loopback address that refuses every connection."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/api/webhooks/100000000000000001/{'t' * 68}"


def resident(pid: int) -> float:
    """RssAnon + RssFile, in bytes."""
    return float(sum(_kib(Path(f"/proc/{pid}/status"), name) for name in ("RssAnon", "RssFile")) * _KIB)


def _kib(path: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name}:"))


def _row(name: str, pid: int, floor: float, idle: float) -> Row:
    now = resident(pid)
    pss = _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss") * _KIB
    return Row(
        name, {"MB": now / _MIB, "x floor": now / floor, "MB over idle": (now - idle) / _MIB, "Pss MB": pss / _MIB}
    )


def _queue(daemon: Daemon, backlog: int) -> None:
    """Hand signals over until so many were accepted."""
    with tocsin.Client(daemon.socket, timeout=PATIENCE, strict=True) as client:
        for _ in range(daemon.counter("signals_accepted"), backlog, _AT_ONCE):
            client.send_many([{"title": TITLE, "body": TEXT}] * _AT_ONCE)


if __name__ == "__main__":
    main({"b8": measure})
