"""Prices to test with: six years of real ones, and what else is needed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import count
from pathlib import Path

from docs.examples.ma_unified import Bar, read_bars

APPLE = "AAPL"


def quotes() -> Path:
    """Apple's daily open, high, low, close, 2019 to 2024, as the package hvsampledata ships them."""
    package = find_spec("hvsampledata")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "_data" / "apple_stocks.csv"


def apple() -> list[Bar]:
    """The same as bars."""
    with quotes().open(newline="") as lines:
        return list(read_bars(lines, "apple_stocks.csv"))


def walk(*closes: float, reach: float = 1.0) -> list[Bar]:
    """Daily bars that close there, each opening where the last one closed."""
    opens = (closes[0], *closes)
    return [
        Bar(86400.0 * day, begun, max(begun, close) + reach, min(begun, close) - reach, close)
        for day, begun, close in zip(count(1), opens, closes, strict=False)
    ]
