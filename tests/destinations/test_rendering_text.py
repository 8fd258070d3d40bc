"""What others wrote is shown as they wrote it, and does nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.signals import long, nasty

from tocsind.rendering.text import MARK, clean, cut, escape, is_blank, one_line

# Written from Discord's own rules, not from ours: what it takes for an escape, for an address, and for markup.
PAIR = re.compile(r"\\([^0-9A-Za-z\s])")
ADDRESS = re.compile(r"https?://[^\s<]+[^<.,:;\"')\]\s]")
ACTIVE = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"\*\S", r"`", r"~~", r"\|\|", r"<[@#:/a-z]", r"@(everyone|here)",
        r"_(?![0-9A-Za-z])",  # an emphasis ends only at an underscore before something that is no word
        r"\[[^]]*\]\(", r"^\s*#{1,3}\s", r"^\s*-#", r"^\s*>", r"^\s*[-*]\s", r"^\s*[0-9]+\.\s",
    )
]  # fmt: skip


def read(text: str) -> str:
    """What a reader sees of text that holds nothing but plain letters and pairs."""
    return PAIR.sub(r"\1", text).replace("@\u200b", "@")


@given(text=nasty, links=st.booleans())
def test_a_reader_sees_what_was_written(text: str, links: bool) -> None:
    cleaned = clean(text)
    assert read(escape(cleaned, links=links)) == cleaned.replace("@\u200b", "@")


@given(text=nasty, links=st.booleans())
def test_nothing_that_was_written_is_taken_for_markup(text: str, links: bool) -> None:
    shown = PAIR.sub("¤", escape(clean(text), links=links))
    shown = ADDRESS.sub("¤", shown) if links else shown
    for pattern in ACTIVE:
        assert not pattern.search(shown), pattern.pattern


@given(text=long, most=st.integers(1, 300), links=st.booleans())
def test_a_cut_text_fits_and_carries_the_mark(text: str, most: int, links: bool) -> None:
    whole = escape(clean(text), links=links)
    short = cut(whole, most)
    assert len(short) <= most
    assert short == whole or short.endswith(MARK)


@given(text=long, most=st.integers(1, 300))
def test_no_cut_leaves_half_a_pair_or_an_open_underscore(text: str, most: int) -> None:
    short = cut(escape(clean(text)), most)
    assert "\\" not in PAIR.sub("", short)
    for pattern in ACTIVE:
        assert not pattern.search(PAIR.sub("¤", short)), pattern.pattern


@pytest.mark.parametrize(
    "plain",
    [
        "BUY BTCUSDT",
        "BUY BTC-USDT (4h) | 93 %, ~2 R",
        "ma_unified_v2: +3.5% vs. -1.2%",
        "EMA(9) > EMA(21) & RSI < 30",
        "[BTC] breakout at 64,000.5!",
        "a/b: 50 <= x <5; 1.5 => ok",
        "-5 % since Monday",
        "Ausbruch über 64.000 €, 突破 🚀",
    ],
)
def test_plain_text_goes_out_as_it_is(plain: str) -> None:
    assert escape(clean(plain)) == plain


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("**bold** _slanted_ `code`", r"\*\*bold\*\* \_slanted\_ \`code\`"),
        ("||spoiler|| ~~gone~~", r"\|\|spoiler\|\| \~\~gone\~\~"),
        ("[here](https://evil.example)", r"\[here\](https://evil.example)"),
        ("<@123> <#4> <t:1:R> </go:5>", r"\<@123> \<#4> \<t:1:R> \</go:5>"),
        ("# big\n> quoted\n- item\n1. first\n-# small", "\\# big\n\\> quoted\n\\- item\n1\\. first\n\\-# small"),
        ("@everyone and @here", "@\u200beveryone and @\u200bhere"),
        (r"C:\new", r"C:\\new"),
    ],
)
def test_markup_is_shown_instead_of_done(written: str, sent: str) -> None:
    assert escape(written) == sent


def test_an_address_stays_one_where_discord_makes_it_a_link() -> None:
    assert escape("see https://a.example/b_c_?d=_e_ *now*", links=True) == r"see https://a.example/b_c_?d=_e_ \*now\*"
    assert escape("https://a.example/_b_") == r"https://a.example/\_b\_"


def test_what_turns_direction_and_what_controls_terminals_is_gone_and_lines_and_tabs_stay() -> None:
    assert clean("a\u202eb\x00\x1b[31mc\u2066\r\nd\te\u2028f\ufeff") == "ab[31mc\nd\te\nf"
    assert one_line(" a\r\n\tb ") == "a b"


def test_text_that_shows_nothing_is_blank() -> None:
    assert is_blank("")
    assert is_blank("\u200b \u2060\n")
    assert not is_blank("\u200ba")
