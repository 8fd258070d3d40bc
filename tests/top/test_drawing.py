"""The screen at 80 by 24, and at extreme sizes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.screen import Screen

from tocsin.top.drawing import draw
from tocsin.top.model import History, lanes
from tocsin.top.screens import Picture, Screens

STATUS = {
    "version": "0.1.0",
    "health": "degraded",
    "uptime_seconds": 5.0,
    "pid": 7,
    "problems": ["premium is failing: 503", "two"],
    "queue": {"by_priority": {"urgent": 1, "low": 1234}, "oldest_seconds": 65.0},
    "destinations": [
        {
            "name": f"destination-{at}",
            "kind": "discord",
            "condition": "failing",
            "reason": "503",
            "until_seconds": 9.0,
            "queued": {"urgent": 1, "low": 1234},
            "oldest_seconds": 65.0,
            "sent": 5,
            "limits": {"windows": [{"name": "channel", "left": 12, "count": 30, "kept": 4}]},
        }
        for at in range(30)
    ],
}


def shown(screens: Screens, picture: Picture, width: int = 80, height: int = 24) -> list[str]:
    """The lines on a terminal of this size, without colour."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
    )
    console.print(Screen(draw(screens, picture, console, now=10.0)), end="")
    return out.getvalue().splitlines()


@pytest.fixture
def picture() -> Picture:
    return Picture(status=STATUS, lanes=lanes(STATUS, History()))


def test_top_screen_says_which_host_sends_and_that_the_engine_is_away() -> None:
    there = [{"destinations": ["d"], "holder": "vm-2", "hosts": 2, "waiting": 3, "handed_over": 3}]
    status = {
        "destinations": [{"name": "d"}],
        "shared": {"away_seconds": 12.0, "engine_state": "still loads", "lanes": there},
    }
    lines = shown(Screens(), Picture(status=status, lanes=lanes(status, History())), width=200)
    assert lines[1].rstrip().endswith("engine still loads (for 12s)")
    assert any("sent by vm-2, for 2 hosts; 3 of this host wait, all handed over" in line for line in lines)


def test_top_screen_names_late_programs_and_counts_silences() -> None:
    status = {**STATUS, "silences": {"active": 2}, "expectations": {"expected": 3, "late": ["backup", "bot"]}}
    lines = shown(Screens(), Picture(status=status, lanes=lanes(status, History())), width=120)
    assert lines[1].rstrip().endswith("silences 2  late: backup, bot")


def test_top_screen_at_80_by_24_shows_every_value(picture: Picture) -> None:
    lines = shown(Screens(), picture)
    assert len(lines) == 24
    assert lines[0].startswith("tocsind 0.1.0 is degraded, up 5s, pid 7")
    assert "urgent 1  high 0  normal 0  low 1,234  (the oldest for 1m5s)" in lines[1]
    assert lines[2].startswith("! premium is failing: 503  (and 1 more: `tocsin status`)")
    assert lines[4].split() == ["destination-0", "failing", "1", "0", "0", "1,234", "1m5s", "12/30", "0"]
    text = "\n".join(lines)
    assert "destination-0, discord: failing; sent 5" in text
    assert "  503; next attempt in 9s; waiting: 1 urgent, 1,234 low, the oldest for 1m5s" in text
    assert "channel 12/30 (4 kept)" in text
    assert lines[-1].startswith("q leave  p pause  s sort (file)")


def test_top_screen_shows_the_chosen_lane_of_many(picture: Picture) -> None:
    screens = Screens()
    screens.press("end", picture)
    assert any(line.startswith("destination-29 ") for line in shown(screens, picture))


def test_top_screen_shows_age_and_error_of_an_old_picture(picture: Picture) -> None:
    picture.trouble, picture.since = "no daemon at /run/t.sock", 7.0
    assert shown(Screens(), picture)[0].startswith("no answer for 3s: no daemon at /run/t.sock")


def test_top_screen_escapes_control_characters(picture: Picture) -> None:
    screens = Screens()
    picture.deliveries = [{"id": "X", "title": "\x1b[2J[red]evil[/red]", "state": "dead", "attempts": 3}]
    screens.press("enter", picture)
    text = "\n".join(shown(screens, picture))
    assert "\\x1b[2J[red]evil[/red]" in text
    assert "\x1b[2J" not in text


@given(st.integers(1, 200), st.integers(1, 60), st.lists(st.sampled_from(["down", "enter", "end", "s"]), max_size=5))
def test_top_screen_draws_at_any_size(width: int, height: int, keys: list[str]) -> None:
    screens, picture = Screens(), Picture(status=STATUS, lanes=lanes(STATUS, History()), story=["a line"] * 50)
    for key in keys:
        screens.press(key, picture)
    shown(screens, picture, width, height)


def test_top_screen_draws_before_the_first_answer() -> None:
    lines = shown(Screens(), Picture(trouble="absent"))
    assert [line.rstrip() for line in lines if line.startswith("queued")] == [
        "queued  urgent -  high -  normal -  low -"
    ]


def test_top_screen_on_a_wide_terminal_shows_each_reason(picture: Picture) -> None:
    lines = shown(Screens(), picture, width=160, height=40)
    assert lines[3].split()[-1] == "WHY"
    assert all("503; next attempt in 9s; waiting: 1 urgent" in line for line in lines[4:20])
    assert "WHY" not in "".join(shown(Screens(), picture))


def test_top_key_question_mark_shows_help_until_the_next_key(picture: Picture) -> None:
    screens = Screens()
    screens.press("?", picture)
    text = "\n".join(shown(screens, picture))
    assert "any key closes it" in text
    assert "out of service until `tocsin enable`" in text
    screens.press("q", picture)
    assert (screens.help, screens.over) == (False, False)
    assert "destination-0" in "".join(shown(screens, picture))


def test_top_screen_chooses_the_busiest_lane_until_a_key_is_pressed(picture: Picture) -> None:
    def of(*waiting: int, conditions: str = "ready ready ready") -> Picture:
        told = [
            {"name": f"d{at}", "condition": word, "queued": {"low": many}}
            for at, (many, word) in enumerate(zip(waiting, conditions.split(), strict=True))
        ]
        return Picture(lanes=lanes({"destinations": told}, History()))

    screens = Screens()
    for seen, row in (
        (of(0, 0, 0), 0),
        (of(0, 0, 0, conditions="ready failing ready"), 1),
        (of(1, 5, 9), 2),
        (Picture(), 0),
    ):
        screens.follow(seen)
        assert screens.row == row
    screens.press("down", of(0, 0, 0))
    screens.follow(of(1, 5, 9))
    assert screens.row == 1
