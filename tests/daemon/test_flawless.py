"""What the short way takes, the careful way would take unchanged: so whoever is served quickly is served the same."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.ids import is_id, new_id
from tocsin.signals import FIELD_NAMES, PRIORITIES, Signal
from tocsind.ipc import flawless

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
texts = st.text(max_size=8) | st.sampled_from(["", " ", "x ", "\u2003x", "BUY", "urgent"])
numbers = (
    st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.sampled_from([0, 1, 0.5, -1, 1e11, -1e11, 99999999999.9, 2**63 - 1, 1.7e18])
)
anything = st.none() | st.booleans() | texts | numbers
values = (
    anything
    | st.lists(texts, max_size=2)
    | st.dictionaries(texts, anything | st.lists(st.none(), max_size=1), max_size=2)
)
likely = st.fixed_dictionaries(
    {"title": st.sampled_from(["BUY BTCUSDT", "x", " x"])},
    optional={
        "body": texts,
        "priority": st.sampled_from([*PRIORITIES, "URGENT"]),
        "confidence": st.floats(0, 1) | numbers,
        "price": numbers,
        "fields": st.dictionaries(texts, anything, max_size=3),
        "tags": st.lists(texts, max_size=3),
        "expires": numbers | st.sampled_from(["90s"]),
        "timestamp": numbers | texts,
        "to": st.lists(texts, max_size=2) | texts,
        "id": st.sampled_from([ID, ID.lower(), f"8{ID[1:]}", ID[1:], "0" * 26]),
    },
)
unlikely = st.dictionaries(st.sampled_from([*FIELD_NAMES, "prioritty"]), values, max_size=6)


def taken(body: bytes) -> Signal | None:
    """The signal that the short way reads out of a `send`."""
    hand_off = flawless.read(body)
    read = None if hand_off is None else flawless.signal(hand_off.forms[0])
    return None if read is None else Signal.trusted(msgspec.msgpack.decode(read[1]))


def frame(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": "send", "v": 1, "signal": values, **more}


@given(likely | unlikely)
def test_what_the_short_way_takes_the_check_would_leave_as_it_is(values: dict[str, Any]) -> None:
    try:
        body = msgspec.msgpack.encode(frame(values))
    except (OverflowError, UnicodeEncodeError):
        return
    signal = taken(body)
    if signal is not None:
        given = {name: value for name, value in values.items() if value is not None}
        assert signal == Signal.from_dict({**given, "id": signal.id})


@given(likely)
def test_json_and_messagepack_are_taken_alike(values: dict[str, Any]) -> None:
    as_json = json.dumps(frame({**values, "id": ID}), ensure_ascii=False).encode("utf-8", "surrogatepass")
    found = taken(as_json)
    if found is not None:
        assert found == taken(msgspec.msgpack.encode(frame({**values, "id": ID})))


def test_what_the_client_makes_of_a_usual_signal_goes_the_short_way() -> None:
    usual = Signal(
        "BUY BTCUSDT",
        body="fast MA crossed slow MA",
        priority="urgent",
        tier="premium",
        confidence=0.93,
        price=64000,
        fields={"rsi": 33, "why": "cross", "ratio": 0.5, "live": True, "note": None},
        tags=["btc"],
        key="trade-123",
        expires="90s",
        timestamp="2026-01-01T00:00:00Z",
        to="local-file",
    )
    assert taken(json.dumps(frame(usual.as_dict())).encode()) == usual


def test_a_signal_without_an_id_gets_one() -> None:
    signal = taken(b'{"op": "send", "signal": {"title": "x"}}')
    assert signal is not None
    assert is_id(signal.id)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xc1",
        b'{"op": "status"}',
        b'{"op": "send"}',
        b'{"op": "send", "v": 2, "signal": {"title": "x"}}',
        b'{"op": "send", "signal": {"title": "x"}, "uid": 0}',
        b'{"op": "send", "signal": {"title": "x", "prioritty": "low"}}',
        b'{"op": "send", "signal": {"title": "\xff"}}',
        b'{"op": "send", "signal": ' + b"[" * 200_000,
    ],
)
def test_all_else_takes_the_careful_way(body: bytes) -> None:
    assert taken(body) is None


@pytest.mark.parametrize("name", ["price", "confidence", "expires", "timestamp"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_never_goes_the_short_way(name: str, number: float) -> None:
    for values in ({name: number}, {"fields": {"x": number}}):
        assert taken(msgspec.msgpack.encode(frame({"title": "x", "id": new_id(), **values}))) is None
