"""Any object as a signal: by the names that strategies use, and whatever stands under them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.odd_values import LazyMapping, NaTType, Row
from tests.trading.odd_values import Nameless

from tocsin import InvalidSignal, Signal
from tocsin.compat import NotificationPriority, UserTier, send_signal_sync
from tocsin.compat.foreign_signals import signal_of
from tocsin.signals import MOST_FIELDS
from tocsin.wire import MAX_FRAME, encode_json


class SignalType(Enum):
    BUY = "buy"


class Rank(Enum):
    URGENT = 1


@dataclass
class Symbol:
    """A value object."""

    value: str


def made(given: Any, **more: Any) -> dict[str, Any]:
    """The signal's fields, without its id and the notes on how they were read."""
    values = signal_of(given, **more).as_dict()
    del values["id"]
    values.pop("input_notes", None)
    return values


def test_foreign_mapping_and_object_give_the_same_signal() -> None:
    names = {"symbol": "ETH", "action": "sell", "price": 10, "confidence": 0.5, "strategy": "ma", "timestamp": 1.5e9}
    expected = {
        "title": "SELL ETH", "symbol": "ETH", "action": "SELL", "price": 10.0,
        "confidence": 0.5, "strategy": "ma", "timestamp": 1.5e9,
    }  # fmt: skip
    assert made(names) == made(SimpleNamespace(**names)) == expected


def test_foreign_enums_and_value_objects_are_read() -> None:
    entity = SimpleNamespace(
        symbol=Symbol("BTC"), signal_type=SignalType.BUY, entry_price=Decimal("64000.5"), user_tier=UserTier.PREMIUM
    )
    assert made(entity) == {
        "title": "BUY BTC", "symbol": "BTC", "action": "BUY", "price": 64000.5, "tier": "premium",
        "fields": {"entry": 64000.5},
    }  # fmt: skip


def test_foreign_levels_metadata_and_context_become_fields() -> None:
    signal = {
        "symbol": "X",
        "stop_loss": 1.5,
        "take_profit": 3,
        "metadata": {"rsi": 33, "when": datetime(2026, 1, 2, tzinfo=UTC)},
    }
    assert made(signal, context={"rsi": 34, "deep": {"a": 1}, "flag": True, "none": None})["fields"] == {
        "stop": 1.5, "target": 3, "rsi": 34, "when": "2026-01-02 00:00:00+00:00",
        "deep": "a: 1", "flag": True, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "priority"),
    [(NotificationPriority.URGENT, "urgent"), ("HIGH", "high"), (Rank.URGENT, "urgent"), (None, "low")],
)
def test_given_priority_overrides_the_signals(said: Any, priority: str) -> None:
    assert made({"symbol": "X", "priority": "low"}, priority=said)["priority"] == priority


def test_foreign_value_that_cannot_be_read_becomes_a_field() -> None:
    signal = made({"symbol": "X", "confidence": 870, "price": "a lot", "colour": "red"}, priority="soon", tier=7)
    assert signal == {
        "title": "X",
        "symbol": "X",
        "tier": "7",
        "fields": {"confidence": "870", "price": "a lot", "priority": "soon", "colour": "red"},
    }


def test_foreign_signal_accepts_all_fields_of_send() -> None:
    said = {
        "title": "t", "to": "ops", "tags": ["a", "b"], "link": "https://x.y", "attach": Path("/tmp/a.png"),
        "source": "box", "expires": "90s", "key": "k", "id": "01HQZX3Y5N8R7W2K4M6P9T1V3B",
    }  # fmt: skip
    expected = said | {"to": ["ops"], "attach": "/tmp/a.png", "expires": 90.0}
    assert signal_of(said).as_dict() == signal_of(SimpleNamespace(**said)).as_dict() == expected


@pytest.mark.parametrize(
    "message",
    [
        {"content": "hello"},
        {"embeds": [{"title": "BUY"}], "username": "bot", "allowed_mentions": {"parse": []}},
        MappingProxyType({"content": "hello"}),
    ],
)
def test_mapping_that_is_a_discord_message_is_the_payload(message: Any) -> None:
    signal = signal_of(message, priority="high", tier="free", context={"rsi": 33})
    assert signal.payload == dict(message)
    assert (signal.title, signal.priority, signal.tier) == ("hello" if "content" in message else "BUY", "high", "free")
    assert signal.fields == {"rsi": 33}


@pytest.mark.parametrize(
    "other", [{"content": "", "embeds": []}, {"content": "x", "symbol": "BTC"}, {"username": "bot"}]
)
def test_mapping_with_other_keys_is_no_discord_message(other: dict[str, Any]) -> None:
    assert signal_of(other).payload is None


def test_row_of_a_table_is_read_by_its_names() -> None:
    row = Row(symbol="BTC", side="buy", price=1.5, rsi=33, time=NaTType())
    assert made(row) == made(vars(row)["_columns"])
    assert made(row)["fields"] == {"rsi": 33}


def test_mapping_that_fails_keeps_what_was_read() -> None:
    fields = made({"symbol": "X"}, context=LazyMapping())["fields"]
    assert fields == {"first": 1, "not read to its end": "OSError: the table is gone"}


def test_foreign_signal_ignores_other_ids_and_empty_values() -> None:
    assert made({"symbol": "X", "id": 17, "to": [], "tags": ()}) == {"title": "X", "symbol": "X"}
    assert made({"symbol": "X", "to": 5, "attach": 7}) == {
        "title": "X",
        "symbol": "X",
        "to": ["5"],
        "fields": {"attach": "7"},
    }


@pytest.mark.parametrize(
    ("said", "confidence"),
    [("0.95", 0.95), (" 1 ", 1.0), ("nan", None), ("95", 0.95), ("95%", 0.95), (87, 0.87), ("x", None)],
)
def test_foreign_confidence_as_text_is_a_number(said: Any, confidence: float | None) -> None:
    found = made({"symbol": "X", "confidence": said})
    assert found.get("confidence") == confidence
    assert ("fields" in found) is (said == "x")


@pytest.mark.parametrize(
    ("said", "priority"), [("CRITICAL", "urgent"), ("emergency", "urgent"), ("Medium", "normal"), ("warning", "normal")]
)
def test_foreign_priority_words_are_understood(said: str, priority: str) -> None:
    assert made({"symbol": "X", "priority": said}).get("priority") == priority


def test_hostile_object_still_gives_a_signal() -> None:
    odd = Nameless()
    signal = {"symbol": "X", "confidence": odd, "title": odd, "metadata": {"odd": odd}, "fields": odd}
    assert made(signal) == {"title": "X", "symbol": "X", "fields": {"odd": "Nameless"}}


def test_foreign_text_is_title_and_body() -> None:
    assert made("Disk is full\nof old logs\n") == {"title": "Disk is full", "body": "of old logs"}


def test_foreign_object_without_known_names_is_titled_by_its_text() -> None:
    assert made(ValueError("the feed is gone")) == {"title": "ValueError: the feed is gone"}
    assert made(SimpleNamespace())["title"] == "namespace()"


def test_tocsin_signal_is_unchanged() -> None:
    signal = Signal("t", to=["d"], key="k", fields={"a": 1})
    assert signal_of(signal, context={"b": 2}).as_dict() == signal.as_dict() | {"fields": {"a": 1, "b": 2}}


def test_webhook_in_the_context_is_masked() -> None:
    url = "https://discord.com/api/webhooks/123/canary-canary"
    signal = made({"symbol": "X", "body": f"see {url}"}, context={"discord_webhook_url": url, "config": {"url": url}})
    assert "canary" not in repr(signal)


def test_foreign_fields_beyond_the_limit_are_counted() -> None:
    fields = made({"symbol": "X"}, context={f"f{n}": n for n in range(1000)})["fields"]
    assert (len(fields), fields["…"]) == (MOST_FIELDS, "and 976 more")


def test_largest_foreign_signal_fits_a_frame() -> None:
    huge = "\x01x" * 10_000
    signal = dict.fromkeys(NAMES, huge) | {name: [f"{n}{huge}" for n in range(100)] for name in ("tags", "to")}
    signal |= {"priority": "low"}
    made_of_it = signal_of(signal, tier=huge, context={f"{n}{huge}": huge for n in range(100)})
    assert len(encode_json({"op": "send", "v": 1, "signal": made_of_it.as_dict(), "ack": "stored"})) < MAX_FRAME


def test_foreign_unreadable_time_is_kept_as_text() -> None:
    assert made({"symbol": "X", "timestamp": "yesterday"})["timestamp_text"] == "yesterday"


def test_none_is_refused_as_a_signal() -> None:
    with pytest.raises(InvalidSignal, match="signal: is None"):
        signal_of(None)


class Hostile:
    """Raises wherever it is touched."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __float__(self) -> float:
        raise RuntimeError("float")

    __repr__ = __str__


NAMES = (
    "title", "body", "symbol", "action", "price", "confidence", "strategy", "tier", "priority", "timestamp",
    "key", "link", "expires", "to", "attach", "id", "source", "tags", "metadata", "fields", "stop_loss", "entry", "context", "x",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=8), st.datetimes(),
    st.decimals(), st.builds(Hostile), st.just(Symbol), st.builds(Symbol, st.text()), st.sampled_from([*Rank, *SignalType]),
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMED = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=8)
SIGNALS = st.one_of(ANYTHING, NAMED, st.builds(lambda names: SimpleNamespace(**names), NAMED))


@given(SIGNALS, ANYTHING, ANYTHING, st.one_of(ANYTHING, NAMED))
@example({"title": {}}, None, None, {})
def test_any_object_gives_a_signal(given: Any, priority: Any, tier: Any, context: Any) -> None:
    if given is None:
        return
    signal = signal_of(given, priority, tier, context)
    assert signal.title
    assert Signal.from_dict(signal.as_dict()) == signal


@given(SIGNALS, ANYTHING, ANYTHING, st.one_of(ANYTHING, NAMED))
def test_compat_calls_never_raise(given: Any, priority: Any, tier: Any, context: Any) -> None:
    assert send_signal_sync(given, priority, tier, context) is (given is not None)
