"""Draws messages as Discord's dark theme shows them.

    python -m docs.pictures.draw < docs/pictures/messages.json > docs/pictures/messages.svg

The input is a JSON array of the requests that tocsin posted, as a fake Discord received them. tests/docs/test_readme.py posts them again
and compares both files with the result.
"""

from __future__ import annotations

import json
import sys
import textwrap
from datetime import datetime
from html import escape
from typing import Any

from docs.pictures.discord_text import rows, shown

WIDTH = 640  # of the picture, in pixels
LEFT = 72  # where messages begin; the avatar stands before it
EMBED = 520  # width of an embed
LINE = 20  # height of a line
LETTERS = 66  # of the text font that fit the width of an embed
COLUMN = 168  # width of one of three fields in a row
STYLE = """
text { font-family: "gg sans", "Noto Sans", "Helvetica Neue", Helvetica, Arial, sans-serif; font-size: 14px; fill: #dbdee1 }
.name, .title, .label { font-weight: 600; fill: #f2f3f5 }
.name, .title { font-size: 16px }
.link { fill: #00a8fc }
.small { font-size: 12px; fill: #949ba4 }
.bot { font-size: 10px; font-weight: 600; fill: #fff }
"""


class Page:
    """SVG elements, and how far down they reach."""

    def __init__(self) -> None:
        self.y = 16
        self.elements: list[str] = []

    def text(self, x: int, words: str, kind: str = "") -> None:
        """One line whose top is the present height."""
        self.elements.append(f'<text x="{x}" y="{self.y + 15}" class="{kind}">{escape(words)}</text>')

    def box(self, x: int, y: int, size: tuple[int, int], colour: str, *, radius: int = 4) -> str:
        """A rectangle."""
        return f'<rect x="{x}" y="{y}" width="{size[0]}" height="{size[1]}" rx="{radius}" fill="{colour}"/>'


def time_of(embed: dict[str, Any]) -> float:
    """When a reader sees it: at the embed's own time."""
    return datetime.fromisoformat(embed["timestamp"]).timestamp()


def draw_embed(page: Page, embed: dict[str, Any]) -> None:
    """One embed, with the bar of its colour at the left."""
    top, place, x = page.y, len(page.elements), LEFT + 16
    now = time_of(embed)
    page.y += 12
    if "title" in embed:
        page.text(x, shown(embed["title"], now), "title link" if "url" in embed else "title")
        page.y += LINE + 4
    for line in shown(embed.get("description", ""), now).splitlines():
        for part in textwrap.wrap(line, LETTERS) or [""]:
            page.text(x, part)
            page.y += LINE
    for row in rows(embed.get("fields", [])):
        page.y += 6
        for column, field in enumerate(row):
            page.text(x + column * COLUMN, shown(field["name"], now), "label")
        page.y += LINE
        for column, field in enumerate(row):
            page.text(x + column * COLUMN, shown(field["value"], now))
        page.y += LINE
    page.y += 4
    page.text(x, f"{embed['footer']['text']} · {embed['timestamp'][:10]} {embed['timestamp'][11:16]}", "small")
    page.y += LINE + 8
    bar = page.box(LEFT, top, (8, page.y - top), f"#{embed['color']:06x}")
    page.elements[place:place] = [bar, page.box(LEFT + 4, top, (EMBED, page.y - top), "#2b2d31")]
    page.y += 8


def draw(messages: list[dict[str, Any]]) -> str:
    """The picture of messages that one webhook posted."""
    page = Page()
    name = messages[0]["username"]
    page.elements.append(
        f'<circle cx="36" cy="36" r="20" fill="#5865f2"/><text x="31" y="42" class="name">{name[0]}</text>'
    )
    page.text(LEFT, name, "name")
    page.elements.append(page.box(LEFT + 10 * len(name), page.y + 2, (32, 15), "#5865f2"))
    page.elements.append(f'<text x="{LEFT + 10 * len(name) + 5}" y="{page.y + 13}" class="bot">APP</text>')
    page.y += LINE + 6
    for message in messages:
        for line in shown(message.get("content", ""), time_of(message["embeds"][0])).splitlines():
            page.text(LEFT, line)
            page.y += LINE + 4
        for embed in message["embeds"]:
            draw_embed(page, embed)
    size = f'width="{WIDTH}" height="{page.y + 8}" viewBox="0 0 {WIDTH} {page.y + 8}"'
    parts = [page.box(0, 0, (WIDTH, page.y + 8), "#313338", radius=8), *page.elements]
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>", *parts, "</svg>\n"]
    )


if __name__ == "__main__":
    sys.stdout.write(draw(json.load(sys.stdin)))
