"""B11: cost of alerts for a program that generates signals: three moving-average strategies, 30 days of hourly bars, alerts off and on.

The prices are real (Apple, the last 720 days, an hour apart here). Each round runs the generator without and with alerts, in turn which
comes first, and after each, not counted, waits until all is handed over: as a program does that runs it at each bar. The same for a single
signal, which is the hand-off itself: what its caller pays, and how long it takes until it is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from docs.examples.ma_unified import Bar, MovingAverages
from tests.harness import PATIENCE
from tests.trading.prices import APPLE, apple

from tocsin import Client
from tocsin.trading import MultiStrategyGenerator, SignalAggregator, TradingSignal

from .command import Size, main
from .daemons import TO_FILE, Daemon
from .table import Row, Table, percentile

_MILLI, _MICRO = 1e3, 1e6
_ROUNDS = {Size.TINY: 2, Size.QUICK: 60, Size.FULL: 300}
_LENGTHS = ((5, 15, 50), (10, 30, 100), (20, 50, 200))
_ON = {"discord_alerts": True}


@dataclass
class Found:
    """Seconds of each round; `sent` are signals."""

    off: list[float] = field(default_factory=list)
    on: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    sent: int = 0

    def ratio(self) -> float:
        """The median of the ratios of all rounds."""
        return median(on / off for on, off in zip(self.on, self.off, strict=True))


def measure(size: Size) -> Table:
    """The table of B11."""
    rounds = _ROUNDS[size]
    with TemporaryDirectory() as folder, Daemon(Path(folder), TO_FILE).start() as daemon:
        with Client(daemon.socket, timeout=PATIENCE, spool=False) as client:
            generation, single = _generation(client, rounds), _single(client, rounds)
        counts = {"sent": generation.sent + single.sent, "accepted": daemon.counter("signals_accepted")}
        daemon.stop()
    return Table(
        bench="b11",
        title="what alerts cost a program that generates signals",
        rows=[
            Row("30 days of hourly bars, alerts off", {"p50 ms": percentile(generation.off, 50) * _MILLI}),
            Row(
                "30 days of hourly bars, alerts on",
                {"p50 ms": percentile(generation.on, 50) * _MILLI, "x off": generation.ratio()},
            ),
            _micros("one signal, alerts off", single.off),
            _micros("one signal, alerts on", single.on),
            _micros("one signal, until it is on disk", single.kept),
        ],
        counts=counts,
        notes=[
            f"{rounds} interleaved rounds of {generation.sent // rounds} signals; x: the median of each round's ratio"
        ],
    )


def _generation(client: Client, rounds: int) -> Found:
    bars = [Bar(1.7e9 + 3600 * hour, *bar[1:]) for hour, bar in enumerate(apple()[-720:])]
    strategies = {
        f"ma-{fast}-{slow}": lambda _, lengths=(fast, slow, trend): MovingAverages(APPLE, *lengths).signals(bars)
        for fast, slow, trend in _LENGTHS
    }
    off, on = (MultiStrategyGenerator(strategies, config, client=client) for config in ({}, _ON))
    return _compared(
        off.aggregator, on.aggregator, off.generate_aggregated_signals, on.generate_aggregated_signals, rounds
    )


def _single(client: Client, rounds: int) -> Found:
    signal = TradingSignal(APPLE, "BUY", 100.0, 0.9, 1.7e9, stop=98.0, target=104.0, key="t")
    off, on = SignalAggregator({}, {}, client=client), SignalAggregator({}, _ON, client=client)
    given = {"ma": [signal]}
    return _compared(off, on, lambda: off.aggregate_signals(given), lambda: on.aggregate_signals(given), rounds)


def _compared(
    off: SignalAggregator,
    on: SignalAggregator,
    without: Callable[[], object],
    with_alerts: Callable[[], object],
    rounds: int,
) -> Found:
    found = Found()
    for number in range(rounds + 1):  # the first round warms up, and is sent as well
        seconds: dict[SignalAggregator, tuple[float, float]] = {}
        for aggregator, run in ((off, without), (on, with_alerts))[:: 1 if number % 2 else -1]:
            seconds[aggregator] = _timed(run, aggregator)
        found.sent += sum(receipt.accepted for receipt in on.report.receipts)
        if number:
            found.off.append(seconds[off][0])
            found.on.append(seconds[on][0])
            found.kept.append(seconds[on][1])
    return found


def _timed(run: Callable[[], object], aggregator: SignalAggregator) -> tuple[float, float]:
    """Seconds until the call returned, and until all signals were handed over."""
    begun = time.perf_counter()
    run()
    returned = time.perf_counter()
    aggregator.flush(PATIENCE)
    return returned - begun, time.perf_counter() - begun


def _micros(name: str, seconds: list[float]) -> Row:
    return Row(name, {"p50 us": percentile(seconds, 50) * _MICRO, "p99 us": percentile(seconds, 99) * _MICRO})


if __name__ == "__main__":
    main({"b11": measure})
