"""Signals that carry a Discord message: which values are taken, and what other destinations show of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import InvalidSignal
from tocsin.payloads import MOST_BYTES, text_of
from tocsin.signals import BODY, TITLE, Signal

EMBED = {
    "author": {"name": "grafana"},
    "title": "CPU",
    "description": "is **hot**\nvery",
    "url": "https://grafana.example/d/1",
    "fields": [{"name": "host", "value": "a"}],
    "footer": {"text": "v11"},
}


def test_payload_text_is_title_and_body() -> None:
    signal = Signal(payload={"content": "look", "embeds": [EMBED]})
    assert (signal.title, signal.body) == ("look", "grafana\nCPU\nis **hot**\nvery\nhost: a\nv11")
    assert (signal.link, signal.input_notes) == ("https://grafana.example/d/1", None)
    assert signal.payload == {"content": "look", "embeds": [EMBED]}


@pytest.mark.parametrize(
    ("given", "payload"),
    [
        ({"content": "look"}, {"content": "look"}),
        ({"embeds": [EMBED], "username": "bot"}, {"embeds": [EMBED], "username": "bot"}),
        ({"content": "look", "priority": "CRITICAL", "tier": "free"}, {"content": "look"}),
        ({"content": "look", "title": "T"}, None),
        ({"content": "look", "colour": "red"}, None),
        ({"content": "look", 5: "red"}, {"content": "look"}),
        ({"username": "bot"}, None),
        ({"content": "", "embeds": [], "username": "bot"}, None),
    ],
)
def test_signal_that_is_a_discord_message_has_it_as_payload(given: dict[Any, Any], payload: Any) -> None:
    signal = Signal.from_dict(given)
    assert signal.payload == payload
    assert signal.priority == ("urgent" if "priority" in given else None)


def test_payload_leaves_given_title_and_body_alone() -> None:
    signal = Signal("mine", "own", payload={"content": "look"})
    assert (signal.title, signal.body) == ("mine", "own")


@pytest.mark.parametrize(
    ("payload", "title"),
    [
        ({"components": [{"type": 17, "components": [{"type": 10, "content": "deep"}]}]}, "deep"),
        ({"poll": {"question": {"text": "lunch?"}, "answers": [{"poll_media": {"text": "yes"}}]}}, "lunch?"),
        ({"attachments": [{"id": 0, "filename": "a.png"}]}, "file: a.png"),
        ({"embeds": [{"image": {"url": "https://a.example/b.png"}}]}, "a message without text"),
        ({"deleted": True}, "a message was deleted"),
        ({"content": 7}, "7"),
    ],
)
def test_payload_without_content_has_a_title(payload: dict[str, Any], title: str) -> None:
    assert Signal(payload=payload).title == title


def test_payload_of_other_types_is_read() -> None:
    class Embedded:
        def to_dict(self) -> dict[str, Any]:
            return {"content": "from an object"}

    assert Signal(payload='{"content": "from text"}').payload == {"content": "from text"}
    assert Signal(payload=Embedded()).payload == {"content": "from an object"}
    assert Signal(payload={"content": "x", "at": {1, 2}}).payload is not None


def test_payload_that_is_none_stands_in_the_message_as_text() -> None:
    signal = Signal("T", payload="no json")
    assert (signal.payload, signal.fields) == (None, {"payload": "no json"})
    assert signal.input_notes == ["payload: cannot be read as a Discord message; shown as text"]


def test_payload_too_large_goes_as_text() -> None:
    huge = {"content": "first\n" + "x" * MOST_BYTES}
    for given_ in (huge, json.dumps(huge)):
        signal = Signal(payload=given_)
        assert (signal.payload, signal.title, len(signal.body or "")) == (None, "first", BODY)
        assert signal.input_notes == ["payload: larger than 64 KiB, its text is sent instead; left out"]


def test_empty_payload_is_an_empty_signal() -> None:
    with pytest.raises(InvalidSignal):
        Signal(payload={})


def test_payload_numbers_beyond_64_bits_become_text() -> None:
    signal = Signal(payload={"content": "x", "id": 2**80, "share": float("inf")})
    assert signal.payload == {"content": "x", "id": str(2**80), "share": "Infinity"}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(signal.as_dict())) == signal.as_dict()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
_messages = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("content", "embeds", "components", "poll", "attachments", "username"), _json),
)


@given(_messages)
def test_any_payload_has_bounded_text_and_is_read_once(payload: dict[str, Any]) -> None:
    title, body = text_of(payload)
    assert title.strip()
    assert len(title) <= TITLE
    assert len(body) <= BODY
    signal = Signal("T", payload=payload)
    assert Signal.from_dict(signal.as_dict()) == signal
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(signal.as_dict())) == signal.as_dict()
