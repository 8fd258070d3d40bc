"""What two statuses say together, and which screen a key leads to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.top.lines import block
from tocsin.top.model import ORDERS, History, lanes, ordered, sparkline
from tocsin.top.screens import Picture, Screen, Screens


def status(*sent: int, **told: Any) -> dict[str, Any]:
    """A status of lanes a, b, ... that have sent so many."""
    names = "abcdefgh"
    return {"health": "ok", "destinations": [{"name": names[at], "sent": n, **told} for at, n in enumerate(sent)]}


def picture(*sent: int, **told: Any) -> Picture:
    return Picture(status=status(*sent, **told), lanes=lanes(status(*sent, **told), History()))


def test_history_rate_is_sent_deliveries_by_time() -> None:
    history = History()
    for at, sent in ((0.0, 10), (2.0, 20), (3.0, 20)):
        history.add(status(sent), at)
    assert history.rates("a") == (5.0, 0.0)
    assert history.rates("absent") == ()


def test_history_has_no_negative_rate_after_a_restart() -> None:
    history = History()
    for at, sent in ((0.0, 10), (1.0, 3), (2.0, 5)):
        history.add(status(sent), at)
    assert history.rates("a") == (2.0,)


def test_lane_shows_what_is_left_of_its_scarcest_limit() -> None:
    windows = [{"name": "webhook", "left": 4, "count": 5}, {"name": "channel", "left": 3, "count": 30}]
    [lane] = lanes(status(0, limits={"windows": windows}), History())
    assert lane.left == "3/30"


@pytest.mark.parametrize(
    ("told", "why"), [({"reason": "503"}, "503"), ({"last_error": "timed out"}, "last error: timed out"), ({}, "")]
)
def test_lane_shows_its_reason_or_last_error(told: dict[str, Any], why: str) -> None:
    [lane] = lanes(status(0, **told), History())
    assert lane.why == why


@given(st.lists(st.floats(0, 1e9), max_size=30), st.integers(1, 20))
def test_sparkline_has_the_given_width_and_is_scaled(rates: list[float], width: int) -> None:
    drawn = sparkline(rates, width)
    assert len(drawn) == width
    assert ("█" in drawn) == any(rate > 0 for rate in rates[-width:])
    assert sparkline(rates, width, plain=True).isascii()


def test_lanes_are_sorted_by_queue_age_rate_and_name() -> None:
    told = {
        "destinations": [
            {"name": "b", "queued": {"low": 2}, "oldest_seconds": 1.0},
            {"name": "a", "queued": {"urgent": 5}},
            {"name": "c", "oldest_seconds": 9.0},
        ]
    }
    found = lanes(told, History())
    names = {order: "".join(lane.name for lane in ordered(found, order)) for order in ORDERS}
    assert names == {"file": "bac", "queued": "abc", "age": "cba", "rate": "bac", "name": "abc"}


def test_top_keys_enter_and_escape_change_the_screen() -> None:
    screens, shown = Screens(), picture(1, 2)
    shown.deliveries = [{"id": "X"}, {"id": "Y"}]
    for key in ("down", "enter"):
        screens.press(key, shown)
    assert (screens.screen, screens.subject) == (Screen.DELIVERIES, "b")
    for key in ("j", "w"):
        screens.press(key, shown)
    assert (screens.screen, screens.subject) == (Screen.STORY, "Y")
    screens.press("escape", shown)
    assert (screens.screen, screens.row) == (Screen.DELIVERIES, 1)
    screens.press("q", shown)
    assert (screens.screen, screens.row, screens.over) == (Screen.LANES, 1, False)
    screens.press("escape", shown)
    assert not screens.over
    screens.press("q", shown)
    assert screens.over


def test_top_key_enter_opens_the_chosen_lane() -> None:
    shown = Picture(lanes=lanes({"destinations": [{"name": "b"}, {"name": "a"}]}, History()))
    screens = Screens()
    while screens.order != "name":
        screens.press("s", shown)
    screens.press("enter", shown)
    assert screens.subject == "a"


_KEYS = st.sampled_from(
    ["up", "down", "end", "home", "page-up", "page-down", "enter", "w", "s", "p", " ", "escape", "z"]
)


@given(st.lists(_KEYS, max_size=40), st.integers(0, 3), st.integers(0, 3))
def test_top_keys_keep_the_cursor_in_range(keys: list[str], many: int, rows: int) -> None:
    screens, shown = Screens(), picture(*range(many))
    shown.deliveries = [{"id": str(at)} for at in range(rows)]
    shown.story = ["a", "b"]
    for key in keys:
        screens.press(key, shown)
        assert 0 <= screens.row <= max(0, screens.rows(shown) - 1)
    assert not screens.over  # only q leaves


def test_top_plain_lines_show_the_same() -> None:
    shown = picture(7, queued={"urgent": 1}, condition="failing", reason="503\x1b[2J")
    shown.status = {**shown.status, "problems": ["a is failing"]}
    lines = block(shown, "12:00:00")
    assert lines[0].startswith("12:00:00  ok  queued  urgent 0")
    assert lines[1] == "  ! a is failing"
    assert lines[3].split() == ["a", "failing", "1", "-", "-", "7", "0", "-", "503\\x1b[2J"]
    shown.trouble = "absent there"
    assert block(shown, "12:00:00") == ["12:00:00  no answer: absent there"]
