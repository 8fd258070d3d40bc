"""B4: the caller's cost before the first signal: `import tocsin` in a program, `tocsin send` in a shell.

An import is timed inside a fresh interpreter, beside the import of `socket` in another: the client needs that in any case. The command is
timed from outside, fork to exit, with a daemon that stores the signal, beside an interpreter that is started and does nothing; both are
the same Python with the same packages, and the bytecode is there, as after an installation. Each round runs all of them once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .command import Size, main
from .daemons import SWITCHED_OFF, TITLE, Daemon
from .table import Row, Table, percentile

_ROUNDS = {Size.TINY: 2, Size.QUICK: 15, Size.FULL: 60}
_MILLI = 1e3
_IMPORT = "import time; begun = time.perf_counter(); import {}; print(time.perf_counter() - begun)"


def measure(size: Size) -> Table:
    """The table of B4."""
    rounds = _ROUNDS[size]
    with TemporaryDirectory() as folder, Daemon(Path(folder), SWITCHED_OFF).start() as daemon:
        env = {name: value for name, value in daemon.env.items() if name != "PYTHONDONTWRITEBYTECODE"}
        things: dict[str, Callable[[], float]] = {
            "import socket": lambda: _import(env, "socket"),
            "import tocsin": lambda: _import(env, "tocsin"),
            "python -c pass": lambda: _wall(env, "-c", "pass"),
            "tocsin send": lambda: _wall(env, str(Path(sys.executable).with_name("tocsin")), "send", TITLE),
        }
        seconds: dict[str, list[float]] = {name: [] for name in things}
        for number in range(rounds + 1):  # the first warms the page cache
            for name, run in things.items():
                found = run()
                if number:
                    seconds[name].append(found)
        counts = {"sent": rounds + 1, "accepted": daemon.counter("signals_accepted")}
    return Table(
        bench="b4",
        title="what the caller pays before its first signal",
        rows=[
            _row("import socket", seconds, "import socket"),
            _row("import tocsin", seconds, "import socket"),
            _row("python -c pass", seconds, "python -c pass"),
            _row("tocsin send", seconds, "python -c pass"),
        ],
        counts=counts,
        notes=[f"{rounds} interleaved rounds; x: the median of each round's ratio"],
    )


def _row(name: str, seconds: Mapping[str, list[float]], beside: str) -> Row:
    own, floor = seconds[name], seconds[beside]
    return Row(
        name,
        {
            "p50 ms": percentile(own, 50) * _MILLI,
            "least ms": min(own) * _MILLI,
            f"x {beside}": median(a / b for a, b in zip(own, floor, strict=True)),
        },
    )


def _import(env: Mapping[str, str], module: str) -> float:
    found = subprocess.run([sys.executable, "-c", _IMPORT.format(module)], env=env, capture_output=True, check=True)
    return float(found.stdout)


def _wall(env: Mapping[str, str], *arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main({"b4": measure})
