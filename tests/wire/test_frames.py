"""One frame, two encodings, and nothing in between."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import wire
from tocsin.errors import ProtocolMismatch
from tocsin.signals import Signal

_plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_messages = st.dictionaries(
    st.text(), st.recursive(_plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
)


@given(_messages)
def test_wire_round_trips(message: dict[str, Any]) -> None:
    assert wire.decode(wire.encode(message)) == message


@given(_messages)
def test_wire_encodings_are_equivalent(message: dict[str, Any]) -> None:
    text = json.dumps(message).encode()
    assert wire.decode(text) == wire.decode(msgspec.msgpack.encode(message)) == message


@given(st.binary(max_size=100_000))
def test_frame_header_has_the_length(body: bytes) -> None:
    frame = wire.pack(body)
    assert wire.body_length(frame[: wire.HEADER_BYTES]) == len(body)
    assert frame[wire.HEADER_BYTES :] == body


@given(st.binary())
def test_wire_decode_of_any_bytes_raises_only_mismatch(body: bytes) -> None:
    try:
        assert isinstance(wire.decode(body), dict)
    except ProtocolMismatch as mismatch:
        assert "tocsind" in str(mismatch)  # noqa: PT017 - either ending is right


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xc0", b"\x93\x01\x02\x03", b'{"a":' * 100_000, b"\x91" * 100_000, b"{}{}", b"\xff\xfe"],
)
def test_wire_decode_of_invalid_bodies_is_a_mismatch(body: bytes) -> None:
    with pytest.raises(ProtocolMismatch):
        wire.decode(body)


def test_wire_is_json_without_msgspec() -> None:
    script = """
import sys, tocsin.wire as wire
body = wire.encode({"title": "größe", "n": 1.5})
assert body == '{"title":"größe","n":1.5}'.encode(), body
assert wire.decode(body) == {"title": "größe", "n": 1.5}
assert "msgspec" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0


def test_wire_is_message_pack_with_msgspec_loaded() -> None:
    assert msgspec.msgpack.decode(wire.encode({"a": 1})) == {"a": 1}


def test_frame_holds_several_signals_of_discords_size() -> None:
    signal = Signal("T", body="ü" * 4096, fields={f"k{n}": "v" * 1024 for n in range(25)})
    assert len(wire.encode({"op": "send", "v": 1, "signal": signal.as_dict()})) < wire.MAX_FRAME / 5
