from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority
from tocsind.rendering.digest import MOST_KEYS, digest

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
DAY = 86_400.0


def owed(title: str = "BUY", at: float = NOON, *, doubt: bool = False, order: int = 0, **fields: Any) -> Delivery:
    return Delivery(1, Signal(title, **fields), "d", Priority.LOW, at, maybe_duplicate=doubt, order=order)


def fields_of(*deliveries: Delivery) -> dict[str, str]:
    fields: dict[str, str] = digest(deliveries, "low")["fields"]
    return fields


def test_digest_says_count_priority_and_span() -> None:
    made = digest([owed(at=NOON + 65), owed(at=NOON), owed(at=NOON + 360)], "normal")
    assert (made["title"], made["priority"], made["source"]) == ("3 signals in one digest (normal)", "normal", "tocsin")
    assert made["body"].startswith("2026-01-01 12:00 to 12:06 UTC: ")


def test_digest_line_says_count_times_and_price_range() -> None:
    prices = (64_000.5, 63_900.0, 64_200.0)
    made = fields_of(*(owed(at=NOON + 60 * n, key="btc", price=price) for n, price in enumerate(prices)))
    assert made == {"btc": "3 x, 12:00 to 12:02 UTC, price 63,900 to 64,200"}


def test_digest_of_a_key_shows_its_last_state() -> None:
    states = [owed(title, key="trade", order=order) for order, title in ((2, "closed"), (0, "opened"), (1, "filled"))]
    assert fields_of(*states) == {"trade": "3 x, 12:00 UTC, last: closed"}
    assert fields_of(*states[:1] * 2) == {"trade": "2 x, 12:00 UTC"}


def test_digest_of_one_signal_shows_one_time_and_one_price() -> None:
    assert fields_of(owed(price=5.0), owed("SELL")) == {
        "BUY": "1 x, 12:00 UTC, price 5",
        "SELL": "1 x, 12:00 UTC",
    }


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"key": "trade-1", "strategy": "ma", "symbol": "BTC", "action": "BUY"}, "trade-1"),
        ({"strategy": "ma", "symbol": "BTC", "action": "BUY"}, "ma BTC BUY"),
        ({"symbol": "BTC"}, "BTC"),
        ({}, "a title"),
        ({"key": "", "strategy": "", "symbol": " "}, "a title"),
        ({"key": "two\nlines"}, "two lines"),
        ({"key": "x" * 100}, "x" * 79 + "…"),
        ({"key": "… and 3 more"}, "— … and 3 more"),
        ({"key": "\u200b\x00"}, "a title"),
    ],
    ids=str,
)
def test_alike_is_what_has_one_key_else_strategy_symbol_and_action_else_title(
    fields: dict[str, Any], label: str
) -> None:
    assert list(fields_of(owed("a title", **fields))) == [label]


def test_digest_has_the_most_frequent_first_and_else_what_came_first() -> None:
    assert list(fields_of(owed("b"), owed("a"), owed("c"), owed("c"))) == ["c", "b", "a"]


def test_digest_has_higher_priorities_first_and_ended_stories_last() -> None:
    ended = [owed("down", key="over", order=1), owed("up", key="over", order=2, done=True)]
    high = msgspec.structs.replace(owed("high"), priority=Priority.HIGH)
    assert list(fields_of(*ended, owed("low"), owed("low"), high)) == ["high", "low", "over"]


def test_digest_counts_the_rest_in_its_last_field() -> None:
    many = [owed(f"kind {number}") for number in range(MOST_KEYS + 3)]
    made = fields_of(*many, many[-1])
    assert len(made) == MOST_KEYS + 1
    assert list(made.items())[-1] == ("… and 3 more", "3 x")
    assert list(fields_of(*many[:MOST_KEYS]))[-1] == f"kind {MOST_KEYS - 1}"


def test_over_midnight_every_time_has_its_date() -> None:
    made = digest([owed(at=NOON), owed(at=NOON + DAY), owed("SELL", at=NOON)], "low")
    assert made["body"].startswith("2026-01-01 12:00 to 2026-01-02 12:00 UTC: ")
    assert made["fields"] == {
        "BUY": "2 x, 2026-01-01 12:00 to 2026-01-02 12:00 UTC",
        "SELL": "1 x, 2026-01-01 12:00 UTC",
    }


def test_doubt_is_not_lost_in_the_sum() -> None:
    assert digest([owed(doubt=True), owed(), owed(doubt=True)], "low")["body"].endswith("Possible duplicates: 2.")
    assert "duplicate" not in digest([owed(), owed()], "low")["body"]


texts = st.text(max_size=12) | st.sampled_from(["", " ", "…", "… and 2 more", "a", "b", "\u202e", "_" * 90])
signals = st.builds(
    lambda **fields: Signal(fields.pop("title") + "t", **fields),
    title=texts,
    key=st.none() | texts,
    strategy=st.none() | texts,
    symbol=st.none() | texts,
    action=st.none() | texts,
    price=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
deliveries = st.builds(
    lambda signal, accepted, doubt: Delivery(1, signal, "d", Priority.LOW, accepted, maybe_duplicate=doubt),
    signals,
    st.floats(allow_nan=False, allow_infinity=False) | st.floats(NOON, NOON + DAY),
    st.booleans(),
)


@given(st.lists(deliveries, min_size=1, max_size=60))
def test_digest_of_any_deliveries_is_a_signal_whose_counts_add_up(some: list[Delivery]) -> None:
    made = Signal(**digest(some, "low"))
    assert made.fields is not None
    counts = [re.match(r"([0-9]+) x", str(value)) for value in made.fields.values()]
    assert sum(int(count[1]) for count in counts if count) == len(some)
    assert len(made.fields) <= MOST_KEYS + 1
    assert all(len(name) <= 100 and len(str(value)) <= 200 for name, value in made.fields.items())
    assert digest(some, "low") == digest(some, "low")
