"""What others wrote is shown as they wrote it, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.destinations.signals import long, nasty

from tocsind.rendering.text import MARK, clean, cut, escape, is_blank, one_line, shown

# Written from Discord's own rules, not from ours: what it takes for an escape, for an address, and for markup.
PAIR = re.compile(r"\\([^0-9A-Za-z\s])")
ADDRESS = re.compile(r"<https?://[^\s<>]+>|https?://[^\s<]+[^<.,:;\"'\]\s]")
ACTIVE = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"\*\S", r"`", r"~~", r"\|\|", r"<[@#:/a-z]", r"@(everyone|here)",
        r"_(?![0-9A-Za-z])",  # an emphasis ends only at an underscore before something that is no word
        r"\[[^]]*\]\(", r"^\s*#{1,3}\s", r"^\s*-#", r"^\s*>", r"^\s*[-*]\s", r"^\s*[0-9]+\.\s",
    )
]  # fmt: skip


EMOJI = re.compile(r":(?:[A-Za-z0-9_~+-]*[A-Za-z][A-Za-z0-9_~+-]*|100|1234|[+-]1):")


def parts(text: str, *, links: bool) -> Iterator[tuple[str, bool]]:
    """Text as Discord's client takes it apart: what is an address, and what is none."""
    place = 0
    while place < len(text):
        pair, address = PAIR.match(text, place), ADDRESS.match(text, place) if links else None
        if pair:
            yield pair.group(), False
            place = pair.end()
        elif address:
            found = address.group()
            while found.endswith(")") and found.count(")") > found.count("("):
                found = found[:-1]
            yield found, True
            place += len(found)
        else:
            yield text[place], False
            place += 1


def read(text: str, *, links: bool = False) -> str:
    """What a reader sees of text that holds nothing but plain letters, pairs and addresses."""
    seen = (part if linked else PAIR.sub(r"\1", part) for part, linked in parts(text, links=links))
    return "".join(seen).replace("@\u200b", "@")


@given(text=nasty, links=st.booleans())
@example(text="https://a.example/#_x(*)_{`} and (https://b.example/c_(d)).", links=True)
@example(text="[https://a.example](https://b.example) <https://c.example/*_*>", links=True)
@example(text="main.c:100:5 2a14:6f42:c::/48 aa:bb:cc:dd :smile: :+1: https://a.example:100:5", links=True)
def test_a_reader_sees_what_was_written(text: str, links: bool) -> None:
    cleaned = clean(text)
    assert read(escape(cleaned, links=links), links=links) == cleaned.replace("@\u200b", "@")


@given(text=nasty, links=st.booleans())
def test_nothing_that_was_written_is_taken_for_markup(text: str, links: bool) -> None:
    escaped = escape(clean(text), links=links)
    shown = "".join("¤" if linked or len(part) > 1 else part for part, linked in parts(escaped, links=links))
    for pattern in (*ACTIVE, EMOJI):
        assert not pattern.search(shown), pattern.pattern


@given(text=long, most=st.integers(1, 300), links=st.booleans())
def test_a_cut_text_fits_and_carries_the_mark(text: str, most: int, links: bool) -> None:
    whole = escape(clean(text), links=links)
    short = cut(whole, most)
    assert len(short) <= most
    assert short == whole or (short.startswith(MARK) if text.startswith(MARK) else short.endswith(MARK))


@given(text=long, most=st.integers(1, 300), links=st.booleans())
def test_text_that_was_cut_at_its_head_is_cut_there_again_and_shows_its_end(text: str, most: int, links: bool) -> None:
    """The end of a traceback is the error."""
    ended = f"{MARK}{clean(text)}\nValueError: *no*"
    short = shown(ended, most, links=links)
    assert len(short) <= most
    assert read(short).endswith("ValueError: *no*"[-max(0, most - 8) :] if most > 8 else "")
    assert "\\" not in PAIR.sub("", short) or links


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
        "at 10:30:00, 1:2:3, ratio 3:1: fine",
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
        (":smile: :+1: main.c:100:5", r"\:smile: \:+1: main.c\:100:5"),
        ("2a14:6f42:c::/48, 00:1a:2b:3c:4d:5e", r"2a14\:6f42\:c::/48, 00\:1a\:2b\:3c\:4d:5e"),
    ],
)
def test_markup_is_shown_instead_of_done(written: str, sent: str) -> None:
    assert escape(written) == sent


def test_an_address_stays_one_where_discord_makes_it_a_link() -> None:
    assert escape("see https://a.example/b_c_?d=_e_ *now*", links=True) == r"see https://a.example/b_c_?d=_e_ \*now\*"
    assert escape("https://a.example/_b_") == r"https://a.example/\_b\_"


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example/#_comment",
        "https://a.example/wiki/Foo_(bar)",
        "https://a.example/*/{x}|~~y~~",
        "https://a.example/q?a=`b`&c=[d]",
        "https://a.example:100:5/",
        "<https://a.example/_x_>",
    ],
)
def test_address_is_sent_as_it_was_written_and_the_text_around_it_is_escaped(address: str) -> None:
    assert escape(f"*see* ({address}) [x](y) *now*", links=True) == rf"\*see\* ({address}) \[x\](y) \*now\*"


def test_blank_lines_one_after_another_are_one() -> None:
    assert clean("a" + "\n" * 600 + "b\n \t\n\nc\n\nd\ne") == "a\n\nb\n\nc\n\nd\ne"


def test_what_turns_direction_and_what_controls_terminals_is_gone_and_lines_and_tabs_stay() -> None:
    assert clean("a\u202eb\x00\x1b[31mc\u2066\r\nd\te\u2028f\ufeff") == "ab[31mc\nd\te\nf"
    assert one_line(" a\r\n\tb ") == "a b"


def test_text_that_shows_nothing_is_blank() -> None:
    assert is_blank("")
    assert is_blank("\u200b \u2060\n")
    assert not is_blank("\u200ba")
