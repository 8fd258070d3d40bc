"""page.html, and the headers that go with it.

All is in one file. The policy lets a browser run exactly the script and the style of this file, by their hashes: text of a signal can never
become code, even if the script put it where it does not belong. Trusted Types forbid the script to make HTML of text at all.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

import msgspec

_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
SAFE: Final = {  # of every answer of the page: no other origin may read or embed it
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Document(msgspec.Struct, frozen=True):
    """An HTML file and its headers."""

    body: bytes
    headers: dict[str, str]


@cache
def document(name: str) -> Document:
    """One of the HTML files of this package. It is read once."""
    text = files(__package__).joinpath(name).read_text("utf-8")
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _policy(text)}
    return Document(text.encode(), SAFE | headers)


def _policy(text: str) -> str:
    hashes = {kind: _hash(content) for kind, content in _INLINE.findall(text)}
    allowed = [f"{kind}-src {hash_}" for kind, hash_ in hashes.items()]
    return "; ".join(
        [
            "default-src 'none'",
            *allowed,
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
