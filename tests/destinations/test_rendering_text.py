"""What others wrote is shown as they wrote it, and does nothing."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.destinations.discord_client import read
from tests.destinations.signals import long, nasty

from tocsind.rendering.discord.markup import cut, escape, shown
from tocsind.rendering.text import MARK, TRACEBACK, clean, is_blank, one_line

_THIN = "\u200a"  # what stands between an address and what would become part of it
_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")  # the client shows it without its angle brackets
_PIECES = st.lists(
    st.sampled_from(
        [
            "https://", "https://a", "https://a.example/b", "<https://a.example/_c_>", "http://[::1]:80/", "steam://run/1",
            "<", ">", "</b>", "<@1>", "<#2>", "<5@b.example>", "<+1>", "<id:home>", "<t:1:R>", "<a:b:3>", "</go:4>", "<9:/x>",
            ":smile:", ":100:", ":+1:", ":8ball:", "10:30:00", "main.c:100:5", "2a14:6f42:c::/48", ":",
            "(", ")", "[", "]", "](", "*", "_", "__", "~~", "||", "`", "\\", "@here", "@", "# ", "> ", "- ", "1. ", "-# ",
            ".", ",", ";", '"', "'", " ", "\n", "a", "1", "é",
        ]
    ),
    max_size=12,
).map("".join)  # fmt: skip
TEXTS = st.one_of(nasty, _PIECES)


def seen(text: str) -> str:
    """What a reader sees, apart from the spaces that separate, and mention no reader."""
    return read(text).text.replace(_THIN, "").replace("@\u200b", "@")


@given(text=TEXTS)
@example(text="https://a.example/#_x(*)_{`} and (https://b.example/c_(d)).")
@example(text="[https://a.example](https://b.example) <https://c.example/*_*>")
@example(text="main.c:100:5 2a14:6f42:c::/48 aa:bb:cc:dd :smile: :+1: https://a.example:100:5")
@example(text="`https://` <loc>https://a.example/x</loc> https://a.example/x.<@1>")
def test_escaped_text_is_shown_as_written(text: str) -> None:
    cleaned = clean(text)
    escaped = escape(cleaned)
    assert seen(escaped) == _AUTOLINK.sub(r"\1", cleaned).replace(_THIN, "").replace("@\u200b", "@")
    assert read(escaped).markup == []


@given(text=TEXTS)
def test_escaped_address_has_no_backslash(text: str) -> None:
    cleaned = clean(text)
    assert all(link in cleaned for link in read(escape(cleaned)).links)


@given(
    text=st.one_of(long, st.builds(lambda part, times: part * times, _PIECES, st.sampled_from([1, 5, 50]))),
    most=st.integers(1, 300),
)
def test_cut_text_fits_is_marked_and_has_no_markup(text: str, most: int) -> None:
    whole = escape(clean(text))
    short = cut(whole, most)
    assert len(short) <= most
    assert short == whole or (short.startswith(MARK) if text.startswith(MARK) else short.endswith(MARK))
    assert read(short).markup == []


@given(
    text=st.one_of(long, st.builds(lambda part, times: part * times, _PIECES, st.sampled_from([1, 5, 50]))),
    most=st.integers(40, 300),
    head=st.sampled_from([MARK, f"{TRACEBACK}:\n"]),
)
def test_text_whose_end_counts_is_cut_at_its_head_and_shows_its_end(text: str, most: int, head: str) -> None:
    """The end of a traceback is the error."""
    ended = f"{head}{clean(text)} \nValueError: *no*"
    whole = escape(ended)
    for short in (shown(ended, most), cut(whole, most)):
        assert len(short) <= most
        assert seen(short).endswith("ValueError: *no*")
        assert short == whole or short.startswith(MARK)
        assert read(short).markup == []


@pytest.mark.parametrize("part", ["<", ":", ":a", "a:", "https://", "`", "*", "_", "<a ", "@", "\n", "](", "\\"])
def test_escaping_takes_a_time_in_proportion_to_the_text(part: str) -> None:
    text = clean(part * 50_000)
    started = time.process_time()
    shown(text, 4096)
    escape(text[:4096])
    assert time.process_time() - started < 5  # quadratic searches in 50,000 letters take minutes


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
        ("[here](https://evil.example)", r"\[here](https://evil.example)"),
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


def test_escaped_address_stays_a_link() -> None:
    assert escape("see https://a.example/b_c_?d=_e_ *now*") == r"see https://a.example/b_c_?d=_e_ \*now\*"


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
    assert escape(f"*see* ({address}) [x](y) *now*") == rf"\*see\* ({address}) \[x](y) \*now\*"


def test_blank_lines_one_after_another_are_one() -> None:
    assert clean("a" + "\n" * 600 + "b\n \t\n\nc\n\nd\ne") == "a\n\nb\n\nc\n\nd\ne"
    assert clean("a" + "\n\u200b \u2060" * 600 + "\nb") == "a\n\nb"


def test_clean_removes_direction_marks_and_terminal_sequences_and_keeps_lines_and_tabs() -> None:
    assert clean("a\u202eb\x00\x1b[31mc\u2066\r\nd\te\u2028f\ufeff") == "abc\nd\te\nf"
    assert one_line(" a\r\n\tb ") == "a b"


def test_text_that_shows_nothing_is_blank() -> None:
    assert is_blank("")
    assert is_blank("\u200b \u2060\n")
    assert not is_blank("\u200ba")
