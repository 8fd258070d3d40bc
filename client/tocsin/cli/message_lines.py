"""A message as its readers see it, in plain lines, from the payload that a destination would get."""

from __future__ import annotations

import re
import time
from datetime import datetime
from itertools import groupby
from typing import Any

from .output import paint, plain

_ESCAPED = re.compile(r"\\([^\w\s])")
_TIMESTAMP = re.compile(r"<t:(-?\d{1,12})(?::[a-zA-Z])?>")
_BLANK = "\u200b"  # Discord requires a text where a field has no name


def message_lines(payload: Any) -> list[str]:
    """The lines of a message: Discord's content and embeds, and of other services what the payload names."""
    if not isinstance(payload, dict):
        return _text(payload)
    if "embeds" in payload or "content" in payload:
        return _discord(payload)
    if set(payload) == {"lines"}:
        return [line for each in payload["lines"] for line in _named(each)]
    return _named(payload)


def _discord(payload: dict[str, Any]) -> list[str]:
    name = [f"({plain(payload['username'])})"] if payload.get("username") else []
    content = _read(payload.get("content") or "")
    return [*name, *content, *(line for embed in payload.get("embeds") or () for line in _embed(embed))]


def _embed(embed: dict[str, Any]) -> list[str]:
    title = [paint(line, "bold") for line in _read(embed.get("title") or "")]
    image = (embed.get("image") or {}).get("url")
    return [
        *title,
        *([plain(embed["url"])] if embed.get("url") else []),
        *_read(embed.get("description") or ""),
        *_fields(embed.get("fields") or []),
        *([f"[{plain(image).removeprefix('attachment://')}]"] if image else []),
        *_footer(embed),
    ]


def _fields(fields: list[dict[str, Any]]) -> list[str]:
    """Inline fields stand beside one another."""
    lines = []
    for inline, group in groupby(fields, lambda each: bool(each.get("inline"))):
        texts = ["\n".join(_field(each)) for each in group]
        lines += (
            ["   ".join(texts)] if inline and not any("\n" in text for text in texts) else "\n".join(texts).split("\n")
        )
    return lines


def _field(field: dict[str, Any]) -> list[str]:
    name = " ".join(_read(str(field.get("name") or ""))).replace(_BLANK, "").strip()
    first, *more = _read(str(field.get("value") or "")) or [""]
    return [f"{name}: {first}" if name else first, *more]


def _footer(embed: dict[str, Any]) -> list[str]:
    text, at = (embed.get("footer") or {}).get("text"), embed.get("timestamp")
    parts = [*_read(text or ""), *([_local(at)] if at else [])]
    return [paint(" · ".join(parts), "dim")] if parts else []


def _local(iso: str) -> str:
    try:
        return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return plain(iso)


def _read(text: str) -> list[str]:
    """Text as Discord shows it: without escapes, and with times in the reader's zone."""
    shown = _ESCAPED.sub(r"\1", text)
    return _text(_TIMESTAMP.sub(lambda found: _clock(int(found[1])), shown)) if shown else []


def _clock(unix: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))
    except (OverflowError, ValueError, OSError):
        return str(unix)


def _text(value: Any) -> list[str]:
    return [plain(line) for line in str(value).split("\n")]


def _named(value: Any, name: str = "") -> list[str]:
    """`name: value`, for each value that says something."""
    if isinstance(value, dict):
        return [line for key, each in value.items() for line in _named(each, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list):
        return [line for each in value for line in _named(each, name)]
    if value in (None, ""):
        return []
    first, *more = _text(value)
    return [f"{plain(name)}: {first}" if name else first, *(f"    {line}" for line in more)]
