"""The moving-average example: its arithmetic, its trades, its work, its command line."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from docs.examples import ma_unified
from docs.examples.ma_unified import Bar, Mean, Mistake, MovingAverages, Smooth, read_bars
from hypothesis import given
from hypothesis import strategies as st
from tests.harness import PATIENCE, DaemonProcess, until
from tests.trading.prices import apple, quotes, walk

from tocsin.trading import TradingSignal

PROGRAM = Path(ma_unified.__file__)
UP = [100.0] * 20 + [100.0 + 2 * n for n in range(1, 15)]


def quick(**others: Any) -> MovingAverages:
    return MovingAverages("TEST", fast=3, slow=6, trend=10, **others)


def told(*closes: float, **others: Any) -> list[TradingSignal]:
    return list(quick(**others).signals(walk(*closes)))


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_running_mean_equals_the_mean(values: list[float], length: int) -> None:
    mean = Mean(length)
    for count, value in enumerate(values, 1):
        assert mean.add(value) == pytest.approx(fmean(values[max(0, count - length) : count]), rel=1e-9)
        assert mean.full == (count >= length)


def test_running_sums_do_not_drift_over_six_years_of_prices() -> None:
    mean, closes = Mean(50), [bar.close for bar in apple()] * 50
    for close in closes:
        mean.add(close)
    assert mean.value == pytest.approx(fmean(closes[-50:]), rel=1e-12)


def test_exponential_average_begins_with_its_first_value() -> None:
    average = Smooth(3)
    assert [average.add(value) for value in (4, 8, 8)] == [4, 6, 7]


def test_ma_unified_buys_on_a_rise_with_stop_and_target() -> None:
    [entry, *_] = told(*UP)
    assert (entry.action, entry.symbol, entry.strategy, entry.price) == ("BUY", "TEST", "ma_unified", entry.entry)
    assert entry.stop < entry.entry < entry.target
    assert entry.target - entry.entry == pytest.approx(2 * (entry.entry - entry.stop))
    assert 0.5 <= entry.confidence <= 1


def test_ma_unified_sells_on_a_fall() -> None:
    [entry, *_] = told(*[100.0] * 20, *[100.0 - 2 * n for n in range(1, 15)])
    assert entry.action == "SELL"
    assert entry.target < entry.entry < entry.stop


@pytest.mark.parametrize(
    ("then", "why", "wins"),
    [
        ([130.0, 140.0, 150.0, 160.0], "target reached", True),
        ([60.0], "stopped out", False),
        ([124.0, 123.0, 122.0, 121.0, 120.0, 119.0, 118.0], "the averages crossed back", False),
    ],
)
def test_ma_unified_closes_a_trade_with_its_key(then: list[float], why: str, wins: bool) -> None:
    entry, exit_, *_ = told(*UP, *then, stop=2 if why == "stopped out" else 20, target=8 if wins else 50)
    assert (exit_.action, exit_.body, exit_.key) == ("CLOSE", why, entry.key)
    assert exit_.pnl == pytest.approx(exit_.exit - entry.entry)
    assert exit_.price == exit_.exit
    assert (exit_.pnl > 0) is wins or why == "the averages crossed back"
    assert (exit_.entry, exit_.stop, exit_.target, exit_.confidence) == (
        entry.entry,
        entry.stop,
        entry.target,
        entry.confidence,
    )


def test_bar_that_opens_beyond_the_stop_ends_the_trade() -> None:
    strategy = quick()
    [entry] = [signal for bar in walk(*UP[:24]) for signal in strategy.on_bar(bar)]
    [exit_, *_] = strategy.on_bar(Bar(1e9, 50.0, 51.0, 49.0, 50.0))
    assert (exit_.exit, exit_.body) == (50.0, "stopped out")
    assert exit_.exit < entry.stop


def test_ma_unified_opens_no_trade_against_the_trend() -> None:
    falling = [200.0 - 4 * n for n in range(30)]
    assert not [each for each in told(*falling, 86.0, 88.0, 90.0, 91.0, band=0.01) if each.action == "BUY"]


def test_ma_unified_skips_an_incomplete_price() -> None:
    strategy = quick()
    assert strategy.on_bar(Bar(0, math.nan, 1, 1, 1)) == []
    assert [each.key for each in strategy.signals(walk(*UP))] == [each.key for each in told(*UP)]


@pytest.mark.parametrize(("fast", "slow"), [(0, 5), (5, 5), (9, 5)])
def test_ma_unified_refuses_invalid_averages(fast: int, slow: int) -> None:
    with pytest.raises(ValueError, match="fast must be shorter than slow"):
        MovingAverages("TEST", fast, slow)


def test_ma_unified_opens_and_closes_each_trade_once_on_real_prices() -> None:
    raised = list(MovingAverages("AAPL", 5, 15, 50).signals(apple()))
    assert len(raised) > 80
    assert all(0.5 <= each.confidence <= 1 for each in raised)
    actions = [each.action == "CLOSE" for each in raised]
    assert all(before is not after for before, after in pairwise(actions))
    assert set(Counter(each.key for each in raised[: len(raised) // 2 * 2]).values()) == {2}
    assert [each.timestamp for each in raised] == sorted(each.timestamp for each in raised)


class Counted(float):
    """A price that counts what is done with it."""

    operations = 0

    def _counts(name: str) -> Any:  # type: ignore[misc]  # noqa: N805 - makes methods
        operation = getattr(float, name)

        def counting(self: Counted, other: float) -> Any:
            Counted.operations += 1
            return operation(self, other)

        return counting

    __add__, __radd__, __sub__, __rsub__ = map(_counts, ("__add__", "__radd__", "__sub__", "__rsub__"))
    __mul__, __rmul__, __lt__, __gt__ = map(_counts, ("__mul__", "__rmul__", "__lt__", "__gt__"))


def test_cost_of_a_bar_does_not_depend_on_earlier_bars() -> None:
    def work(slow: int, warm: int) -> int:
        strategy = MovingAverages("TEST", 5, slow, 200)
        counted = Bar(1e9, *map(Counted, (100.0, 101.0, 99.0, 100.0)))
        for _ in range(warm):
            strategy.on_bar(counted)
        calls = 0

        def seen(*_: object) -> None:
            nonlocal calls
            calls += 1

        Counted.operations = 0
        sys.setprofile(seen)
        strategy.on_bar(counted)
        sys.setprofile(None)
        return calls + Counted.operations

    assert len({work(20, 100), work(20, 5000), work(2000, 5000)}) == 1


def csv(*lines: str) -> Iterator[Bar]:
    return read_bars([f"{line}\n" for line in lines], "bars.csv")


HEAD = "Date,Open,High,Low,Close,Volume"


def test_bars_are_read_by_the_names_in_the_heading() -> None:
    assert list(csv(HEAD, "2024-01-31,1,3,0.5,2,99", "")) == [Bar(1706659200, 1, 3, 0.5, 2)]
    assert list(csv("close,low,high,open,time", "2,0.5,3,1,1706659200000")) == [Bar(1706659200, 1, 3, 0.5, 2)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "line 1: there is no column time; there are none"),
        (["date,open,high,low"], "line 1: there is no column close; there are date, open, high, low"),
        ([HEAD, "soon,1,3,0.5,2,9"], "line 2: 'soon' is no time"),
        ([HEAD, "2024-01-31,1,3,0.5,2,9", "2024-02-01,1,x,0.5,2,9"], "line 3: high: 'x' is no number"),
        ([HEAD, "2024-01-31,1,3,nan,2,9"], "line 2: low: 'nan' is no price"),
        ([HEAD, "2024-01-31,1,3"], "line 2: it ends after 3 columns"),
        ([HEAD, "2024-01-31,1,3,0.5,2,9", "2024-01-30,1,3,0.5,2,9"], "line 3: it is not later than the bar before it"),
        ([HEAD, "2024-01-31,1,3,0.5,2,9", "2024-01-31,1,3,0.5,2,9"], "line 3: it is not later than the bar before it"),
        ([HEAD, "2024-01-31,1,3,1.5,2,9"], "line 2: open and close must lie between low and high"),
    ],
)
def test_csv_error_names_the_line(lines: list[str], said: str) -> None:
    with pytest.raises(Mistake, match=re.escape(f"bars.csv, {said}")):
        list(csv(*lines))


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def test_ma_unified_prints_signals_and_alerts_on_request(daemon: DaemonProcess) -> None:
    printed = run(str(quotes()), "--symbol", "AAPL", env=daemon.env)
    assert (printed.returncode, printed.stderr) == (0, "44 signals\n")
    assert len(printed.stdout.splitlines()) == 44
    assert printed.stdout.startswith("2019-03-14 00:00  BUY           45.93  0.86  ma-AAPL-1552521600  fast average")
    assert daemon.status()["counters"]["signals_accepted"] == 0
    alerted = run(str(quotes()), "--symbol", "AAPL", "--alert", env=daemon.env)
    assert (alerted.returncode, alerted.stdout, alerted.stderr) == (0, printed.stdout, printed.stderr)
    until(lambda: bool(daemon.status()["counters"]["signals_accepted"] >= 44))


def test_ma_unified_errors_name_the_cause(tmp_path: Path) -> None:
    missing = run(str(tmp_path / "no.csv"))
    assert (missing.returncode, "No such file" in missing.stderr) == (66, True)
    (tmp_path / "bad.csv").write_text(f"{HEAD}\n2024-01-31,1,3,0.5,x,9\n")
    bad = run(str(tmp_path / "bad.csv"))
    assert (bad.returncode, "bad.csv, line 2: close: 'x' is no number" in bad.stderr) == (65, True)
    assert run("--fast", "9", "--slow", "5", "-").returncode == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "--alert"], "add --symbol"),
        (["x.csv", "--trend", "0"], "argument --trend: '0' is no number of bars from 1 to 100000"),
        (["x.csv", "--fast", "-3"], "argument --fast"),
        (["x.csv", "--slow", "9" * 5000], "argument --slow"),
        (["x.csv", "--fast", "50", "--slow", "20"], "fast must be shorter than slow"),
    ],
)
def test_ma_unified_refuses_invalid_options(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        ma_unified.main(arguments)
    assert refused.value.code == 64
    assert said in capsys.readouterr().err


def test_csv_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEAD}\n2024-01-31,1,3,0.5,2,9\n", encoding="utf-8-sig")
    found = run(str(tmp_path / "a.csv"))
    assert (found.returncode, found.stderr) == (0, "0 signals\n")


def test_ma_unified_exits_65_for_a_file_that_is_not_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEAD}\n{'x' * 200_000}\n")
    found = run(str(tmp_path / "a.csv"))
    assert (found.returncode, "a.csv, line 2: field larger than" in found.stderr) == (65, True)


def test_ma_unified_reports_a_full_disk_without_a_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, str(PROGRAM), str(quotes())],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
    assert (found.returncode, found.stderr) == (73, "cannot write the signals: No space left on device\n")


def test_ma_unified_exits_after_ctrl_c_without_a_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bars")
    with (
        subprocess.Popen([sys.executable, str(PROGRAM), str(tmp_path / "bars")], stderr=subprocess.PIPE) as program,
        (tmp_path / "bars").open("w"),  # open once both are: it reads now
    ):
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=PATIENCE)[1] == b""
    assert program.returncode == 130
