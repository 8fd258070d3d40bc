"""A card as a Telegram message: text within the limit, and entities that point at what they are about."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.signals import delivery

from tocsind.rendering.card import Card, card_of
from tocsind.rendering.telegram import MAX_TEXT, message, size
from tocsind.rendering.text import utf16_units


def marked(made: dict[str, Any]) -> list[tuple[str, str]]:
    """The text that each entity is about, by the units that Telegram counts."""
    units = made["text"].encode("utf-16-le")
    return [
        (each["type"], units[2 * each["offset"] : 2 * (each["offset"] + each["length"])].decode("utf-16-le"))
        for each in made["entities"]
    ]


def card(title: str, body: str = "", **fields: Any) -> Card:
    return card_of(delivery(title, body=body, **fields))


def rendered(title: str, body: str, **fields: Any) -> dict[str, Any]:
    return message([card(title, body, **fields)])


def test_first_line_is_the_push_line_in_bold() -> None:
    made = rendered("BUY BTCUSDT", "why", action="BUY", price=64000.5, priority="urgent")
    ((kind, line),) = marked(made)
    assert kind == "bold"
    assert made["text"].startswith(line)
    assert "BUY BTCUSDT" in line
    assert "64,000.5" in line
    assert made["text"].count("64,000.5") == 1


def test_entities_count_utf16_units() -> None:
    made = message([card("🙂🙂 one", "x"), card("two 🚨", "y")])
    assert [text for _, text in marked(made)] == ["🙂🙂 one", "two 🚨"]


def test_output_of_a_program_is_a_block_whose_end_is_kept() -> None:
    made = rendered("job failed", "\n".join(f"line {n}" for n in range(2000)), code=True)
    (_, (kind, block)) = marked(made)
    assert kind == "pre"
    assert block.endswith("line 1999")
    assert utf16_units(made["text"]) <= MAX_TEXT


def test_names_notify_no_one() -> None:
    made = rendered("@alice and @channel", "ask @bob", fields={"who": "@carol"}, code=True)
    assert "@" not in made["text"].replace("@\u200b", "")


def test_markup_stays_as_it_was_written() -> None:
    assert "*a* _b_ <b>c</b> `d`" in rendered("t", "*a* _b_ <b>c</b> `d`")["text"]


def test_file_that_is_not_sent_is_named() -> None:
    assert "chart.png is not sent to this service" in rendered("t", "b", attach="chart.png")["text"]


_TEXT = st.text(max_size=300) | st.text(alphabet="🙂@\n a*", max_size=5000)


@given(title=_TEXT, body=_TEXT, fields=st.dictionaries(_TEXT, _TEXT, max_size=25), code=st.booleans())
def test_telegram_message_of_any_signal_fits_its_size(
    title: str, body: str, fields: dict[str, str], code: bool
) -> None:
    one = card(f"t{title[:200]}", body[:4096], fields=fields, code=code)
    made = message([one])
    assert 0 < utf16_units(made["text"]) <= min(size(one), MAX_TEXT)
    assert all(text for _, text in marked(made))
    small = card("small", "one", priority="low")
    both = message([small, one])
    assert utf16_units(both["text"]) <= size(small) + size(one)


def test_size_of_a_card_has_room_for_its_lateness() -> None:
    alert = delivery("disk fills", priority="high", fields={"used": "97 %"})
    late = msgspec.structs.replace(alert, tried=alert.accepted + 20 * 86_400)
    assert utf16_units(message([card_of(late)])["text"]) <= size(card_of(alert))
