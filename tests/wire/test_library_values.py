"""Values of the real numpy and pandas, where they are installed; the tests beside this one use types that behave alike."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tocsin.compat.foreign_signals import signal_of
from tocsin.signals import Signal
from tocsin.trading import TradingSignal

numpy: Any = pytest.importorskip("numpy")
pandas: Any = pytest.importorskip("pandas")
AT = 1_767_323_045.0  # 2026-01-02 03:04:05 UTC


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("price", numpy.float32(0.1), 0.1),
        ("price", numpy.array([5]), 5.0),
        ("price", pandas.Series([5.5]), 5.5),
        ("price", pandas.NA, None),
        ("price", pandas.Timestamp("2026-01-02"), None),
        ("price", pandas.Timedelta("90s"), None),
        ("price", pandas.array(["a", None], dtype="string"), None),
        ("confidence", numpy.float64(0.93), 0.93),
        ("timestamp", numpy.datetime64("2026-01-02T03:04:05"), AT),
        ("timestamp", numpy.datetime64("2026-01-02T03:04:05", "ns"), AT),
        ("timestamp", numpy.array(["2026-01-02T03:04:05"], dtype="datetime64[ns]"), AT),
        ("timestamp", pandas.Timestamp("2026-01-02T04:04:05", tz="Europe/Berlin"), AT),
        ("timestamp", pandas.DatetimeIndex(["2026-01-02T03:04:05"]), AT),
        ("timestamp", pandas.Series(pandas.to_datetime(["2026-01-02T03:04:05"])), AT),
        ("timestamp", pandas.NaT, None),
        ("timestamp", numpy.complex64(1 + 2j), None),
        ("timestamp", numpy.bool_(True), None),
        ("timestamp", numpy.ma.masked, None),
        ("expires", numpy.timedelta64(90, "s"), 90.0),
        ("expires", pandas.Timedelta("90s"), 90.0),
        ("expires", pandas.Timestamp("2026-01-02"), None),
        ("tags", pandas.array(["a", None], dtype="string"), ["a"]),
        ("fields", pandas.Series({"a": 1, "b": None}), {"a": 1.0}),
    ],
)
def test_library_value_is_read_as_its_field(name: str, given: Any, held: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(Signal.from_dict({"title": "T", name: given}), name) == held


def test_row_of_a_table_is_read_as_a_mapping() -> None:
    table = pandas.DataFrame({"symbol": ["BTC"], "side": ["buy"], "price": [1.5], "rsi": [33], "gone": [None]})
    for signal in (signal_of(table.iloc[0]), TradingSignal.of(table.iloc[0]).to_signal()):
        assert (signal.symbol, signal.price, signal.title.upper()) == ("BTC", 1.5, "BUY BTC")
        assert (signal.fields or {})["rsi"] == 33
