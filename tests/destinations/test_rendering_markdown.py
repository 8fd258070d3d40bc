"""A body in Markdown: bold, lists and links work; mentions do nothing, and no link hides where it leads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.saved_messages import slowly, stored
from tests.destinations.signals import delivery, embed, plain

from tocsind.rendering.discord import message
from tocsind.rendering.discord.markdown import markdown


@pytest.mark.parametrize(
    "text",
    [
        "**bold**, _italic_, ~~gone~~, `code`",
        "- one\n- two\n1. three",
        "# heading\n> quote",
        "see [the dashboard](https://grafana.example.com/d/1)",
        "[https://x.example/a](https://x.example/a)",
        "[x.example](https://x.example/a)",
        "```\n- a\n```",
        "<t:1767225600:R>",
    ],
)
def test_markdown_stays_as_it_is(text: str) -> None:
    assert markdown(text, 1000) == text
    assert embed(delivery(body=text, markdown=True))["description"] == text


@pytest.mark.parametrize(
    "text",
    [
        "[https://bank.example](https://evil.example)",
        "[bank.example](https://evil.example)",
        "[log in at bank\u2024example](https://evil.example)",
        "[bank.example](https://bank.example.evil.example)",
        "[me@bank.example](https://evil.example)",
        "[ ](https://evil.example)",
        "[\u200b](https://evil.example)",
        "[a](javascript:alert(1))",
        "[a](<https://evil.example>)",
        '[a](https://evil.example "bank.example")',
        "[a[b](https://evil.example)](https://bank.example)",
        "![a](x)",
    ],
)
def test_link_that_could_mislead_is_shown_with_its_address(text: str) -> None:
    shown = markdown(text, 1000)
    assert shown.replace("\u200b", "") == text.replace("\u200b", "")
    assert not re.search(r"\]\((?!https://(evil|bank)\.example\)\]\u200b)", shown) or "a[b]" in text
    assert shown != text


@pytest.mark.parametrize("text", ["@everyone", "@HERE", "<@1>", "<@&1>", "<@!1>", "<#1>", "`<@1>`"])
def test_mention_in_markdown_does_nothing(text: str) -> None:
    assert markdown(text, 1000) != text
    assert markdown(text, 1000).replace("\u200b", "") == text


def test_block_that_is_open_at_the_end_is_closed() -> None:
    assert markdown("```\nx", 100) == "```\nx\n```"
    long = markdown("```\n" + "x" * 500, 100)
    assert len(long) <= 100
    assert long.endswith("…\n```")


def test_code_wins_over_markdown() -> None:
    assert embed(delivery(body="**a**", markdown=True, code=True))["description"] == "```\n**a**\n```"


def test_plain_form_of_markdown_is_words_alone() -> None:
    assert plain(delivery(body="**a**", markdown=True, plain=True))["description"].startswith("\\*\\*a\\*\\*")


_parts = st.sampled_from(
    ["[", "]", "(", ")", "](", "https://evil.example", "http://bank.example", "bank.example", "click", " ", "\n", "```", "`", "**", "\\",
     "<@1>", "<@&1>", "<", "@", "@everyone", "@here", "1>", "\u200b", "<https://x.example>", "- ", "||", "|"]
)  # fmt: skip
_links = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


@slowly
@given(body=st.lists(_parts, max_size=40).map("".join), most=st.integers(10, 300))
def test_any_markdown_is_harmless_and_fits(body: str, most: int) -> None:
    shown = markdown(body, most)
    assert len(shown) <= most
    assert not re.search(r"<[@#]|@(everyone|here)", shown, re.IGNORECASE)
    for text, address in _links.findall(shown):
        assert "click" in text or text.strip("`*\\|-<> ") in address or "example" not in text
        assert address.startswith(("https://", "http://"))
    stored(message([delivery(body=body, markdown=True)]))
