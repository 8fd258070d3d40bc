"""A card says what a message says, for every service: one line for a lock screen, and the rest without its words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.saved_messages import slowly
from tests.destinations.signals import ACCEPTED, deliveries, delivery

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.policy.live_message import Line, LiveMessage
from tocsind.rendering import card_of, card_of_update, headline, push_line
from tocsind.rendering.numbers import iso
from tocsind.rendering.plain_text import text_of
from tocsind.rendering.text import fitted, utf8_bytes, utf16_units

TRADE = {"entry": 64000.5, "stop": 63360.5, "target": 65600.5}


@pytest.mark.parametrize(
    ("title", "fields", "line"),
    [
        (
            "BUY BTCUSDT",
            {"action": "BUY", "symbol": "BTCUSDT", "priority": "urgent", "fields": TRADE, "confidence": 0.93},
            "🚨 ▲ BUY BTCUSDT · entry 64,000.5 · stop 63,360.5 (-1 %) · target 65,600.5 (+2.5 %)",
        ),
        (
            "fast MA crossed slow MA",
            {"action": "SELL", "symbol": "ETHUSDT", "priority": "high", "price": 1800.0, "confidence": 0.8},
            "❗ ▼ fast MA crossed slow MA · SELL ETHUSDT · 1,800 · confidence 80 %",
        ),
        (
            "Out of the trade",
            {"action": "CLOSE LONG", "fields": {"entry": 100, "exit": 104, "pnl": 40}},
            "◆ Out of the trade · CLOSE LONG · profit +40 (+4 %) · entry 100 · exit 104",
        ),
        (
            "disk is filling up",
            {"fields": {"host": "db1", "used": "97 %", "free": "1.2 GB", "since": "yesterday"}},
            "disk is filling up · used 97 % · free 1.2 GB",
        ),
        (
            "make failed with exit code 2 after 8ms",
            {"fields": {"exit code": 2, "duration": "8ms", "tries": 3}},
            "make failed with exit code 2 after 8ms · tries 3",
        ),
        ("backup failed", {"fields": {"exit code": 2, "ok": False, "a": 1, "b": 2}}, "backup failed · exit code 2 · a 1 · b 2"),
    ],
)  # fmt: skip
def test_push_line_says_what_happened_and_the_numbers_that_matter(
    title: str, fields: dict[str, Any], line: str
) -> None:
    assert push_line(card_of(delivery(title, **fields))) == line


def test_headline_says_how_late_and_whether_it_may_be_a_copy() -> None:
    late = msgspec.structs.replace(delivery("disk full", doubt=True), tried=ACCEPTED + 3600)
    assert headline(card_of(late)) == "disk full · 1h late · possible duplicate"


@pytest.mark.parametrize(
    ("title", "symbol", "is_said"),
    [
        ("BUY BTCUSDT now", "BTC/USDT", True),
        ("buy btc-usdt", "BTC/USDT", True),
        ("BUY BTCUSDTX", "BTCUSDT", False),
        ("short squeeze", "SHO", False),
    ],
)
def test_fact_that_the_title_says_is_left_out(title: str, symbol: str, is_said: bool) -> None:
    names = [fact.name for fact in card_of(delivery(title, symbol=symbol)).facts]
    assert ("Symbol" not in names) is is_said


@pytest.mark.parametrize(
    ("body", "fields", "title", "rest"),
    [
        ("the disk is full\nsee below", {}, "the disk is full", "see below"),
        ("the disk is full", {}, "the disk is full", ""),
        (None, {"action": "BUY", "symbol": "BTC"}, "BUY BTC", ""),
        (None, {}, "(no title)", ""),
    ],
)
def test_title_of_no_width_is_replaced(body: str | None, fields: dict[str, Any], title: str, rest: str) -> None:
    signal = Signal.trusted(
        {**delivery(**fields).signal.as_dict(), "title": "\u200b", **({"body": body} if body else {})}
    )
    card = card_of(msgspec.structs.replace(delivery(), signal=signal))
    assert (card.title, card.body) == (title, rest)


def test_card_says_until_when_it_is_valid_on_the_wall_clock() -> None:
    alert = msgspec.structs.replace(delivery(expires=90), deadline=1090.0, skew=-ACCEPTED)
    assert card_of(alert).valid_until == ACCEPTED + 1090
    assert card_of(delivery()).valid_until is None


def test_footer_says_a_priority_only_when_it_is_not_normal() -> None:
    assert card_of(delivery(priority="low", tier="premium", source="bot", host="web1")).footer == (
        "low",
        "premium",
        "bot on web1",
    )
    assert card_of(delivery()).footer == ()


def test_card_of_a_live_message_has_its_history() -> None:
    shown = delivery("closed")
    lines = Line(1, ACCEPTED - 60, "opened\nnow", 64000.5), Line(2, ACCEPTED, "closed")
    card = card_of_update(LiveUpdate("trade", "webhook", None, LiveMessage(None, lines, 3), shown))
    assert [tuple(state) for state in card.history] == [(ACCEPTED - 60, "opened now", "64,000.5")]
    assert card.earlier == 3


def test_plain_text_says_all_that_the_headline_does_not() -> None:
    alert = delivery(
        "BUY BTCUSDT",
        body="fast MA crossed slow MA",
        action="BUY",
        price=64000.5,
        fields={"rsi": 33, "note": "a\nb"},
        link="https://example.com/1",
        expires=90,
        source="bot",
    )
    assert text_of(card_of(alert)).split("\n") == [
        "fast MA crossed slow MA",
        "",
        "Price: 64,000.5",
        "rsi: 33",
        "note: a b",
        "",
        "Valid until 2026-01-01 00:01:30 UTC",
        "https://example.com/1",
        f"bot · 2026-01-01 00:00:00 UTC · {alert.id[-8:]}",
    ]
    assert "Price" not in text_of(card_of(alert), led=True)


@slowly
@given(delivery=deliveries, most=st.integers(1, 5000), measure=st.sampled_from([len, utf8_bytes, utf16_units]))
def test_plain_text_fits_any_room_in_any_unit(delivery: Delivery, most: int, measure: Any) -> None:
    text = text_of(card_of(delivery), most, measure)
    assert measure(text) <= most
    if most > 4000:
        assert delivery.id[-8:] in text


@given(text=st.text(max_size=50), most=st.integers(0, 60), measure=st.sampled_from([len, utf8_bytes, utf16_units]))
def test_cut_text_fits_and_is_marked(text: str, most: int, measure: Any) -> None:
    cut = fitted(text, most, measure)
    assert measure(cut) <= most
    assert cut == text or "…" in cut or cut == ""


def test_end_of_a_traceback_is_kept() -> None:
    text = "Traceback (most recent call last)\n" + "x\n" * 500 + "ValueError: the end"
    assert fitted(text, 60).endswith("ValueError: the end")


def test_host_stands_in_the_push_line_and_then_not_in_the_footer() -> None:
    card = card_of(delivery("backup failed", source="cron", host="web1", tier="ops", fields={"exit code": 2}))
    assert push_line(card) == "backup failed · web1 · exit code 2"
    assert card.footer == ("ops", "cron on web1")
    assert card.footer_without_host == ("ops", "cron")
    assert card_of(delivery(host="web1")).footer_without_host == ()


def test_field_that_the_title_says_is_left_out() -> None:
    fields = {"exit code": 2, "duration": "8ms", "started by": "cron"}
    card = card_of(delivery("make failed with exit code 2 after 8ms", fields=fields))
    assert [fact.name for fact in card.fields] == ["started by"]
    assert [fact.name for fact in card_of(delivery("no backup", fields=fields)).fields] == list(fields)


@pytest.mark.parametrize(
    ("title", "action", "is_said"),
    [
        ("BTC closed", "CLOSE", True),
        ("buying BTC", "BUY", True),
        ("Buyer wanted", "BUY", False),
        ("BTC", "SELL", False),
    ],
)
def test_action_that_the_title_says_in_another_form_is_left_out(title: str, action: str, is_said: bool) -> None:
    assert ("Action" not in [fact.name for fact in card_of(delivery(title, action=action)).facts]) is is_said


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ("TimeoutError: no answer within 10 s", "TimeoutError"),
        ("shop.errors.NoStock", "NoStock"),
        ("psycopg2.errors.UniqueViolation: duplicate key\nDETAIL: Key (id)=(1) exists.", "UniqueViolation"),
        ("KeyError: 1\nTraceback (most recent call last):\n  File\nIndexError: 2\nmake: *** Error 1", "IndexError"),
        ("ValueError: of the title", ""),
        ("  | an exception group", ""),
    ],
)
def test_push_line_names_the_exception_of_a_traceback(last: str, cause: str) -> None:
    body = f'Traceback (most recent call last):\n  File "a.py", line 1\n{last}'
    line = push_line(card_of(delivery("no charge, not a ValueError", body=body, code=True, host="web2")))
    assert line == " · ".join(filter(None, ("no charge, not a ValueError", "web2", cause)))


def test_field_of_the_daemons_own_signal_is_no_number_for_the_push_line() -> None:
    own = delivery("3 signals in one digest", source="tocsin", fields={"backup": "23:12 UTC"})
    assert push_line(card_of(own)) == "3 signals in one digest"


def test_end_of_what_was_wrong_has_a_mark_and_the_end_of_a_trade_its_sign() -> None:
    assert headline(card_of(delivery("disk has room again", done=True))) == "✅ disk has room again"
    for priority in ("normal", "high"):
        assert headline(card_of(delivery("resolved", action="RESOLVED", priority=priority))) == "✅ resolved"
    assert headline(card_of(delivery("closed", action="CLOSE", done=True))) == "◆ closed"


def test_end_of_a_trade_has_its_sign_and_no_mark_of_priority() -> None:
    closed = delivery(
        "closed", action="CLOSE", symbol="BTCUSDT", key="t", priority="urgent", fields={"entry": 1, "exit": 2}
    )
    assert headline(card_of(closed)) == "◆ closed"


def test_reminder_says_what_stops_it_and_a_first_message_does_not() -> None:
    first = delivery("disk fills", priority="urgent")
    again = card_of(msgspec.structs.replace(first, repeats=2))
    assert f"To stop the reminders: tocsin ack {first.id[-8:]}" in text_of(again)
    assert "tocsin ack" not in text_of(card_of(first))


def test_push_line_says_the_time_of_numbers_that_come_late_or_again() -> None:
    used = delivery("disk fills", priority="high", fields={"used": "97 %"})
    shown = iso(ACCEPTED) or ""
    at, day_before = f"{shown[11:16]} UTC", f"{shown[:10]} {shown[11:16]} UTC"
    late = msgspec.structs.replace(used, tried=ACCEPTED + 600)
    assert push_line(card_of(late)) == f"❗ disk fills · 10m late · as of {at} · used 97 %"
    old = msgspec.structs.replace(used, tried=ACCEPTED + 86_400)
    assert push_line(card_of(old)) == f"❗ disk fills · 1d late · as of {day_before} · used 97 %"
    again = msgspec.structs.replace(used, repeats=1, released=ACCEPTED + 300, tried=ACCEPTED + 301)
    assert push_line(card_of(again)) == f"❗ disk fills · reminder 1 · as of {at} · used 97 %"
    assert "as of" not in push_line(card_of(used))
    assert "as of" not in push_line(card_of(msgspec.structs.replace(delivery("disk fills"), tried=ACCEPTED + 600)))
