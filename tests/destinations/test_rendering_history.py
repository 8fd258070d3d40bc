"""The history of a living message: short, in order, and never too long for what Discord takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.saved_messages import slowly, stored
from tests.destinations.signals import ACCEPTED, deliveries, delivery, titles

from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.policy.live_message import MAX_LINES, Line, LiveMessage
from tocsind.rendering.discord import living_message

DAY = 86400.0


def telling(shown: Delivery, *before: Line, earlier: int = 0, edits: str | None = None) -> LiveUpdate:
    last = Line(99, shown.accepted, shown.signal.title, shown.signal.price)
    return LiveUpdate("trade", "webhook", edits, LiveMessage(edits, (*before, last), earlier), shown)


def embed(told: LiveUpdate) -> dict[str, Any]:
    (made,) = living_message(told)["embeds"]
    assert isinstance(made, dict)
    return made


def history(told: LiveUpdate) -> list[str]:
    """Its lines, which stand in the last field."""
    field = embed(told)["fields"][-1]
    assert (field["name"], field["inline"]) == ("History", False)
    return list(field["value"].split("\n"))


OPENED = Line(1, ACCEPTED - 120, "BUY BTCUSDT opened", 64000.5)
FILLED = Line(2, ACCEPTED - 60.5, "BUY BTCUSDT filled")


def test_history_shows_times_prices_and_other_dates() -> None:
    assert history(telling(delivery("closed"), OPENED, FILLED)) == [
        "<t:1767225539:f> BUY BTCUSDT filled",
        "<t:1767225480:f> BUY BTCUSDT opened · 64,000.5",
    ]
    same_day = msgspec.structs.replace(OPENED, at=ACCEPTED)
    assert history(telling(delivery("closed"), same_day)) == ["<t:1767225600:T> BUY BTCUSDT opened · 64,000.5"]


def test_those_before_are_counted() -> None:
    assert history(telling(delivery("closed"), FILLED, earlier=1494))[1:] == ["… and 1,494 earlier"]


def test_history_is_absent_in_the_first_state() -> None:
    assert "fields" not in embed(telling(delivery("opened")))


def test_history_shows_titles_as_they_were_written() -> None:
    line = Line(1, ACCEPTED, "@everyone *BUY*\nnow")
    assert history(telling(delivery("closed"), line)) == ["<t:1767225600:T> @\u200beveryone \\*BUY\\* now"]


def test_history_stands_in_the_text_where_all_fields_are_taken() -> None:
    full = delivery("closed", body="Sold.", fields={f"f{n}": n for n in range(25)})
    made = embed(telling(full, OPENED))
    assert len(made["fields"]) == 25
    assert made["description"] == "Sold.\n\nHistory\n<t:1767225480:f> BUY BTCUSDT opened · 64,000.5"


def test_history_is_counted_in_the_plain_format() -> None:
    made = embed(telling(delivery("closed", plain=True), OPENED, FILLED, earlier=1))
    assert made["description"].endswith("History\n… and 3 earlier")


def test_edit_has_no_username_and_removes_the_content() -> None:
    edit = living_message(telling(delivery("closed"), edits="m1"), "Bell")
    assert edit.keys() == {"embeds", "allowed_mentions", "content"}
    assert edit["content"] == ""
    assert living_message(telling(delivery("closed")), "Bell").keys() == {"embeds", "allowed_mentions", "username"}


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("fields", [0, 24, 40])
def test_history_of_the_longest_alert_fits_and_is_marked(fields: int, *, plain: bool) -> None:
    long = {f"{n} {'k' * 250}": "v" * 1024 for n in range(fields)}
    shown = delivery("t" * 256, body="b" * 4096, fields=long, plain=plain, source="s" * 100)
    lines = [Line(n, ACCEPTED, "*" * 256, 1e9) for n in range(MAX_LINES - 1)]
    payload = stored(living_message(telling(shown, *lines, earlier=10**6))).payload
    assert "earlier" in str(payload)


_lines = st.builds(Line, st.integers(0, 98), st.floats(-1e12, 1e12), titles, st.none() | st.floats(allow_nan=False))


@slowly
@given(deliveries, st.lists(_lines, max_size=MAX_LINES - 1), st.integers(0, 10**6), st.booleans())
def test_live_message_of_any_states_is_accepted_by_discord(
    shown: Delivery,
    before: list[Line],
    earlier: int,
    edits: bool,
) -> None:
    stored(living_message(telling(shown, *before, earlier=earlier, edits="m1" if edits else None)))
