"""A moving-average strategy with one message for each trade: `python docs/examples/ma_unified.py bars.csv`.

The rule. Two averages of the close, a fast and a slow one, and a slow exponential average as the trend. When the fast average has left the
slow one by a quarter of the usual range of a bar, and the close is on the same side of the trend, the strategy opens a trade: up or down.
It closes the trade when a bar touches the stop or the target, or when the averages have crossed back. In a bar that touches both, the
stop counts, because the order is unknown.

The confidence is between 0.5 and 1. Separation adds up to 0.3: the distance of the averages in ranges, full at one. Calm adds up to 0.2:
how far the present range is below the usual one; a volatile market adds nothing.

The messages. An entry and its exit have the same `key`, so they share one message. The exit repeats the entry's confidence: with the same
priority it cannot overtake the entry.

The cost. Each bar costs the same, however many came before: running sums for the averages, a recursion for the trend and the range. So
it runs on a file of years and on a live feed: call `on_bar` for each bar when it closes.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import NamedTuple, NoReturn

from tocsin.timestamps import to_seconds
from tocsin.trading import SignalAggregator, TradingSignal


class Bar(NamedTuple):
    """One bar; `time` is when it closed, in Unix seconds."""

    time: float
    open: float
    high: float
    low: float
    close: float


class Mean:
    """The mean of the last `length` values, by a running sum."""

    def __init__(self, length: int) -> None:
        self._values: deque[float] = deque(maxlen=length)
        self._length = length
        self._sum = 0.0
        self.value = 0.0
        self.full = False  # whether it has had `length` values

    def add(self, value: float) -> float:
        """Add `value` and remove the oldest beyond `length`; returns the mean."""
        if self.full:
            self._sum -= self._values[0]
        self._values.append(value)
        self._sum += value
        self.full = len(self._values) == self._length
        self.value = self._sum / len(self._values)
        return self.value


class Smooth:
    """An exponential average; a value fades to an eighth within `length` bars."""

    def __init__(self, length: int) -> None:
        self._weight = 2 / (length + 1)
        self._begun = False
        self.value = 0.0

    def add(self, value: float) -> float:
        """Add `value`; returns the average."""
        self.value = self.value + self._weight * (value - self.value) if self._begun else value
        self._begun = True
        return self.value


class Trade(NamedTuple):
    """An open trade; `side` is 1 for up and -1 for down."""

    key: str
    side: int
    entry: float
    stop: float
    target: float
    confidence: float


class MovingAverages:
    """The strategy for one symbol. Give it bars, oldest first; it returns the signals of each.

    `fast`, `slow` and `trend` are lengths in bars, `stop` and `target` distances from the entry in ranges, `band` the least
    distance of the averages, also in ranges.
    """

    def __init__(
        self,
        symbol: str,
        fast: int = 20,
        slow: int = 50,
        trend: int = 200,
        *,
        band: float = 0.25,
        stop: float = 2,
        target: float = 4,
    ) -> None:
        if not 0 < fast < slow:
            raise ValueError(f"fast must be shorter than slow, and both at least 1, not {fast} and {slow}")
        if trend < 1:
            raise ValueError(f"trend must be at least 1, not {trend}")
        self.symbol = symbol
        self._fast, self._slow, self._trend = Mean(fast), Mean(slow), Smooth(trend)
        self._range, self._usual_range = Smooth(14), Smooth(trend)
        self._band, self._stop, self._target = band, stop, target
        self._last_close: float | None = None
        self._apart = 0.0  # the fast average above the slow one
        self._side = 0  # 1 when it is above, -1 when it is below
        self._fresh = False  # they have crossed, and no trade was opened since
        self._trade: Trade | None = None

    def signals(self, bars: Iterable[Bar]) -> Iterator[TradingSignal]:
        """The signals of `bars`."""
        for bar in bars:
            yield from self.on_bar(bar)

    def on_bar(self, bar: Bar) -> list[TradingSignal]:
        """The signals of a closed bar: an exit, an entry, both or none. A bar without all its values is skipped."""
        if not all(map(isfinite, bar)):
            return []
        self._learn(bar)
        raised = []
        if self._trade and (ended := self._ended(self._trade, bar)):
            raised.append(self._exit(self._trade, bar, *ended))
            self._trade = None
        if self._trade is None and self._may_open(bar):
            self._trade = self._opened(bar)
            raised.append(self._entry(self._trade, bar))
        return raised

    def _learn(self, bar: Bar) -> None:
        before = bar.open if self._last_close is None else self._last_close
        self._last_close = bar.close
        self._usual_range.add(self._range.add(max(bar.high, before) - min(bar.low, before)))
        self._trend.add(bar.close)
        self._slow.add(bar.close)
        self._apart = self._fast.add(bar.close) - self._slow.value
        side = 1 if self._apart > 0 else -1
        if side != self._side:
            self._side, self._fresh = side, True

    def _may_open(self, bar: Bar) -> bool:
        """The entry, once for each crossing, when the averages are far enough apart and the trend agrees."""
        far = abs(self._apart) >= self._band * self._range.value > 0
        return self._slow.full and self._fresh and far and (bar.close - self._trend.value) * self._side > 0

    def _opened(self, bar: Bar) -> Trade:
        self._fresh = False
        usual, now, side = self._usual_range.value, self._range.value, self._side
        separation, calm = min(1.0, abs(self._apart) / now), min(1.0, max(0.0, 1 - now / usual))
        return Trade(
            key=f"ma-{self.symbol}-{bar.time:.0f}",
            side=side,
            entry=bar.close,
            stop=bar.close - side * self._stop * now,
            target=bar.close + side * self._target * now,
            confidence=0.5 + 0.3 * separation + 0.2 * calm,
        )

    def _ended(self, trade: Trade, bar: Bar) -> tuple[float, str] | None:
        """The price at which this bar ends the trade, and the reason; None while it stays open."""
        worst, best = (bar.low, bar.high) if trade.side > 0 else (bar.high, bar.low)
        if (worst - trade.stop) * trade.side <= 0:  # a bar that opens beyond the stop ends the trade at its open
            return (min if trade.side > 0 else max)(bar.open, trade.stop), "stopped out"
        if (best - trade.target) * trade.side >= 0:
            return trade.target, "target reached"
        return (bar.close, "the averages crossed back") if self._side != trade.side else None

    def _entry(self, trade: Trade, bar: Bar) -> TradingSignal:
        where = "above" if trade.side > 0 else "below"
        body = (
            f"fast average {self._fast.value:.6g} {where} slow {self._slow.value:.6g}, trend at {self._trend.value:.6g}"
        )
        return self._news(trade, bar, "BUY" if trade.side > 0 else "SELL", trade.entry, body)

    def _exit(self, trade: Trade, bar: Bar, price: float, why: str) -> TradingSignal:
        return self._news(
            trade, bar, "CLOSE", price, why, exit=_tidy(price), pnl=_tidy((price - trade.entry) * trade.side)
        )

    def _news(self, trade: Trade, bar: Bar, action: str, price: float, body: str, **levels: float) -> TradingSignal:
        return TradingSignal(
            symbol=self.symbol,
            action=action,
            price=_tidy(price),
            confidence=round(trade.confidence, 4),
            timestamp=bar.time,
            strategy="ma_unified",
            entry=_tidy(trade.entry),
            stop=_tidy(trade.stop),
            target=_tidy(trade.target),
            key=trade.key,
            body=body,
            **levels,
        )


def _tidy(price: float) -> float:
    return round(price, 6)


class Mistake(Exception):  # noqa: N818 - a mistake in the file
    """An error in the data, with its line."""


COLUMNS = ("open", "high", "low", "close")
MOST_BARS = 100_000  # of an average
TIMES = ("time", "timestamp", "date", "datetime")


def read_bars(lines: Iterable[str], name: str) -> Iterator[Bar]:
    """The bars of a CSV with a heading, one by one: `time` (or timestamp, date, datetime), open, high, low, close.

    Raises Mistake, also for a bar that is not later than the one before it.
    """
    reader = csv.reader(lines)
    rows = _rows(reader, name)
    heading = [column.strip().lower() for column in next(rows, [])]
    time = next((column for column in TIMES if column in heading), "time")
    for column in (time, *COLUMNS):
        if column not in heading:
            raise Mistake(f"{name}, line 1: there is no column {column}; there are {', '.join(heading) or 'none'}")
    places = [heading.index(column) for column in (time, *COLUMNS)]
    before = float("-inf")
    for row in filter(None, rows):
        where = f"{name}, line {reader.line_num}"
        bar = _bar(row, places, where)
        if bar.time <= before:
            raise Mistake(f"{where}: it is not later than the bar before it; sort the file by time, oldest first")
        before = bar.time
        yield bar


def _rows(reader: Iterator[list[str]], name: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise Mistake(f"{name}, line {reader.line_num}: {error}") from None  # type: ignore[attr-defined]


def _bar(row: list[str], places: list[int], where: str) -> Bar:
    if len(row) <= max(places):
        raise Mistake(f"{where}: it ends after {len(row)} columns")
    moment, *prices = (row[place] for place in places)
    seconds = to_seconds(moment)
    if seconds is None:
        raise Mistake(f"{where}: {moment!r} is no time; write it like 2024-01-31, 2024-01-31T15:00Z or 1706713200")
    bar = Bar(seconds, *(_price(text, f"{where}: {column}") for column, text in zip(COLUMNS, prices, strict=True)))
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise Mistake(f"{where}: open and close must lie between low and high")
    return bar


def _price(text: str, where: str) -> float:
    try:
        price = float(text)
    except ValueError:
        raise Mistake(f"{where}: {text!r} is no number") from None
    if not isfinite(price):
        raise Mistake(f"{where}: {text!r} is no price")
    return price


def run(lines: Iterable[str], name: str, strategy: MovingAverages, aggregator: SignalAggregator) -> int:
    """Print the signals of the strategy, bar by bar, and give them to the aggregator. Returns their number."""
    count = 0
    for bar in read_bars(lines, name):
        raised = strategy.on_bar(bar)
        count += len(raised)
        for signal in raised:
            print(_line(bar, signal))
        if raised:
            aggregator.aggregate_signals({"ma_unified": raised})
    return count


def _line(bar: Bar, signal: TradingSignal) -> str:
    when = datetime.fromtimestamp(bar.time, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{when}  {signal.action:5}  {signal.price:>12}  {signal.confidence:.2f}  {signal.key}  {signal.body}"


def main(argv: list[str] | None = None) -> int:
    """Run the command line. Returns 0, 64 for bad options, 65 for bad data, 66 for an unreadable file, 69 when alerts were dropped,
    73 when its output cannot be written, 130 when it was interrupted.
    """
    try:
        return _main(_parser().parse_args(argv))
    except KeyboardInterrupt:
        return 130


def _main(given: argparse.Namespace) -> int:
    if given.bars == "-" and given.alert and not given.symbol:
        _parser().error(
            "standard input has no name to call the symbol by; add --symbol, as in: - --symbol AAPL --alert"
        )
    try:
        strategy = MovingAverages(given.symbol or Path(given.bars).stem.upper(), given.fast, given.slow, given.trend)
        file = open(0 if given.bars == "-" else given.bars, newline="", encoding="utf-8-sig")  # noqa: SIM115, PTH123 - closed below; 0 is no path
    except ValueError as error:
        _parser().error(str(error))
    except OSError as error:
        print(f"cannot read {given.bars}: {error.strerror}; name a CSV file, or - for standard input", file=sys.stderr)
        return 66
    with file, SignalAggregator(None, {"discord_alerts": given.alert, "tier": given.tier}) as aggregator:
        try:
            count = run(file, given.bars, strategy, aggregator)
            sys.stdout.flush()
        except (Mistake, UnicodeDecodeError) as error:
            print(f"{error}; nothing after it was read", file=sys.stderr)
            return 65
        except OSError as error:
            return _unwritten(error)
        print(f"{count} signals", file=sys.stderr)
        return 0 if aggregator.flush(60) else 69


def _unwritten(error: OSError) -> int:
    """The exit code when the output cannot be written; discards the rest, or Python would try again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # the reader has closed the pipe
        return 0
    print(f"cannot write the signals: {error.strerror}", file=sys.stderr)
    return 73


_HELP = """
  ma_unified.py AAPL.csv
  ma_unified.py AAPL.csv --fast 10 --slow 30 --alert --tier premium

Moving averages over a CSV of bars: prints their signals, and with --alert sends them to tocsin.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def _bars(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_BARS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bars from 1 to {MOST_BARS}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "bars", metavar="CSV", help="time, open, high, low, close, oldest first, with a heading; - for standard input"
    )
    parser.add_argument("--symbol", help="what the prices are of (default: the file's name)")
    parser.add_argument("--fast", type=_bars, default=20, metavar="BARS")
    parser.add_argument("--slow", type=_bars, default=50, metavar="BARS")
    parser.add_argument("--trend", type=_bars, default=200, metavar="BARS")
    parser.add_argument("--alert", action="store_true", help="hand the signals to the daemon")
    parser.add_argument("--tier", help="for which tier, as the routes in alerts.toml know it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
