"""A signal is checked once, at birth, and what it holds afterwards travels."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.odd_values import ODD, LazyMapping
from tests.trading.odd_values import anything

from tocsin.errors import InvalidSignal
from tocsin.frames import packed
from tocsin.ids import is_id
from tocsin.signals import FIELD_NAMES, PRIORITIES, RECEIPT_STATES, Receipt, Signal
from tocsin.wire import MAX_FRAME, encode_json


class Word(str, Enum):  # noqa: UP042 - its str() is not its value, unlike a StrEnum's: that is the case
    HIGH = "HIGH"


class Number(IntEnum):
    ONE = 1


class Text(str):
    """As numpy.str_ is one."""

    __slots__ = ()


def test_signal_needs_only_a_title() -> None:
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
        ("fields", {"big": 2**80, "min": -(2**63) + 1}, {"big": str(2**80), "min": -(2**63) + 1}),
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
def test_signal_converts_values_to_plain_types(name: str, given: Any, held: Any) -> None:
    signal = Signal.from_dict({"title": "T", name: given})
    assert getattr(signal, name) == held
    assert type(getattr(signal, name)) is type(held)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("priority", "urgnt"),
        ("priority", 1),
        ("confidence", 100.5),
        ("confidence", -0.01),
        ("confidence", True),
        ("price", 10**400),
        ("price", 1j),
        ("expires", "soon"),
        ("expires", "9" * 400 + "d"),
        ("id", "short"),
        ("id", "8" + "0" * 25),
        ("fields", ["a"]),
        ("link", "https://x.y/" + "z" * 3000),
        ("colour", "red"),
    ],
)
def test_signal_shows_an_unreadable_value_among_its_fields_and_notes_it(name: str, given: Any) -> None:
    signal = Signal.from_dict({"title": "T", name: given})
    assert list(signal.fields or {}) == [name]
    assert getattr(signal, name, None) in (None, signal.fields) or name == "id"
    assert (signal.input_notes or [])[0].startswith(f"{name}: ")
    assert signal.id != given


def test_signal_keeps_its_own_field_beside_an_unreadable_value_of_that_name() -> None:
    signal = Signal("T", price="dear", fields={"price": 5})
    assert signal.fields == {"price": "dear", "price (given)": 5}


@pytest.mark.parametrize(
    "given", [{}, {"body": " "}, {"priority": "high"}, {"fields": {}}, {"fields": {"a": math.nan}}, {"title": "\n"}]
)
def test_signal_that_is_empty_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignal, match=r"^title: is required"):
        Signal.from_dict(given)


@pytest.mark.parametrize(
    ("given", "title", "body"),
    [
        ({"body": "disk full\nof old logs"}, "disk full", "of old logs"),
        ({"body": "x" * 300}, "x" * 255 + "…", "x" * 300),
        ({"symbol": "BTC", "action": "BUY", "body": "now"}, "BUY BTC", "now"),
        ({"fields": {"a": None, "rsi": 33}}, "rsi: 33", None),
        ({"price": 5}, "price: 5", None),
        ({"prioritty": "high"}, "prioritty: high", None),
    ],
)
def test_signal_without_a_title_gets_one_from_the_rest(given: dict[str, Any], title: str, body: str | None) -> None:
    signal = Signal.from_dict(given)
    assert (signal.title, signal.body) == (title, body)


def test_signal_keeps_an_unreadable_timestamp_as_text() -> None:
    signal = Signal("T", timestamp="half past nine")
    assert (signal.timestamp, signal.timestamp_text) == (None, "half past nine")

    class Mute:
        def __str__(self) -> str:
            raise ValueError

    assert Signal("T", timestamp=Mute()).timestamp_text == "Mute"
    assert len(Signal("T", timestamp="x" * 1000).timestamp_text or "") == 200


def test_signal_of_the_largest_values_fits_a_frame_and_stays_as_it_is() -> None:
    huge = "\x01" * 100_000
    fields = {f"{n}{huge}": huge for n in range(100)}
    given: dict[str, Any] = dict.fromkeys(FIELD_NAMES, huge)
    given |= {"tags": [huge] * 100, "to": [huge] * 100, "input_notes": [huge] * 100, "fields": fields, "x" * 9999: huge}
    given["payload"] = {"content": "\x01" * 10_000}
    signal = Signal.from_dict(given)
    assert len(encode_json({"op": "send", "v": 1, "signal": signal.as_dict(), "ack": "received"})) < MAX_FRAME
    assert Signal.from_dict(signal.as_dict()) == signal


@pytest.mark.parametrize(
    ("given", "path", "left", "notes"),
    [
        (["/a.png"], "/a.png", None, []),
        ((Path("/a.png"),), "/a.png", None, []),
        (["/a.png", "/b.png"], "/a.png", {"attach": "/b.png"}, ["attach: a signal has one file: the first of 2"]),
        ([], None, {"attach": ""}, ["attach: cannot be read as a path; shown as text"]),
    ],
)
def test_signal_attaches_the_first_path_of_a_list(given: Any, path: Any, left: Any, notes: list[str]) -> None:
    signal = Signal("T", attach=given)
    assert (signal.attach, signal.fields, signal.input_notes or []) == (path, left, notes)


def test_signal_notes_where_reading_a_mapping_failed() -> None:
    signal = Signal("T", fields=LazyMapping())
    assert signal.fields == {"first": 1}
    assert (signal.input_notes or [])[0] == "fields: could not be read to its end: OSError: the table is gone"


@pytest.mark.parametrize("name", [name for name in FIELD_NAMES if name != "attach"])  # a path is not sent
@pytest.mark.parametrize("odd", ODD)
def test_signal_of_any_odd_value_fits_a_frame_and_stays_as_it_is(name: str, odd: str) -> None:
    signal = Signal.from_dict({"title": "T", "body": "B", name: ODD[odd]()})
    assert len(packed(signal)) < MAX_FRAME
    assert Signal.from_dict(json.loads(packed(signal))) == signal


def test_signal_reads_a_bounded_part_of_a_huge_list() -> None:
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "x" * 99

    signal = Signal("T", lines())
    assert len(signal.body or "") == 4096
    assert read < 50
    assert signal.input_notes == ["body: read as lines", "body: cut from 4,099 to 4,096 characters"]


def test_signal_keys_that_are_cut_stay_different() -> None:
    one, other = Signal("T", key="k" * 300 + "1"), Signal("T", key="k" * 300 + "2")
    assert one.key != other.key
    assert len(one.key or "") == 256


def test_signal_treats_none_as_absent() -> None:
    assert set(Signal.from_dict({"title": "T", **dict.fromkeys(FIELD_NAMES[1:])}).as_dict()) == {"title", "id"}


def test_signal_is_frozen_and_has_no_other_attributes() -> None:
    signal = Signal("T")
    with pytest.raises(AttributeError, match="frozen"):
        signal.title = "U"
    with pytest.raises(AttributeError, match="has no 'colour'"):
        _ = signal.colour
    signal.as_dict()["title"] = "U"
    assert signal.title == "T"


def test_signal_can_be_copied_and_pickled() -> None:
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
def test_signal_of_any_values_is_empty_or_can_be_encoded(values: dict[str, Any]) -> None:
    try:
        signal = Signal.from_dict(values)
    except InvalidSignal as refused:
        assert refused.field == "title"  # noqa: PT017 - it says nothing
        return
    plain = signal.as_dict()
    plain.pop("attach", None)  # a path on this machine, of any bytes; a signal is encoded with the name of the copy
    assert json.loads(json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()) == plain
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plain)) == plain


@given(
    st.dictionaries(st.sampled_from(FIELD_NAMES).filter(lambda name: name != "attach") | st.text(max_size=8), anything)
)
def test_signal_with_any_object_in_any_field_can_be_sent(values: dict[str, Any]) -> None:
    signal = Signal.from_dict({"body": "B", **values, "title": "T"})
    assert signal.title == "T"
    assert Signal.from_dict(json.loads(packed(signal))) == signal


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
def test_signal_is_unchanged_by_a_second_check(values: dict[str, Any]) -> None:
    signal = Signal.from_dict(values)
    assert Signal.from_dict(signal.as_dict()) == signal
    assert Signal.from_dict(signal.as_dict()).as_dict() == signal.as_dict()


@pytest.mark.parametrize("state", RECEIPT_STATES)
def test_receipt_durable_follows_its_state(state: str) -> None:
    assert Receipt("1", state).accepted is (state in ("stored", "spooled", "duplicate"))


def test_receipts_compare_by_value() -> None:
    assert Receipt("1", "stored") == Receipt("1", "stored", None) != Receipt("1", "dropped", "why")
    assert len({Receipt("1", "stored"), Receipt("1", "stored")}) == 1
    assert repr(Receipt("1", "stored")) == "Receipt(id='1', state='stored', reason=None)"
