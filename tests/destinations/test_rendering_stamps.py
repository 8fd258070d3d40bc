"""Times in the daemon's own texts: in UTC for all, in the reader's zone on Discord. Texts of programs stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.saved_messages import stored
from tests.destinations.signals import ACCEPTED, delivery, embed

from tocsind.rendering.discord import message
from tocsind.rendering.discord.stamps import stamped

NOON = 1_767_268_800  # 2026-01-01T12:00:00Z
DAY = 86_400


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at 12:00 UTC.", f"at <t:{NOON}:t>."),
        ("(12:00:07 UTC)", f"(<t:{NOON + 7}:T>)"),
        ("23:30 UTC", f"<t:{NOON - DAY + 41_400}:t>"),
        ("11:00 to 12:00 UTC", f"<t:{NOON - 3600}:t> to <t:{NOON}:t>"),
        ("23:30 to 12:00 UTC", f"<t:{NOON - DAY + 41_400}:t> to <t:{NOON}:t>"),
        ("2025-12-31 12:00 UTC", f"<t:{NOON - DAY}:f>"),
        ("2025-12-31 12:00 to 13:00 UTC", f"<t:{NOON - DAY}:f> to <t:{NOON - DAY + 3600}:t>"),
        ("2025-12-31 12:00 to 2026-01-01 11:00 UTC", f"<t:{NOON - DAY}:f> to <t:{NOON - 3600}:f>"),
        ("2026-02-30 12:00 UTC", "2026-02-30 12:00 UTC"),
        ("25:00 UTC", "25:00 UTC"),
        ("1969-12-31 12:00 UTC", "1969-12-31 12:00 UTC"),
        ("12:00 UTCX, 12:00, 112:00 UTC", "12:00 UTCX, 12:00, 112:00 UTC"),
    ],
)
def test_time_in_utc_becomes_a_timestamp(text: str, shown: str) -> None:
    assert stamped(text, NOON + 60.0) == shown


def both(**fields: Any) -> tuple[str, str]:
    """Description and first field of the embed of a signal that says a time in both."""
    made = embed(delivery(body="since 2026-01-01 00:00 UTC", fields={"backup": "2 x, 00:00 UTC"}, **fields))
    return made["description"], made["fields"][0]["value"]


def test_timestamps_are_made_in_the_daemons_own_texts_only() -> None:
    assert both(source="tocsin") == (f"since <t:{ACCEPTED:.0f}:f>", f"2 x, <t:{ACCEPTED:.0f}:t>")
    assert both(source="my tocsin") == ("since 2026-01-01 00:00 UTC", "2 x, 00:00 UTC")


@given(st.lists(st.sampled_from(["12:00 UTC", "2026-01-01 12:00 to 13:00 UTC", "x" * 60]), min_size=1, max_size=200))
def test_own_text_with_many_times_is_within_the_limits(parts: list[str]) -> None:
    text = ", ".join(parts)
    stored(
        message([delivery(body=text[:4096], source="tocsin", fields={"all": text[:1024]})])
    )  # asserts that Discord takes it
