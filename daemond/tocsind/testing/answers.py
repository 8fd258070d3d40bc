"""The shapes in which Discord, and Cloudflare before it, answers.

Discord's own answers are JSON with `message` and `code`; its 429 adds `retry_after` and `global`. Cloudflare
answers in HTML or plain text, knows no codes of Discord's, and sends none of the rate limit headers.
Sources: Discord's documentation of rate limits and error codes; bodies seen in other libraries' issue trackers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from tocsind.discord_api import errors
from tocsind.http_server import Reply

# The last version whose retry_after counts milliseconds; an unversioned path means version 6.
_LAST_IN_MILLISECONDS: Final = 7


class Scope(StrEnum):
    """Whose limit a 429 speaks of; `cloudflare` is no scope of Discord's and shows no header."""

    USER = "user"
    SHARED = "shared"
    GLOBAL = "global"
    CLOUDFLARE = "cloudflare"


def bad_user_agent() -> Reply:
    """Cloudflare's browser check; the text is all there is."""
    return Reply(403, {"Content-Type": "text/plain; charset=UTF-8"}, b"error code: 1010")


def html(status: int, headers: Mapping[str, str] | None = None) -> Reply:
    """What a proxy in front of Discord says when Discord does not."""
    title = f"{status} {errors.phrase(status)}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>cloudflare</body></html>"
    return Reply(
        status,
        {"Content-Type": "text/html; charset=UTF-8", "Server": "cloudflare", **(headers or {})},
        page.encode(),
    )


def limited(scope: Scope, retry_after: float, version: int, headers: Mapping[str, str]) -> Reply:
    """A 429: `retry_after` in seconds, told in the unit of API `version`; `headers` are the bucket's, if shown."""
    # Retry-After has whole seconds (RFC 9110), even where the body counts milliseconds.
    wait = {"Retry-After": str(max(1, math.ceil(retry_after)))}
    if scope is Scope.CLOUDFLARE:
        return html(429, wait)
    if scope is Scope.GLOBAL:
        wait["X-RateLimit-Global"] = "true"
    body = {
        "message": "You are being rate limited.",
        "retry_after": _in_unit_of(version, retry_after),
        "global": scope is Scope.GLOBAL,
    }
    return errors.as_json(429, body, {**headers, **wait, "X-RateLimit-Scope": scope})


def ceil_ms(seconds: float) -> float:
    """Rounded up to a millisecond: a client that waits that long must not come too early."""
    return math.ceil(seconds * 1000 - 1e-6) / 1000


def _in_unit_of(version: int, seconds: float) -> float:
    return math.ceil(seconds * 1000) if version <= _LAST_IN_MILLISECONDS else ceil_ms(seconds)
