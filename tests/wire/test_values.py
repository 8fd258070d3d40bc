"""One foreign value at a time: what it is read as, and that nothing about it can hurt."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.odd_values import LazyMapping, Timedelta, Timestamp
from tests.trading.odd_values import Hostile, Nameless, anything

from tocsin import values
from tocsin.masking import masked, masked_field
from tocsin.values import Absent, Unreadable


class Numpy:
    """As numpy's scalars behave, without numpy."""

    shape, size = (), 1

    def __init__(self, held: Any, dtype: str, text: str = "") -> None:
        self.dtype, self._held, self._text = dtype, held, text

    dtype = ""

    def item(self) -> Any:
        return self._held

    def __float__(self) -> float:
        return float(self._held)

    def __str__(self) -> str:
        return self._text or str(self._held)


class Delta:
    """As numpy.timedelta64 behaves."""

    dtype = "timedelta64[s]"

    def __init__(self, seconds: int) -> None:
        self._number = seconds * 10**9

    def astype(self, kind: str) -> Any:
        return self._number if kind == "int64" else self

    def item(self) -> Any:
        raise AssertionError("its numbers count some unit or other")


class Series:
    """As a pandas.Series of texts behaves."""

    dtype = "object"
    shape = size = (2,), 2

    def items(self) -> Any:
        return enumerate(self)

    def __iter__(self) -> Any:
        return iter(["a", math.nan, "b"])


class Mask:
    """As a column with two missing values behaves: `!=` answers with another column, of some length."""

    def __ne__(self, other: object) -> Any:
        return [True, True]

    __hash__ = None  # type: ignore[assignment]


class Kind(Enum):
    WORD = "word"
    NUMBER = 7


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("1", 1.0),
        (" -1.5e3 ", -1500.0),
        ("+1,000", 1000.0),
        ("1,00,000", 100000.0),
        ("1.234.567", 1234567.0),
        ("1.234.567,8", 1234567.8),
        ("1,234,567.8", 1234567.8),
        ("12'345.6", 12345.6),
        ("12\u202f345,6", 12345.6),
        ("\u22125", -5.0),
        ("€5", 5.0),
        (".5", 0.5),
        (b"64.5", 64.5),
        (Kind.NUMBER, 7.0),
        (Numpy(5, "int64"), 5.0),
        (Numpy(0.10000000149011612, "float32", "0.1"), 0.1),
    ],
)
def test_number_reads_common_formats(given: Any, number: float) -> None:
    assert values.number(given) == number


@pytest.mark.parametrize(
    "given",
    [
        *("a", "1,2,3", "1,23,4", "1.2.3", "5 5", "1e999", "(5)", "5 USD", "1" * 65),
        *(True, 1j, None, Kind.WORD, Decimal("1e999"), timedelta(1), datetime.now(UTC)),
        *(Numpy(10**18, "datetime64[ns]"), object(), [], {}, Hostile()),
        *(Timestamp(2024, 1, 31, tzinfo=UTC), Timedelta(1), "5" * 10_000_000),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_number_does_not_guess(given: Any) -> None:
    with pytest.raises((Unreadable, ValueError, AttributeError, ZeroDivisionError)):
        values.number(given)


@pytest.mark.parametrize("given", [math.nan, -math.inf, "", " ", "NaN", "n/a", "None", "null", "<NA>", "-", "inf"])
def test_number_of_an_empty_value_is_absent(given: Any) -> None:
    with pytest.raises(Absent):
        values.number(given)


@pytest.mark.parametrize("missing", [None, math.nan, Decimal("NaN"), Decimal("sNaN")])
def test_missing_values_are_recognised(missing: Any) -> None:
    assert values.is_missing(missing)


@pytest.mark.parametrize(
    "there",
    ["", 0, False, "nan", math.inf, Hostile, Nameless, [math.nan], Series, Mask],
)
def test_other_values_are_not_missing(there: Any) -> None:
    assert not values.is_missing(there() if isinstance(there, type) else there)


@pytest.mark.parametrize(
    ("given", "share"),
    [
        (1 + 1e-12, 1.0),
        (-1e-12, 0.0),
        (1.5, 0.015),
        (100, 1.0),
        ("0.5 %", 0.005),
        ("95 percent", 0.95),
        ("95,5%", 0.955),
        (b"93%", 0.93),
    ],
)
def test_confidence_allows_for_rounding_and_percent(given: Any, share: float) -> None:
    assert values.confidence(given) == share


def test_expires_reads_durations_of_other_libraries_and_points_in_time() -> None:
    assert values.expires(Delta(90)) == 90
    assert 3590 < values.expires(datetime.now(UTC) + timedelta(hours=1)) <= 3600
    with pytest.raises(Absent, match="zero or less"):
        values.expires(datetime.now(UTC) - timedelta(hours=1))
    assert values.expires(Timedelta(seconds=90)) == 90
    for without_zone in (datetime(2024, 1, 31), Timestamp(2024, 1, 31)):  # noqa: DTZ001 - the time is unknown
        with pytest.raises(Unreadable):
            values.expires(without_zone)


def test_texts_reads_a_column_by_its_values_and_never_without_end() -> None:
    assert values.texts(Series(), 9) == (["a", "b"], None)
    assert values.texts(itertools.count(), 3) == (["0", "1", "2"], None)
    assert values.texts({"env": "prod"}, 9) == (["env=prod"], None)
    assert values.texts("", 9) == ([], None)
    assert values.texts(LazyMapping(), 9) == (["first=1"], "OSError: the table is gone")


def test_describe_of_nested_containers_is_bounded() -> None:
    wide: Any = "leaf"
    for _ in range(8):
        wide = [wide] * 200
    assert len(values.describe(wide)) <= 8192
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert values.describe(deep) == "[[[…]]]"
    endless: dict[str, Any] = {}
    endless["self"] = endless
    assert values.describe(endless).startswith("self: [self: [")


def test_describe_of_containers_that_hold_themselves_twice_ends() -> None:
    held: dict[str, Any] = {}
    held["a"] = held["b"] = MappingProxyType(held)
    assert values.describe(held).startswith("a: [a: [")

    def branches() -> Iterator[Any]:
        yield branches()
        yield branches()

    assert values.describe(branches()).startswith("[[[")


def test_describe_writes_whole_numbers_of_any_size() -> None:
    assert values.describe(10**300 - 1) == "9" * 300
    assert values.describe(10**5000) == "1.000000e+5000"
    assert values.describe(-(10**5000)) == "-1.000000e+5000"


class Plain:
    """Has only Python's own words."""


@dataclass
class Holder:
    held: object


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Plain, "Plain"),
        (Hostile, "Hostile"),
        (Nameless, "Nameless"),
        (lambda: Plain, "Plain"),
        (lambda: test_number_does_not_guess, "test_number_does_not_guess"),
        (lambda: Mask().__ne__, "__ne__"),
        (lambda: (each for each in (1, "b")), "1, b"),
        (lambda: zip([1], [Plain()], strict=True), "[1, Plain]"),
        ({"a": 1}.values, "1"),
        (lambda: [Plain(), {"a": Plain()}], "Plain, [a: Plain]"),
        (lambda: Holder(Plain()), "Holder(held=<tests.wire.test_values.Plain object>)"),
        (lambda: KeyError("fault at 0x40"), "KeyError: 'fault at 0x40'"),
        (LazyMapping, "first: 1, …"),
        (lambda: b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_describe_names_the_type_of_an_object_without_text(given: Any, said: str) -> None:
    assert values.describe(given()) == said


def test_masked_hides_webhooks_in_whatever_holds_them() -> None:
    url = "https://discord.com/api/webhooks/123/canary"
    assert "canary" not in str(masked_field({"config": {"url": url}}))
    assert masked(f"see\n{url}\nthere") == "see\n****\nthere"


@given(anything | st.lists(anything) | st.dictionaries(st.text(), anything))
def test_describe_and_field_never_raise_and_can_be_encoded(value: Any) -> None:
    values.describe(value).encode()
    values.is_missing(value)
    try:
        held = values.field(value)
    except Absent:
        return
    assert isinstance(held, (str, int, float, bool))


@pytest.mark.parametrize("digits", [1, 20, 599, 600, 601, 1000])
def test_describe_writes_numbers_beyond_pythons_digit_limit(digits: int) -> None:
    number = 10**digits - 1
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        found = [values.describe(number), values.describe(-number)]
    finally:
        sys.set_int_max_str_digits(limit)
    assert found == ["9" * digits, "-" + "9" * digits]
