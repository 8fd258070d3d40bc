"""A signal is checked once, at birth, and what it holds afterwards travels."""

from __future__ import annotations

import copy
import json
import math
import pickle
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import InvalidSignal
from tocsin.ids import is_id
from tocsin.signals import FIELD_NAMES, PRIORITIES, RECEIPT_STATES, Receipt, Signal


class Word(str, Enum):  # noqa: UP042 - its str() is not its value, unlike a StrEnum's: that is the case
    HIGH = "HIGH"


class Number(IntEnum):
    ONE = 1


class Text(str):
    """As numpy.str_ is one."""

    __slots__ = ()


def test_only_the_title_is_needed() -> None:
    signal = Signal("BUY")
    assert signal.as_dict() == {"title": "BUY", "id": signal.id}
    assert is_id(signal.id)
    assert signal.body is None


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("title", "  BUY \n", "BUY"),
        ("body", "", ""),
        ("body", "\udcff", "?"),
        ("body", "größe", "größe"),
        ("priority", "URGENT", "urgent"),
        ("priority", Word.HIGH, "high"),
        ("tier", Text("t"), "t"),
        ("confidence", 1, 1.0),
        ("confidence", Decimal("0.5"), 0.5),
        ("price", Number.ONE, 1.0),
        ("price", -5, -5.0),
        (
            "fields",
            {"a": 1, "b": True, "c": None, "d": "x", "e": Decimal("1.5")},
            {"a": 1, "b": True, "c": None, "d": "x", "e": 1.5},
        ),
        ("fields", {"big": 2**80, "min": -(2**63) + 1}, {"big": hex(2**80), "min": -(2**63) + 1}),
        ("fields", {"n": Number.ONE, "w": Word.HIGH, "o": ...}, {"n": 1, "w": "HIGH", "o": "Ellipsis"}),
        ("tags", ("a", "b"), ["a", "b"]),
        ("tags", iter(["a"]), ["a"]),
        ("to", "d", ["d"]),
        ("to", ["d", "e"], ["d", "e"]),
        ("expires", 90, 90.0),
        ("expires", "2m", 120.0),
        ("timestamp", "2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("id", "01j9z3ndektsv4rrffq69g5fav", "01J9Z3NDEKTSV4RRFFQ69G5FAV"),
    ],
)
def test_what_can_be_understood_is_held_in_plain_types(name: str, given: Any, held: Any) -> None:
    signal = Signal.from_dict({"title": "T", name: given})
    assert getattr(signal, name) == held
    assert type(getattr(signal, name)) is type(held)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("title", 3),
        ("title", " "),
        ("title", b"BUY"),
        ("body", ["text"]),
        ("priority", "urgnt"),
        ("priority", 1),
        ("confidence", 1.01),
        ("confidence", -0.01),
        ("confidence", math.nan),
        ("confidence", True),
        ("confidence", "0.9"),
        ("price", math.inf),
        ("price", 10**400),
        ("price", 1j),
        ("fields", ["a"]),
        ("fields", {1: "x"}),
        ("tags", "btc"),
        ("tags", 3),
        ("tags", [1]),
        ("to", 1),
        ("expires", -1),
        ("expires", "soon"),
        ("expires", "9" * 400 + "d"),
        ("id", "short"),
        ("id", "8" + "0" * 25),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(name: str, given: Any) -> None:
    with pytest.raises(InvalidSignal) as refused:
        Signal.from_dict({"title": "T", name: given})
    assert refused.value.field.split()[0] == name
    assert str(refused.value) == f"{refused.value.field}: {refused.value.reason}"


@pytest.mark.parametrize("value", [[1], (1,), {"a": 1}, {1}, b"x", math.nan])
def test_a_field_that_is_no_single_value_is_refused_by_its_key(value: Any) -> None:
    with pytest.raises(InvalidSignal, match=r"^fields\.rsi: "):
        Signal("T", fields={"rsi": value})


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(InvalidSignal, match=r"^prioritty: is no field"):
        Signal("T", prioritty="high")


def test_no_title_is_no_signal() -> None:
    with pytest.raises(InvalidSignal, match=r"^title: is required"):
        Signal.from_dict({"body": "x"})


def test_a_timestamp_that_cannot_be_read_is_kept_as_text() -> None:
    signal = Signal("T", timestamp="half past nine")
    assert (signal.timestamp, signal.timestamp_text) == (None, "half past nine")

    class Mute:
        def __str__(self) -> str:
            raise ValueError

    assert Signal("T", timestamp=Mute()).timestamp_text == "Mute"
    assert len(Signal("T", timestamp="x" * 1000).timestamp_text or "") == 200


def test_none_is_as_good_as_absent() -> None:
    assert set(Signal.from_dict({"title": "T", **dict.fromkeys(FIELD_NAMES[1:])}).as_dict()) == {"title", "id"}


def test_a_signal_is_frozen_and_knows_its_fields_only() -> None:
    signal = Signal("T")
    with pytest.raises(AttributeError, match="frozen"):
        signal.title = "U"
    with pytest.raises(AttributeError, match="has no 'colour'"):
        _ = signal.colour
    signal.as_dict()["title"] = "U"
    assert signal.title == "T"


def test_a_signal_survives_copying_and_pickling() -> None:
    signal = Signal("T", fields={"a": 1}, tags=["x"])
    for other in (
        copy.copy(signal),
        copy.deepcopy(signal),
        pickle.loads(pickle.dumps(signal)),
        Signal.trusted(signal.as_dict()),
    ):
        assert other == signal
        assert hash(other) == hash(signal)
    assert Signal("T") != Signal("T")
    assert repr(signal).startswith("Signal(title='T', fields={'a': 1}")


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.complex_numbers()
)
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(FIELD_NAMES), _anything))
def test_anything_at_all_is_a_signal_that_travels_or_is_refused_by_name(values: dict[str, Any]) -> None:
    try:
        signal = Signal.from_dict(values)
    except InvalidSignal as refused:
        assert refused.field  # noqa: PT017 - either ending is right
        return
    plain = signal.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()) == plain
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plain)) == plain


_fields = st.fixed_dictionaries(
    {"title": st.text(min_size=1).filter(str.strip)},
    optional={
        "body": st.text(),
        "priority": st.sampled_from(PRIORITIES),
        "confidence": st.floats(0, 1),
        "price": st.floats(allow_nan=False, allow_infinity=False),
        "fields": st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), max_size=3),
        "tags": st.lists(st.text(), max_size=3),
        "expires": st.floats(0, 1e9),
        "timestamp": st.integers(0, 4_000_000_000) | st.text() | st.datetimes(),
    },
)


@given(_fields)
def test_what_is_checked_once_is_unchanged_by_being_checked_again(values: dict[str, Any]) -> None:
    signal = Signal.from_dict(values)
    assert Signal.from_dict(signal.as_dict()) == signal
    assert Signal.from_dict(signal.as_dict()).as_dict() == signal.as_dict()


@pytest.mark.parametrize("state", RECEIPT_STATES)
def test_a_receipt_knows_whether_the_signal_is_safe(state: str) -> None:
    assert Receipt("1", state).accepted is (state in ("stored", "spooled", "duplicate"))


def test_receipts_are_values() -> None:
    assert Receipt("1", "stored") == Receipt("1", "stored", None) != Receipt("1", "dropped", "why")
    assert len({Receipt("1", "stored"), Receipt("1", "stored")}) == 1
    assert repr(Receipt("1", "stored")) == "Receipt(id='1', state='stored', reason=None)"
