"""A body in Markdown: formatting, lists and links work, and nothing in it mentions a reader or hides where a link leads.

A link with a text of its own works when its text names no address, or one of the same host; else text and address are both shown. What
is open where the text ends is closed, because more may follow: a code block, and nothing else reaches beyond a paragraph.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from tocsind.rendering.text import fitted, is_blank

from .markup import FENCE

_MENTION: Final = re.compile(r"<(?=[@#])|@(?=everyone|here)", re.IGNORECASE)
_LINK: Final = re.compile(r"\[(?P<text>[^\[\]\n\\]{1,200})\]\((?P<address>https?://[^\s()<>\\]{1,1000})\)")
_JOINT: Final = re.compile(r"\](?=\()")
_ADDRESS: Final = re.compile(
    r"://|[@%]|\w\s*[.\u3002\uff0e\uff61\u2024]\s*\w{2}"
)  # names a host, or could to a quick reader
_APART: Final = "\u200b"


def markdown(text: str, most: int) -> str:
    """Clean `text` in at most `most` code points."""
    harmless = _MENTION.sub(lambda found: found[0] + _APART, _with_honest_links(text))
    if len(harmless) <= most:
        return _closed(harmless) if len(_closed(harmless)) <= most else _cut(harmless, most)
    return _cut(harmless, most)


def _cut(text: str, most: int) -> str:
    return _closed(_with_honest_links(fitted(text, max(1, most - len(FENCE) - 1), at_head=False)))[:most]


def _closed(text: str) -> str:
    return f"{text}\n{FENCE}" if text.count(FENCE) % 2 else text


def _with_honest_links(text: str) -> str:
    parts: list[str] = []
    place = 0
    for link in _LINK.finditer(text):
        parts.append(_JOINT.sub(f"]{_APART}", text[place : link.start()]))
        parts.append(link[0] if _is_honest(link["text"], link["address"]) else _JOINT.sub(f"]{_APART}", link[0]))
        place = link.end()
    return "".join((*parts, _JOINT.sub(f"]{_APART}", text[place:])))


def _is_honest(text: str, address: str) -> bool:
    """Whether `text` leaves a reader no wrong idea of where `address` leads."""
    if is_blank(text):
        return False
    if not _ADDRESS.search(text):
        return True
    try:
        return text.strip() == address or text.strip().lower() == urlsplit(address).netloc.lower()
    except ValueError:
        return False
