"""Odd values: what programs put where a number, a time or a text belongs. Shared by the tests of every way in.

The classes behave as types of numpy and pandas do, so neither is needed; `tests/wire/test_library_values.py` reads the real ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import msgspec


class Numpy:
    """As a scalar of numpy, or an array of one element."""

    size = 1

    def __init__(self, held: Any, dtype: str, shape: tuple[int, ...] = ()) -> None:
        self._held, self.dtype, self.shape = held, dtype, shape

    dtype = ""

    def item(self) -> Any:
        return self._held

    def __float__(self) -> float:
        return float(self._held)

    def __str__(self) -> str:
        return str(self._held)


class Array:
    """As an array of several elements: comparisons answer with an array, which is neither true nor false."""

    dtype, shape, size = "int64", (2,), 2

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    def __str__(self) -> str:
        return "[1 2]"


class Timestamp(datetime):
    """As pandas.Timestamp: its `value` is a number of nanoseconds."""

    value = 1_700_000_000_000_000_000


class Timedelta(timedelta):
    """As pandas.Timedelta, likewise."""

    value = 90_000_000_000


class NaTType:
    """As pandas.NaT: a time in all but its answers."""

    tzinfo = None

    def timetuple(self) -> NoReturn:
        raise ValueError

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class NAType:
    """As pandas.NA: not even its comparisons say yes or no."""

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class Row:
    """As a row of a pandas.DataFrame: a mapping in all but its type, with columns as attributes."""

    def __init__(self, **columns: Any) -> None:
        self._columns = columns
        vars(self).update(columns)

    def items(self) -> Any:
        return self._columns.items()

    def keys(self) -> Any:
        return self._columns.keys()

    def get(self, name: str, default: Any = None) -> Any:
        return self._columns.get(name, default)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns)


class Raises:
    """Raises from whatever is asked of it."""

    def _raise(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("no")

    __str__ = __repr__ = __format__ = __bool__ = __len__ = __iter__ = __float__ = __contains__ = _raise
    __eq__ = __ne__ = __hash__ = _raise

    def __getattr__(self, name: str) -> NoReturn:
        raise ZeroDivisionError(name)


class RaisingProperty:
    """Its properties raise; its text is fine."""

    @property
    def value(self) -> NoReturn:
        raise RuntimeError("not loaded")

    symbol = dtype = value

    def __str__(self) -> str:
        return "a lazy object"


class LazyMapping(Mapping[str, int]):
    """Its second item cannot be loaded."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[str]:
        return iter(("first", "second", "third"))

    def __getitem__(self, name: str) -> int:
        if name == "second":
            raise OSError("the table is gone")
        return 1


@dataclass
class Level:
    entry: float = 64000.5
    label: str = "support"


class Side(Enum):
    BUY = 1


def several() -> Iterator[str]:
    yield "btc"
    yield "eth"


def recursive() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


ODD: dict[str, Callable[[], Any]] = {
    "NaN": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "Decimal": lambda: Decimal("64000.50"),
    "signalling NaN": lambda: Decimal("sNaN"),
    "numpy float32": lambda: Numpy(0.1, "float32"),
    "numpy array of one": lambda: Numpy(5.0, "float64", (1,)),
    "numpy array": Array,
    "Enum": lambda: Side.BUY,
    "bytes": lambda: b"caf\xc3\xa9 \xff",
    "set": lambda: {"b", "a"},
    "dict": lambda: {"a": 1, 2: "b"},
    "nested": lambda: {"a": {"b": [1, {"c": (2, 3)}]}},
    "dataclass": Level,
    "class": lambda: Level,
    "Path": lambda: Path("/var/log/shop"),
    "UUID": lambda: UUID(int=7),
    "date": lambda: date(2026, 1, 2),
    "naive datetime": lambda: datetime(2026, 1, 2, 3, 4),  # noqa: DTZ001 - the naive one is the case
    "datetime": lambda: datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    "timedelta": lambda: timedelta(minutes=5),
    "pandas Timestamp": lambda: Timestamp(2026, 1, 2, 3, 4, tzinfo=UTC),
    "pandas Timedelta": lambda: Timedelta(seconds=90),
    "pandas NaT": NaTType,
    "pandas NA": NAType,
    "table row": lambda: Row(rsi=33, when=NaTType()),
    "complex": lambda: 1 + 2j,
    "huge int": lambda: 10**5000,
    "negative zero": lambda: -0.0,
    "bool": lambda: True,
    "lone surrogate": lambda: "a\ud800b \udcff",
    "control characters": lambda: "a\0b\x1b[31mred\x1b[0m\x07 \u202e\u2066",
    "10 MB text": lambda: "long " * 2_000_000,
    "raising object": Raises,
    "raising property": RaisingProperty,
    "plain object": object,
    "recursive list": recursive,
    "generator": several,
    "lambda": lambda: lambda: 1,
    "lazily failing mapping": LazyMapping,
    "exception": lambda: KeyError("rsi"),
}
JSON: dict[str, str] = {  # as other languages write them; several of these are no JSON
    "NaN": "NaN",
    "infinity": "-Infinity",
    "number without end": "1e999",
    "huge int": "9" * 5000,
    "negative zero": "-0.0",
    "bool": "true",
    "null": "null",
    "number as text": '"64,000.50"',
    "percent": '"95%"',
    "list": '["a", 1, null, {"b": [2]}]',
    "nested": '{"a": {"b": [1, {"c": [2, [3, [4]]]}]}}',
    "lone surrogate": '"a\\ud800b"',
    "control characters": '"a\\u0000b\\u001b[31mred\\u0007"',
    "long text": '"' + "long " * 3_000 + '"',
    "duplicate names": '{"a": 1, "a": 2}',
}
PACKED: dict[str, Any] = {  # what MessagePack has beside
    "bytes": b"caf\xc3\xa9 \xff",
    "extension": msgspec.msgpack.Ext(7, b"\x00\x01"),
    "timestamp": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    "numbers as names": {1: "a", 2.5: "b", None: "c"},
    "largest whole number": 2**64 - 1,
    "NaN": math.nan,
    "nested": {"a": {"b": [1, {"c": [2]}]}},
    "long text": "long " * 3_000,
}
WORDS: dict[str, str] = {  # as typed into a shell
    "NaN": "nan",
    "infinity": "inf",
    "grouped digits": "64,000.50",
    "percent": "95%",
    "nothing": "",
    "words": "a lot",
    "huge number": "9" * 5000,
    "bytes that are no text": "caf\udce9",
    "control characters": "a\x1b[31mred\x07",
    "two equals signs": "a=b=c",
    "long text": "long " * 20_000,
}
