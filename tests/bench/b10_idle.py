"""B10: processor time and wake-ups of an idle daemon, with a configuration like the built-in default.

Measured from outside, in /proc. A wake-up is a voluntary context switch: a thread went to sleep by itself and
came back. One signal is delivered first, so that everything that starts late has started.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from .command import Size, main
from .daemons import TEXT, TITLE, TO_FILE, Daemon
from .table import Row, Table

_SECONDS = {Size.TINY: 1, Size.QUICK: 10, Size.FULL: 60}
_SETTLE = 1.0  # seconds for the work that follows a start
_NANO = 1e9


def measure(size: Size) -> Table:
    """The table of B10."""
    seconds = _SECONDS[size]
    with TemporaryDirectory() as folder, Daemon(Path(folder), TO_FILE).start() as daemon:
        receipt = daemon.client.send(TITLE, body=TEXT)
        delivered = daemon.settled(receipt.id).count("delivered")
        daemon.client.close()
        time.sleep(_SETTLE)
        row = _row(Path("/proc", str(daemon.process.pid), "task"), seconds)
        daemon.stop()
    return Table(
        bench="b10",
        title=f"an idle daemon over {seconds} s",
        rows=[row],
        counts={"sent": 1, "delivered": delivered},
        notes=["the goal is below 0.5 % of a core"],
    )


def _row(tasks: Path, seconds: int) -> Row:
    before, begun = _used(tasks), time.perf_counter()
    time.sleep(seconds)
    after, took = _used(tasks), time.perf_counter() - begun
    cpu, wakes = (sum(after[task][at] - before.get(task, (0, 0))[at] for task in after) / took for at in (0, 1))
    return Row("daemon, idle", {"% of a core": 100 * cpu / _NANO, "wake-ups per s": wakes, "threads": len(after)})


def _used(tasks: Path) -> dict[str, tuple[int, int]]:
    """Nanoseconds of processor time and wake-ups so far, by thread. Threads that ended are not counted."""
    return {
        task.name: (int((task / "schedstat").read_text().split()[0]), _switches(task / "status"))
        for task in tasks.iterdir()
    }


def _switches(status: Path) -> int:
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


if __name__ == "__main__":
    main({"b10": measure})
