"""Draws the gallery: docs/pictures/gallery.html, its pictures, and docs/gallery.md.

python -m tests.docs.draw_gallery
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from docs.pictures.discord_page import STYLE, Scene, notification, page, section
from tests.browser import Tab, browser
from tests.docs.gallery_scenes import scenes

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "pictures" / "gallery"
PAGE = PICTURES / "gallery.html"
TEXT = DOCS / "gallery.md"
PHONE, DESKTOP = 390, 800  # pixels
_HEAD = """# What alerts look like

Each picture is a message of tocsin in Discord, as a reader in Berlin sees it on a phone, at 03:12. Above the message stands the
notification of the lock screen: it shows the line of text that [urgent and high alerts](how-to/formatting.md) begin with, and nothing of a
card. A test makes the messages, as a Discord destination does, and draws them in styles of its own; here is
[the page that it draws](pictures/gallery/gallery.html). Other services get the same words as text.
"""
_OTHERS = {
    "phone-light": ("In light", PHONE, False, "#urgent .screen, #high .screen"),
    "desktop-dark": ("On a desktop", DESKTOP, True, "#trade-closed .screen, #late .screen"),
    "desktop-light": ("On a desktop, in light", DESKTOP, False, "#run .screen, #traceback .screen"),
}


def text(made: Sequence[Scene]) -> str:
    """docs/gallery.md."""
    others = (f"## {heading}\n\n{_picture(name, heading)}\n" for name, (heading, *_) in _OTHERS.items())
    return "\n".join([_HEAD, *map(_chapter, made), *others])


def _chapter(scene: Scene) -> str:
    words = notification(scene)
    said = f"The lock screen says: {words}" if words else "The lock screen shows nothing of it."
    return f"## {scene.heading}\n\n{scene.note}\n\n{_picture(scene.name, said)}\n"


def _picture(name: str, words: str) -> str:
    return f"![{' '.join(words.split())}](pictures/gallery/{name}.png)"


def draw(tab: Tab, changed: Collection[str]) -> None:
    """The pictures of these scenes: no two drawings have the same bytes, so the other files stay as they are."""
    tab.show(PHONE, dark=True)
    tab.open(PAGE.as_uri())
    for name in changed:
        tab.picture(PICTURES / f"{name}.png", of=f"#{name} .screen")
    for name, (_, width, dark, elements) in _OTHERS.items():
        if any(f"#{each} " in elements for each in changed):
            tab.show(width, dark=dark)
            tab.picture(PICTURES / f"{name}.png", of=elements)


def changed(made: Sequence[Scene], before: str) -> list[str]:
    """The scenes that look different in the page that was drawn before."""
    return [scene.name for scene in made if STYLE not in before or section(scene) not in before]


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    drawn = PAGE.read_text() if PAGE.exists() else ""
    PAGE.write_text(page(scenes()))
    TEXT.write_text(text(scenes()))
    with browser() as chromium:
        draw(chromium, changed(scenes(), drawn))
