"""B9: how long a start takes with nothing queued and with a million: to READY, and to the first delivery; and with many outboxes.

The backlog is handed over to a daemon whose destination is switched off, which then stops. What is timed is the next start, with the
destination on: from the fork to READY=1 on the notify socket, and to the first line in the destination's file. With nothing queued the
first delivery is a signal's that is handed over at READY, so its hand-off is in the figure. Outboxes of programs that ended while no daemon
ran hold a signal each; their second figure is until all are taken in.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from zlib import crc32

from tests.harness import PATIENCE

import tocsin
from tocsin import outbox_format
from tocsin.ids import new_id

from .command import Size, main
from .daemons import SWITCHED_OFF, TEXT, TITLE, TO_FILE, Daemon
from .table import Row, Table

_SIZES = {
    Size.TINY: (1, 500, 50),
    Size.QUICK: (3, 100_000, 10_000),
    Size.FULL: (5, 1_000_000, 10_000),
}  # starts, queued, outboxes
_AT_ONCE = 500  # signals a frame
_MILLI = 1e3


def measure(size: Size) -> Table:
    """The table of B9."""
    starts, backlog, outboxes = _SIZES[size]
    with TemporaryDirectory() as spooling:
        left = _with_outboxes(Daemon(Path(spooling), SWITCHED_OFF), outboxes)
    with TemporaryDirectory() as empty, TemporaryDirectory() as full:
        idle, laden = Daemon(Path(empty), TO_FILE), Daemon(Path(full), SWITCHED_OFF)
        queued = _queue(laden, backlog)
        rows = [_row("0 queued", [_begin(idle) for _ in range(starts)])]
        laden.configure(TO_FILE)
        rows.append(_row(f"{backlog:,} queued", [_begin(laden) for _ in range(starts)]))
    gap = {name: rows[1].figures[name] - rows[0].figures[name] for name in rows[0].figures}
    return Table(
        bench="b9",
        title="from the fork of a start",
        rows=[*rows, Row("difference", gap), Row(f"{outboxes:,} outboxes", left)],
        counts={"sent": backlog, "queued": queued},
        notes=[
            f"medians over {starts} starts, with outboxes one; goals: a difference below 200 ms, outboxes taken in 5 s"
        ],
    )


def _with_outboxes(daemon: Daemon, count: int) -> dict[str, float]:
    """Milliseconds to READY, and until all signals are taken in that wait in so many outboxes."""
    daemon.spool.mkdir(mode=0o700, parents=True)
    daemon.state.chmod(0o700)
    for number in range(count):
        id_ = os.urandom(outbox_format.HEAD_BYTES - len(outbox_format.FORMAT))
        body = b'[{"title":"BUY BTCUSDT","id":"%b"}]' % new_id().encode()
        head = (outbox_format.FORMAT + id_).ljust(outbox_format.FIRST * outbox_format.BLOCK, b"\0")
        record = outbox_format.pack(crc32(outbox_format.FORMAT + id_), 1, body)
        (daemon.spool / f"{number:05d}{outbox_format.SUFFIX}").write_bytes(head + record)
    os.sync()
    begun = time.perf_counter()
    with daemon.start():
        ready = time.perf_counter() - begun
        daemon.wait_for_counter("signals_accepted", count, PATIENCE * 5)
        taken = time.perf_counter() - begun
        daemon.stop()
    return {"to READY ms": ready * _MILLI, "all taken ms": taken * _MILLI}


def _queue(daemon: Daemon, backlog: int) -> int:
    """Have so many queued; how many are."""
    with daemon.start(), tocsin.Client(daemon.socket, timeout=PATIENCE, strict=True) as client:
        for _ in range(0, backlog, _AT_ONCE):
            client.send_many([{"title": TITLE, "body": TEXT}] * _AT_ONCE)
        queued = int(daemon.status()["queue"]["depth"])
        daemon.stop()
    return queued


def _begin(daemon: Daemon) -> tuple[float, float]:
    """Seconds to READY and to the first delivery; the daemon is killed then, so that hardly any of its backlog is gone."""
    delivered = daemon.state / "alerts.jsonl"
    delivered.unlink(missing_ok=True)
    begun = time.perf_counter()
    with daemon.start():
        ready = time.perf_counter() - begun
        daemon.client.send(TITLE, body=TEXT)
        while not _holds_something(delivered):
            assert time.perf_counter() - begun < PATIENCE, daemon.log.read_text()
            time.sleep(0.001)
        return ready, time.perf_counter() - begun


def _holds_something(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


def _row(name: str, found: list[tuple[float, float]]) -> Row:
    return Row(
        name,
        {
            "to READY ms": median(ready for ready, _ in found) * _MILLI,
            "to first delivery ms": median(first for _, first in found) * _MILLI,
        },
    )


if __name__ == "__main__":
    main({"b9": measure})
