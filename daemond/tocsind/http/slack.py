"""Slack's incoming webhook format, as Discord's `/slack` route reads it: `text` and `attachments` become content and embeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tocsind.discord_api.forms import Json

_COLOURS: Final = {"good": 0x2EB886, "warning": 0xDAA038, "danger": 0xA30200}
_LINK: Final = re.compile(r"<((?:https?|mailto):[^|>\s]+)(?:\|([^>]*))?>")
_LATEST: Final = 253402300799  # the year 9999


def from_slack(value: Any) -> Any:
    """The Discord message for a Slack message. What is no object stays what it is, for the validation to name."""
    if isinstance(value, dict) and isinstance(value.get("payload"), str):  # Slack's old form
        value = _loaded(value["payload"])
    if not isinstance(value, dict):
        return value
    embeds = [_embed(each) for each in _objects(value.get("attachments"))]
    found = {
        "content": _content(value),
        "username": value.get("username"),
        "avatar_url": value.get("icon_url"),
        "embeds": [embed for embed in embeds if embed],
    }
    return {key: each for key, each in found.items() if each}


def _loaded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _content(value: Mapping[str, Any]) -> str:
    parts = [_text(value.get("text"))]
    if not parts[0]:
        blocks = _objects(value.get("blocks"))
        parts = [
            _text((block.get("text") or {}).get("text")) for block in blocks if isinstance(block.get("text"), dict)
        ]
    parts += [_text(each.get("pretext")) for each in _objects(value.get("attachments"))]
    return "\n".join(filter(None, parts))


def _embed(attachment: Mapping[str, Any]) -> Json:
    author = {
        "name": attachment.get("author_name"),
        "url": attachment.get("author_link"),
        "icon_url": attachment.get("author_icon"),
    }
    footer = {"text": attachment.get("footer"), "icon_url": attachment.get("footer_icon")}
    found = {
        "title": _text(attachment.get("title")),
        "url": attachment.get("title_link"),
        "description": _text(attachment.get("text")) or _text(attachment.get("fallback")),
        "color": _colour(attachment.get("color")),
        "author": _part(author, "name"),
        "footer": _part(footer, "text"),
        "image": _part({"url": attachment.get("image_url")}, "url"),
        "thumbnail": _part({"url": attachment.get("thumb_url")}, "url"),
        "timestamp": _time(attachment.get("ts")),
        "fields": [_field(each) for each in _objects(attachment.get("fields"))],
    }
    made = {key: value for key, value in found.items() if value not in (None, "", [])}
    return made if made.keys() - {"color", "timestamp", "url"} else {}


def _part(part: Mapping[str, Any], needed: str) -> Json | None:
    return {key: value for key, value in part.items() if value} if part.get(needed) else None


def _field(field: Mapping[str, Any]) -> Json:
    return {
        "name": _text(field.get("title")) or "-",
        "value": _text(field.get("value")) or "-",
        "inline": field.get("short") is True,
    }


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Text with Slack's links as Discord writes them, and without Slack's escapes."""
    if not isinstance(value, (str, int, float)):
        return ""
    linked = _LINK.sub(lambda found: f"[{found[2]}]({found[1]})" if found[2] else found[1], str(value))
    return linked.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _colour(value: Any) -> int | None:
    text = str(value or "").lstrip("#").lower()
    if text in _COLOURS:
        return _COLOURS[text]
    return int(text, 16) if re.fullmatch(r"[0-9a-f]{6}", text) else None


def _time(value: Any) -> str | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat() if 0 < seconds < _LATEST else None
