"""What a person reading the channel would see, which is less than what was accepted.

Discord merges embeds of one message that carry the same `url`: only the first of them shows. A batch of alerts
that all link to the same page is one visible alert. SUPPRESS_EMBEDS hides them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from tocsin.signals import PRIORITIES
from tocsind.discord_api.forms import Json
from tocsind.testing.mentions import Mentions
from tocsind.testing.messages import Message

_SUPPRESS_EMBEDS: Final = 4
_SILENT: Final = 4096
_LABEL: Final = re.compile("^[①-⑩] ?")
_SIGNS: Final = re.compile("^(?:[🚨❗✅▲▼■◆] ?)+")
_MENTIONS: Final = re.compile(r"(?:^| )(?:<@&?[0-9]+>|@everyone|@here)(?= |$)")
_LATE: Final = re.compile(r" · [0-9dhms]+ late$")
_DOUBT: Final = " · possible duplicate"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One thing on the screen: the text of a message, or one of its embeds."""

    message_id: str
    webhook_id: str | None
    """None for a foreign post."""
    username: str | None
    content: str | None = None
    embed: Json | None = None
    mentions: Mentions = Mentions()
    """Who was pinged by it; only a content pings."""
    silent: bool = False
    edited: bool = False

    @property
    def text(self) -> str:
        """The content, or the embed's title or else its description: enough to tell alerts apart."""
        embed = self.embed or {}
        return self.content or embed.get("title") or embed.get("description") or ""


class Alert(NamedTuple):
    """One alert of tocsin's in a message, read as a person reads it."""

    id: str  # as far as the message shows it
    title: str  # without marks
    priority: str
    doubt: bool
    late: bool
    line: str  # of content; empty where there is none
    embed: Json


def alerts_in(payload: Json) -> list[Alert]:
    """The alerts of a message that tocsin posted, in order: each has an embed, and perhaps a line of content."""
    lines = _MENTIONS.sub("", payload.get("content") or "").split("\n")
    by_label = {_label(line): line for line in lines}
    embeds = [embed for embed in payload.get("embeds", ()) if "footer" in embed]
    if len(embeds) == 1:
        return [_alert(embeds[0], lines[0])]
    return [_alert(embed, by_label.get(_label(embed.get("title", "")) or "none", "")) for embed in embeds]


def _label(text: str) -> str:
    found = _LABEL.match(text)
    return found[0].strip() if found else ""


def _alert(embed: dict[str, Any], line: str) -> Alert:
    in_embed, in_line = _LABEL.sub("", embed.get("title", "")), _LABEL.sub("", line)
    is_whole = in_line and not in_line.endswith("…")
    head = (in_line if is_whole else in_embed).partition(_DOUBT)[0]
    title = head.partition(" · ")[0] if is_whole else _LATE.sub("", head)
    *where, id_ = embed["footer"]["text"].split(" · ")
    priority = next((word for word in where[:1] if word in PRIORITIES), "normal")
    text = in_line or in_embed
    return Alert(id_, _SIGNS.sub("", title), priority, _DOUBT in text, " late" in text, line, embed)


def seen_in(messages: Iterable[Message], place: str) -> tuple[Seen, ...]:
    """What a reader of one channel or thread sees, top to bottom."""
    here = (message for message in messages if (message.thread_id or message.channel_id) == place)
    return tuple(item for message in here if not message.deleted for item in _items(message))


def _items(message: Message) -> Iterator[Seen]:
    payload = message.payload
    base = Seen(
        message_id=message.message_id,
        webhook_id=message.webhook_id,
        username=payload.get("username"),
        silent=bool(payload.get("flags", 0) & _SILENT),
        edited=message.edits > 0,
    )
    if content := payload.get("content"):
        yield msgspec.structs.replace(base, content=content, mentions=message.mentions)
    for embed in _visible(payload):
        yield msgspec.structs.replace(base, embed=embed)


def _visible(payload: Json) -> Iterator[Json]:
    if payload.get("flags", 0) & _SUPPRESS_EMBEDS:
        return
    urls: set[str] = set()
    for embed in payload.get("embeds", ()):
        url = embed.get("url")
        if url is None or url not in urls:
            yield embed
        urls.add(url)
