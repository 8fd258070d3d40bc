"""Any signal becomes an embed that Discord takes and a trader can read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.destinations.signals import ACCEPTED, deliveries, delivery, embed, long, plain

from tocsind.policy.delivery import Delivery
from tocsind.rendering import json_line
from tocsind.rendering.discord import message
from tocsind.rendering.discord.embed import length, web_address
from tocsind.rendering.discord.limits import MOST_ROOM
from tocsind.rendering.numbers import iso, number, percent
from tocsind.rendering.text import MARK

slowly = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def weigh(made: dict[str, Any]) -> int:
    """The limits, written from Discord's documentation; what the embed counts towards the 6,000."""
    texts = {"title": 256, "description": 4096}
    for name, most in texts.items():
        if name in made:
            assert 0 < len(made[name].strip()) <= most
    assert len(made.get("fields", [])) <= 25
    for field in made.get("fields", []):
        assert 0 < len(field["name"].strip()) <= 256
        assert 0 < len(field["value"].strip()) <= 1024
    assert 0 < len(made["footer"]["text"].strip()) <= 2048
    pairs = [part for field in made.get("fields", []) for part in (field["name"], field["value"])]
    return sum(map(len, [made["title"], made.get("description", ""), made["footer"]["text"], *pairs]))


def named(made: dict[str, Any]) -> dict[str, str]:
    return {field["name"]: field["value"] for field in made.get("fields", [])}


@pytest.mark.parametrize("part", [" ", "1", "#", "\n ", "_", "*a", "https://", "@everyone", "](", "\u200b", "\\"])
@pytest.mark.timeout(10)
def test_embed_of_a_long_text_is_made_quickly(part: str) -> None:
    text = f"a{part * (250_000 // len(part))}x"
    made = embed(delivery(text, body=text, fields={text: text}, source=text, tags=[text], link=text, action=text))
    assert weigh(made) <= 6000


@slowly
@given(delivery=deliveries)
def test_any_signal_fits_every_limit(delivery: Delivery) -> None:
    made = embed(delivery)
    assert weigh(made) <= 6000
    assert delivery.id[-8:] in made["footer"]["text"]
    assert made["title"].endswith(" · possible duplicate") or not delivery.maybe_duplicate


def worst() -> Delivery:
    fields = {f"*{place}" * 200: "_" * 2000 for place in range(60)}
    tags = ["tag" * 50] * 9
    return delivery(
        "~~" * 300, body="|" * 9000, fields=fields, tags=tags, source="s" * 500, timestamp="when " * 90, doubt=True
    )


def test_embed_of_the_longest_signal_fits() -> None:
    made = embed(worst())
    assert weigh(made) <= 6000
    assert made["title"].endswith("… · possible duplicate")
    assert made["description"].endswith("…")
    assert made["fields"][-1]["value"].endswith("more")


def test_embed_of_a_trading_signal_has_the_expected_fields() -> None:
    signal = delivery(
        body="fast MA crossed slow MA",
        priority="urgent",
        confidence=0.93,
        strategy="ma_unified",
        symbol="BTCUSDT",
        action="BUY",
        price=64000.5,
        fields={"rsi": 33, "confirmed": True},
        tags=["btc"],
        source="bot-1",
        timestamp="2026-01-01T12:00:00Z",
        link="https://example.com/chart/1",
        tier="premium",
    )
    made = embed(signal)
    assert made["title"] == "▲ BUY BTCUSDT"
    assert made["description"] == "fast MA crossed slow MA"
    assert made["color"] == 0x2ECC71
    assert made["url"] == "https://example.com/chart/1"
    assert datetime.fromisoformat(made["timestamp"]) == datetime.fromisoformat("2026-01-01T12:00:00Z")
    assert made["footer"]["text"] == f"urgent · premium · bot-1 · #btc · {signal.id[-8:]}"
    assert named(made) == {
        "Price": "64,000.5",
        "Confidence": "93 %",
        "Strategy": "ma_unified",
        "rsi": "33",
        "confirmed": "yes",
    }
    assert all(field["inline"] for field in made["fields"])


@pytest.mark.parametrize(
    ("action", "colour"), [("BUY", 0x2ECC71), ("sell ", 0xE74C3C), ("Hold", 0xF1C40F), ("DANCE", 0xC0392B)]
)
def test_embed_colour_is_that_of_the_action_else_of_the_priority(action: str, colour: int) -> None:
    assert embed(delivery(action=action, priority="urgent"))["color"] == colour


def test_doubt_is_told_in_words() -> None:
    assert embed(delivery(doubt=True))["title"] == "BUY BTCUSDT · possible duplicate"
    assert "duplicate" not in str(embed(delivery()))


def test_embed_shows_an_unreadable_time_beside_that_of_acceptance() -> None:
    made = embed(delivery(timestamp="at noon, *roughly*"))
    assert made["timestamp"] == iso(ACCEPTED) == "2026-01-01T00:00:00.000+00:00"
    assert "time given as: at noon, *roughly*" in made["footer"]["text"]


def test_embed_shows_a_time_outside_calendars_as_a_number() -> None:
    made = embed(delivery(timestamp=-1e10))
    assert made["timestamp"] == iso(ACCEPTED)
    assert "time given as: -10,000,000,000" in made["footer"]["text"]


def test_fields_beyond_the_limit_are_counted_in_the_last_one() -> None:
    made = embed(delivery(fields={f"f{place}": place for place in range(40)}))
    assert len(made["fields"]) == 25
    assert made["fields"][23]["name"] == "f23"
    assert made["fields"][24] == {"name": "…", "value": "… and 16 more", "inline": False}


def test_empty_names_and_values_get_a_placeholder() -> None:
    assert named(embed(delivery(fields={"": "", "x": None, "y": "\u200b"}))) == {"—": "—", "x": "—", "y": "—"}


def test_embed_field_with_a_long_value_stands_alone() -> None:
    fields = embed(delivery(fields={"note": "x" * 41}))["fields"]
    assert not fields[0]["inline"]


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "http://", "https://a b.example", "https://user@evil.example", "//x.y", "https://x.y:0/",
             "https://x.y:99999/", "ftp://x.y/", "https://localhost/", "https://[::1", "https://x.y/" + "a" * 3000]
)  # fmt: skip
def test_embed_shows_an_invalid_link_as_text(link: str) -> None:
    made = embed(delivery(link=link))
    assert "url" not in made
    assert "Link" in named(made)


def test_embed_link_is_sent_as_ascii() -> None:
    assert web_address(" https://example.com/ä?q=1&r=%20#x ") == "https://example.com/%C3%A4?q=1&r=%20#x"


def test_embed_link_stands_before_the_signals_fields() -> None:
    made = embed(delivery(link="https://localhost/", fields={f"f{place}": place for place in range(40)}, symbol="ETH"))
    assert list(named(made))[:3] == ["Symbol", "Link", "f0"]


@pytest.mark.parametrize(
    ("name", "sent"),
    [("tocsin", "tocsin"), ("My Discord bot", None), ("Clyde", None), ("everyone", None), (" ", None), (None, None)],
)
def test_message_leaves_out_a_username_that_discord_refuses(name: str | None, sent: str | None) -> None:
    assert message([delivery()], name).get("username") == sent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (64000.5, "64,000.5"),
        (64000.0, "64,000"),
        (0.1 + 0.2, "0.3"),
        (0.00001234, "0.00001234"),
        (1e-8, "0.00000001"),
        (1.1 * 1.1, "1.21"),
        (-1234.25, "-1,234.25"),
        (0.0, "0"),
        (-0.0, "0"),
        (123456789.125, "123,456,789.125"),
        (1e300, "1e300"),
        (1e22, "1e22"),
        (1 / 3, "0.33333333"),
        (64000.123456789, "64,000.123"),
        (1234567890123456.0, "1,234,567,890,123,456"),
        (-4503599627370495.5, "-4,503,599,627,370,496"),
        (5e-324, "4.94066e-324"),
        (100.0, "100"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: float, shown: str) -> None:
    assert number(value) == shown


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(999999999999999.9)
def test_number_is_short_and_keeps_eight_digits(value: float) -> None:
    shown = number(value)
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=1e-5, abs=0)
    assert len(shown) <= 32


def test_number_of_a_field_is_not_grouped() -> None:
    assert named(embed(delivery(fields={"year": 2026, "order": 12345678.0, "big": 2**62})))["year"] == "2026"
    assert number(12345678.0, grouped=False) == "12345678"


@pytest.mark.parametrize(("share", "shown"), [(0.93, "93 %"), (0.9345, "93.5 %"), (1, "100 %"), (0.0, "0 %")])
def test_confidence_is_a_percentage(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_json_line_has_everything_that_is_known() -> None:
    signal = delivery(body="a\nb", confidence=0.95, fields={"rsi": 33}, doubt=True)
    line = json_line(signal, ACCEPTED + 1)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert msgspec.json.decode(line) == {
        "id": signal.id,
        "title": "BUY BTCUSDT",
        "priority": "normal",
        "destination": "signals-premium",
        "accepted": "2026-01-01T00:00:00.000+00:00",
        "accepted_unix": ACCEPTED,
        "written": "2026-01-01T00:00:01.000+00:00",
        "possible_duplicate": True,
        "body": "a\nb",
        "confidence": 0.95,
        "fields": {"rsi": 33},
    }


@slowly
@given(delivery=deliveries)
def test_any_signal_is_one_line_that_reads_back(delivery: Delivery) -> None:
    line = json_line(delivery, ACCEPTED)
    read = msgspec.json.decode(line)
    assert line.count(b"\n") == 1
    assert ("possible_duplicate" in read) == delivery.maybe_duplicate
    assert {key: read[key] for key in delivery.signal.as_dict() if key != "priority"} == {
        key: value for key, value in delivery.signal.as_dict().items() if key != "priority"
    }


@slowly
@given(
    frames=st.integers(1, 60),
    extra=st.dictionaries(long, long, max_size=30),
    head=st.sampled_from(["", f"{MARK}\n"]),
    is_plain=st.booleans(),
)
def test_end_of_a_traceback_is_shown_whatever_room_the_fields_leave(
    frames: int, extra: dict[str, str], head: str, is_plain: bool
) -> None:
    frame = '  File "/app/a_b/__init__.py", line 7, in __call__\n    return self._next(*args, **kwargs)\n'
    body = f"{head}Traceback (most recent call last):\n{frame * frames}ValueError: *the* end"
    alert = delivery("it failed", body=body, fields=extra, plain=is_plain)
    made = plain(alert) if is_plain else embed(alert)
    assert r"ValueError: \*the\* end" in made["description"]
    assert length(made) <= MOST_ROOM
