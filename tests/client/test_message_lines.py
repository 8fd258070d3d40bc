"""A payload as its readers see it: `tocsin test`."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli.message_lines import message_lines

PLAIN: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_message_lines_show_a_discord_message_as_text() -> None:
    payload = {
        "username": "The office",
        "content": "**BUY** \\*now\\* <t:1700000000:R>",
        "embeds": [
            {
                "title": "Disk \\*\\*91 %\\*\\*",
                "url": "https://x",
                "description": "one\ntwo\x1b[2J",
                "fields": [
                    {"name": "Price", "value": "3", "inline": True},
                    {"name": "Tier", "value": "ops", "inline": True},
                    {"name": "Log", "value": "a\nb"},
                ],
                "image": {"url": "attachment://chart.png"},
                "footer": {"text": "normal"},
                "timestamp": "2026-11-29T23:36:38.382+00:00",
            }
        ],
    }
    assert message_lines(payload) == [
        "(The office)",
        "**BUY** *now* 2023-11-14 22:13:20",
        "Disk **91 %**",
        "https://x",
        "one",
        r"two\x1b[2J",
        "Price: 3   Tier: ops",
        "Log: a",
        "b",
        "[chart.png]",
        "normal · 2026-11-29 23:36",
    ]


def test_message_lines_name_the_values_of_other_services() -> None:
    assert message_lines({"title": "T", "priority": 5, "tags": ["a", "b"], "empty": "", "x": {"y": "one\ntwo"}}) == [
        *("title: T", "priority: 5", "tags: a", "tags: b", "x.y: one", "    two"),
    ]
    assert message_lines({"lines": [{"id": "1"}, {"id": "2"}]}) == ["id: 1", "id: 2"]
    assert message_lines("text\nmore") == ["text", "more"]


@given(JSON)
def test_message_lines_have_no_control_characters(payload: Any) -> None:
    assert all(line.isprintable() for line in message_lines(payload))


@given(
    st.lists(st.fixed_dictionaries({}, optional={"name": st.text(), "value": st.text(), "inline": st.booleans()})),
    st.text(),
)
def test_message_lines_exist_for_any_embed(fields: list[Any], text: str) -> None:
    payload = {"content": text, "embeds": [{"title": text, "fields": fields, "timestamp": text}]}
    assert all(line.isprintable() for line in message_lines(payload))
