"""The gallery: its page is what a Discord destination makes today, its text names every picture, and it fits a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from docs.pictures.discord_page import notification, page
from tests.browser import Tab, browser
from tests.docs.draw_gallery import DESKTOP, PAGE, PHONE, PICTURES, TEXT, text
from tests.docs.gallery_scenes import scenes

AGAIN = "the messages have changed: python -m tests.docs.draw_gallery draws the gallery again; look at its pictures"
MOST_BYTES = 1_000_000  # of all pictures


def test_gallery_shows_what_a_discord_destination_makes_today() -> None:
    assert page(scenes()) == PAGE.read_text(), AGAIN
    assert text(scenes()) == TEXT.read_text(), AGAIN


def test_gallery_has_the_pictures_that_its_text_names_and_no_others() -> None:
    named = {name for name in TEXT.read_text().replace(")", "/").split("/") if name.endswith(".png")}
    assert {each.name for each in PICTURES.glob("*.png")} == named
    assert sum(each.stat().st_size for each in PICTURES.glob("*.png")) < MOST_BYTES


def test_gallery_repeats_no_title_of_the_line_in_a_card() -> None:
    for scene in scenes():
        line = notification(scene).splitlines()
        cards = [json.dumps(embed, ensure_ascii=False) for embed in scene.payload["embeds"]]
        titles = [each.partition(" · ")[0].lstrip("①② 🚨❗▲◆") for each in line]
        history = "History" in "".join(cards)
        assert not [title for title in titles if title in "".join(cards) and not history], scene.name


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as chromium:
        yield chromium


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_page_of_the_gallery_fits_the_screen_without_errors(tab: Tab, width: int, dark: bool) -> None:
    tab.show(width, dark=dark)
    tab.open(PAGE.as_uri())
    assert tab.errors == []
    assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value("[...document.querySelectorAll('.screen')].every((each) => each.scrollWidth <= each.clientWidth)")
    columns = tab.value(
        "getComputedStyle(document.querySelector('.row:not(.wide)')).gridTemplateColumns.split(' ').length"
    )
    assert columns == (1 if width == PHONE else 3)
