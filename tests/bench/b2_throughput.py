"""B2: durable hand-offs a second, from 1, 4 and 16 processes at once, beside peers with the same guarantee; and `send_many`.

Every process is a program of its own with a connection of its own, forked after the server stood; all begin at one moment and stop after
the same time, and bodies that are stored by then count. Clients and servers share the machine's cores: with sixteen of them a
figure says as much about what a client costs as about the server. `send_many` is counted in signals.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from statistics import median

from .b1_handoff import standing
from .command import Size, main
from .daemons import SWITCHED_OFF, Tocsin, TocsinMany
from .handoff import BODY, Handoff
from .peers import PEERS
from .table import Row, Table

PROCESSES = (1, 4, 16)
MANY = 100
_SIZES = {Size.TINY: (1, 0.1), Size.QUICK: (2, 0.5), Size.FULL: (5, 1.0)}  # rounds, seconds of each
_PATIENCE = 60.0  # seconds until all processes are ready
_fork = get_context("fork")


@dataclass(frozen=True)
class Load:
    """Hand-offs a second of so many processes, by round."""

    thing: Handoff
    processes: int
    rates: list[float]


def measure(size: Size) -> Table:
    """The table of B2."""
    rounds, seconds = _SIZES[size]
    daemons = [
        Tocsin("tocsin stored"),
        Tocsin("tocsin stored, lane off", config=SWITCHED_OFF),
        TocsinMany(f"tocsin send_many({MANY}) stored", MANY),
        TocsinMany(f"tocsin send_many({MANY}) stored, lane off", MANY, config=SWITCHED_OFF),
    ]
    peers = [peer() for peer in PEERS]
    present = [peer for peer in peers if not peer.missing()]
    with standing([*daemons, *present]) as things:
        loads = [Load(thing, processes, []) for thing in things for processes in PROCESSES]
        for _ in range(rounds):
            for load in loads:
                load.rates.append(_rate(load.thing, load.processes, seconds))
                load.thing.rest()
        counts = {"sent": sum(t.sent for t in daemons), "accounted for": sum(t.accounted_for() for t in daemons)}
    best = max((median(load.rates) for load in loads if load.thing in present), default=0.0)
    return Table(
        bench="b2",
        title="durable hand-offs a second from several processes at once",
        rows=[_row(thing, loads, best) for thing in things],
        counts=counts,
        left_out={peer.name: reason for peer in peers if (reason := peer.missing())},
        notes=[f"medians over {rounds} interleaved rounds of {seconds:g} s; the best peer is taken at its best load"],
    )


def _row(thing: Handoff, loads: Sequence[Load], best: float) -> Row:
    rates = {load.processes: median(load.rates) for load in loads if load.thing is thing}
    figures = {f"{processes} per s": rate for processes, rate in rates.items()}
    return Row(thing.name, {**figures, "16 x best peer": rates[PROCESSES[-1]] / best} if best else figures)


def _rate(thing: Handoff, processes: int, seconds: float) -> float:
    """Bodies a second that so many processes handed over together."""
    together = _fork.Barrier(processes + 1)
    results, pipe = os.pipe()
    workers = [_fork.Process(target=_hand_over, args=(thing, together, seconds, pipe)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    together.wait(_PATIENCE)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, f"{thing.name}: a process of {processes} fell over"
    counts = [int(count) for count in os.read(results, 4096).split()]
    os.close(results)
    os.close(pipe)
    thing.sent += sum(counts)
    return sum(counts) / seconds


def _hand_over(thing: Handoff, together: Barrier, seconds: float, pipe: int) -> None:
    """One of the processes."""
    thing.join()
    thing.put(BODY)
    together.wait(_PATIENCE)
    until, count = time.monotonic() + seconds, thing.each
    while time.monotonic() < until:
        thing.put(BODY)
        count += thing.each
    os.write(pipe, b"%d " % count)


if __name__ == "__main__":
    main({"b2": measure})
