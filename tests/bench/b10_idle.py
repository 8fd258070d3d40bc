"""B10: processor time and wake-ups of an idle daemon, with a configuration like the built-in default.

Measured from outside, in /proc. A wake-up is a voluntary context switch: a thread went to sleep by itself and
came back. One signal is delivered first, so that everything that starts late has started.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness import FakeProcess, discord, route
from tests.shared.conftest import RedisServer

from .command import Size, main
from .daemons import TEXT, TITLE, TO_FILE, Daemon
from .table import Row, Table

_SECONDS = {Size.TINY: 1, Size.QUICK: 10, Size.FULL: 60}
_SETTLE = 1.0  # seconds for the work that follows a start
_NANO = 1e9
ALONE = "daemon, idle"


def measure(size: Size) -> Table:
    """The table of B10."""
    seconds, rows, counts = _SECONDS[size], [], {"sent": 0, "delivered": 0}
    with TemporaryDirectory() as folder, FakeProcess("--limits", "none") as fake:
        engine = RedisServer(Path(folder)).start()
        try:
            shared = f'[shared]\nurl = "{engine.url}"\n' + discord("d", fake.webhooks[0]["url"]) + route("d")
            for number, (name, config) in enumerate(
                {ALONE: TO_FILE, f"{ALONE}, one destination shared": shared}.items()
            ):
                with Daemon(Path(folder, str(number)), config).start() as daemon:
                    counts["delivered"] += _delivered(daemon)
                    counts["sent"] += 1
                    rows.append(_row(name, Path("/proc", str(daemon.process.pid), "task"), seconds))
                    daemon.stop()
        finally:
            engine.kill()
    return Table(
        bench="b10",
        title=f"an idle daemon over {seconds} s",
        rows=rows,
        counts=counts,
        notes=[
            "the goal is below 0.5 % of a core; a shared destination costs a question to the engine every 0.67 s, and others"
        ],
    )


def _delivered(daemon: Daemon) -> int:
    receipt = daemon.client.send(TITLE, body=TEXT)
    found = daemon.settled(receipt.id).count("delivered")
    daemon.client.close()
    time.sleep(_SETTLE)
    return found


def _row(name: str, tasks: Path, seconds: int) -> Row:
    before, begun = _used(tasks), time.perf_counter()
    time.sleep(seconds)
    after, took = _used(tasks), time.perf_counter() - begun
    cpu, wakes = (sum(after[task][at] - before.get(task, (0, 0))[at] for task in after) / took for at in (0, 1))
    return Row(name, {"% of a core": 100 * cpu / _NANO, "wake-ups per s": wakes, "threads": len(after)})


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
