"""Messages as an HTML page that looks like Discord: on a phone, on a desktop, in light and dark, and as a lock screen's notification.

The styles are our own. Each scene is a section; what is inside `.screen` is what a reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from docs.pictures.discord_text import STAMP, rows, stamp_text

ZONE = ZoneInfo("Europe/Berlin")  # the reader's
STYLE = Path(__file__).with_name("discord.css").read_text()
_CHART = (
    '<svg class="image" viewBox="0 0 400 120" role="img" aria-label="the attached image"><rect width="400" height="120" fill="#8883"/>'
    '<polyline points="10,100 60,84 110,92 160,60 210,66 260,40 310,46 390,16" fill="none" stroke="#2ecc71" stroke-width="3"/></svg>'
)
# Emoji come from a font that not every machine has, so the pictures bring their own.
_EMOJI = {
    "🚨": '<path d="M4 17a8 9 0 0 1 16 0z" fill="#f23f43"/><rect x="2" y="18" width="20" height="4" rx="1" fill="#80848e"/>',
    "❗": '<path d="M9 2h6l-1.5 13h-3z" fill="#f23f43"/><circle cx="12" cy="20" r="2.6" fill="#f23f43"/>',
    "✅": '<rect x="2" y="2" width="20" height="20" rx="4" fill="#23a55a"/>'
    '<path d="M7 12l4 4 7-8" fill="none" stroke="#fff" stroke-width="3"/>',
}
_TOKEN = re.compile(
    r"```(?:[a-z]*\n)?(?P<block>.*?)\n?```|`(?P<code>[^`\n]+)`|\\(?P<plain>[^0-9A-Za-z\s])|(?P<stamp><t:[0-9]+:[a-zA-Z]>)"
    r"|(?P<mention><@[&!]?[0-9]+>)|<(?P<link>https?://[^\s<>]+)>|(?P<address>https?://[^\s<]+[^\s<.,:;\"'\]])"
    r"|\[(?P<label>[^\]\n]+)\]\((?P<to>https?://[^)\s]+)\)|\*\*(?P<bold>.+?)\*\*",
    re.DOTALL,
)


class Scene(NamedTuple):
    """One message: a name for its picture, a heading, a sentence for readers of the gallery, and the payload."""

    name: str
    heading: str
    note: str
    payload: dict[str, Any]
    posted: float  # Unix seconds
    now: float  # when a reader looks at it
    edited: bool  # an edit notifies no reader


def page(scenes: Sequence[Scene]) -> str:
    """The whole page."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Messages of tocsin</title>'
    return "\n".join(
        [
            f'<!DOCTYPE html>\n<html lang="en"><head>{head}<link rel="icon" href="data:,"><style>{STYLE}</style></head><body>',
            *map(section, scenes),
            "</body></html>\n",
        ]
    )


def notification(scene: Scene) -> str:
    """The text of a push notification: the content, without markup; empty when there is none. Embeds do not show in it."""
    if scene.edited:
        return ""
    text = re.sub(r"<(https?://[^\s<>]+)>", r"\1", scene.payload.get("content", ""))
    text = STAMP.sub(lambda stamp: stamp_text(stamp, scene.now, ZONE), text)
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", re.sub(r"<@&?[0-9]+>", "@on-call", text))


def section(scene: Scene) -> str:
    """The part of the page for one scene."""
    return "\n".join(
        [
            f'<section id="{scene.name}"><h2>{escape(scene.heading)}</h2><p>{_markup(scene.note, scene)}</p><div class="screen">',
            *_lock_screen(scene),
            *_message(scene),
            "</div></section>",
        ]
    )


def _lock_screen(scene: Scene) -> Iterator[str]:
    if text := notification(scene):
        yield f'<div class="lock"><div class="push"><b>tocsin (#alerts)</b><p>{_text(text)}</p></div></div>'


def _message(scene: Scene) -> Iterator[str]:
    name, time = escape(scene.payload["username"]), datetime.fromtimestamp(scene.posted, ZONE)
    head = (
        f'<span class="name">{name}</span><span class="app">APP</span><span class="small">Today at {time:%H:%M}</span>'
    )
    yield f'<div class="message"><div class="avatar">{name[0]}</div><div><div>{head}</div>'
    mark = ' <span class="small">(edited)</span>' if scene.edited else ""
    if content := scene.payload.get("content"):
        yield f'<div class="content">{_markup(content, scene)}{mark}</div>'
    for embed in scene.payload["embeds"]:
        yield from _embed(embed, scene)
    yield "</div></div>"


def _embed(embed: dict[str, Any], scene: Scene) -> Iterator[str]:
    yield f'<div class="embed" style="border-color: #{embed.get("color", 0):06x}">'
    if title := embed.get("title"):
        text = _markup(title, scene)
        yield f'<div class="title">{_anchor(embed["url"], text) if "url" in embed else text}</div>'
    if description := embed.get("description"):
        yield f'<div class="description">{_markup(description, scene)}</div>'
    for row in rows(embed.get("fields", [])):
        yield f'<div class="row{"" if row[0]["inline"] else " wide"}">{"".join(_field(field, scene) for field in row)}</div>'
    if "image" in embed:
        yield _CHART
    yield f'<div class="footer small">{_text(embed["footer"]["text"])}{_time(embed, scene)}</div></div>'


def _field(field: dict[str, Any], scene: Scene) -> str:
    label, value = _markup(field["name"], scene), _markup(field["value"], scene)
    return f'<div><div class="label">{label}</div><div class="value">{value}</div></div>'


def _time(embed: dict[str, Any], scene: Scene) -> str:
    if "timestamp" not in embed:
        return ""
    time, today = (
        datetime.fromisoformat(embed["timestamp"]).astimezone(ZONE),
        datetime.fromtimestamp(scene.now, ZONE).date(),
    )
    return f" • Today at {time:%H:%M}" if time.date() == today else f" • {time:%Y-%m-%d %H:%M}"


def _text(text: str) -> str:
    """Text without markup."""
    return re.sub(
        "|".join(_EMOJI), lambda found: f'<svg class="emoji" viewBox="0 0 24 24">{_EMOJI[found[0]]}</svg>', escape(text)
    )


def _markup(text: str, scene: Scene) -> str:
    """Discord's Markdown as HTML, as far as tocsin writes it."""
    parts, place = [], 0
    for token in _TOKEN.finditer(text):
        parts += [_text(text[place : token.start()]), _token(token, scene)]
        place = token.end()
    return "".join([*parts, _text(text[place:])])


def _token(token: re.Match[str], scene: Scene) -> str:
    kind, found = token.lastgroup or "block", token[token.lastgroup or "block"]
    match kind:
        case "block" | "code":
            element = "pre" if kind == "block" else "code"
            return f"<{element}>{escape(found)}</{element}>"
        case "stamp":
            return STAMP.sub(lambda stamp: stamp_text(stamp, scene.now, ZONE), found)
        case "mention":
            return '<span class="mention">@on-call</span>'
        case "link" | "address" | "to":
            return _anchor(found, escape(token["label"] or found))
    return f"<b>{_markup(found, scene)}</b>" if kind == "bold" else escape(found)


def _anchor(address: str, text: str) -> str:
    return f'<a href="{escape(address)}">{text}</a>'
