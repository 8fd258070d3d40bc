"""An answer of Discord's, parsed.

A server may send anything: times that are no number, negative or absurd are bounded here or ignored, and its texts are cut, cleaned, and
cleared of anything that could be an address or a token before a person or the journal sees them.
"""

from __future__ import annotations

import re
from functools import cached_property
from math import isfinite
from typing import Any, Final

from tocsind.policy.outcomes import RateHeaders

from .http import Answer

LONGEST_WAIT: Final = 86_400.0  # seconds; after a day the daemon asks again, whatever the server said
LONGEST_WINDOW: Final = 60.0  # seconds; a webhook's window is a few, and a longer wait comes as a 429
_SOME: Final = 1.0  # seconds, when a 429 says 0: obeying it would be a tight loop
_CLOUDFLARE: Final = re.compile(r"error(?: code)?:?\s*(10\d\d)\b", re.IGNORECASE)
_REVEALING: Final = re.compile(r"\w+://\S*|[\w-]{40,}")  # an address, or something as long as a token
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{1,400})", re.IGNORECASE)
_LEAST_CODE: Final = (
    10_000  # Discord's error codes have five digits or more; 0 is its router's, and comes with a message
)


class Response:
    """One answer: status, body, headers, and what they say about limits."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.status = answer.status
        body = answer.json()
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}
        self._is_torn = body is None and answer.body.lstrip().startswith(b"{")

    @property
    def is_empty_body(self) -> bool:
        """Whether the body is empty or incomplete. A proxy that cuts a body may send the length of the rest."""
        return not self.answer.whole or not self.answer.body.strip() or self._is_torn

    @property
    def is_discords_error(self) -> bool:
        """Whether an error's body has Discord's format. A proxy's page, text or JSON does not."""
        return self._json_code is not None and (self._json_code >= _LEAST_CODE or "message" in self.body)

    @property
    def has_rate_headers(self) -> bool:
        """Whether Discord itself saw the request: no other server sends these headers."""
        return any(name.startswith("x-ratelimit-") for name in self.answer.headers)

    @property
    def title(self) -> str:
        """The title of a web page, safe to show, in brackets; empty when there is none."""
        found = None if self.body else _TITLE.search(self.answer.body[:20_000])
        line = bounded_reason(found[1].decode("utf-8", "replace"), 60) if found else ""
        return f" ({line})" if line else ""

    @cached_property
    def code(self) -> int | None:
        """Discord's error code, or Cloudflare's."""
        if not self.body and (found := _CLOUDFLARE.search(self.answer.body[:20_000].decode("latin-1"))):
            return int(found[1])
        return self._json_code

    @property
    def _json_code(self) -> int | None:
        """A number in the body that can be an error code of Discord's."""
        code = self.body.get("code")
        is_code = isinstance(code, int) and not isinstance(code, bool) and (code == 0 or code >= _LEAST_CODE)
        return code if is_code else None

    @property
    def message(self) -> str:
        """Discord's message, safe to show, after a colon; empty when there is none."""
        words = self.body.get("message")
        return f": {bounded_reason(words)}" if isinstance(words, str) and words.strip() else ""

    def header(self, name: str) -> str:
        return self.answer.headers.get(name, "").strip().lower()

    def seconds(self, name: str) -> float | None:
        return bounded(self.header(name))

    def id(self, name: str) -> str | None:
        """An id in the body. A snowflake has 20 digits; a text of more than 64 characters is no id."""
        value = self.body.get(name)
        return value if isinstance(value, str) and 0 < len(value) <= 64 else None

    # --- limits -------------------------------------------------------------------------------------------------------

    @property
    def rate_headers(self) -> RateHeaders | None:
        """The webhook's window by the headers; None unless all three are plausible."""
        limit, remaining = self._count("x-ratelimit-limit"), self._count("x-ratelimit-remaining")
        after = _number(self.header("x-ratelimit-reset-after"))
        if limit is None or remaining is None or after is None:
            return None
        sane = 0 < limit >= remaining and 0 <= after <= LONGEST_WINDOW
        return RateHeaders(limit, remaining, after) if sane else None

    @property
    def is_invalid(self) -> bool:
        """Whether Cloudflare counts the answer against this address: it does not count a shared limit."""
        return self.status in {401, 403} or (self.status == 429 and self.header("x-ratelimit-scope") != "shared")

    @property
    def scope(self) -> str:
        """The limit that a 429 is about: `user`, `shared`, `global`; empty when unknown."""
        named = self.header("x-ratelimit-scope")
        if self.body.get("global") is True or named == "global" or self.header("x-ratelimit-global") == "true":
            return "global"
        if named in {"user", "shared"}:
            return named
        return "shared" if self._count("x-ratelimit-remaining") else ""

    @property
    def is_discords_limit(self) -> bool:
        """Whether a 429 is Discord's: it has retry_after, or, without a body, headers that only Discord sends."""
        stated = bounded(self.body.get("retry_after")) is not None
        return stated or bool(self.header("x-ratelimit-scope") and self.seconds("retry-after"))

    @property
    def wait(self) -> float:
        """The wait of a 429, in seconds: the larger of body and header, unless one is the other in another unit or rounded.

        They are compared before they are bounded: cut to a day, milliseconds could no longer be recognised by the header.
        """
        body, header = _positive(self.body.get("retry_after")), self._stated_seconds
        if body and header and _in_milliseconds(body, header):
            wait = body / 1000
        elif body and 0 <= header - body < 1:  # rounded up to whole seconds
            wait = body
        else:
            wait = max(body, header)
        return min(wait, LONGEST_WAIT) or _SOME

    @property
    def _stated_seconds(self) -> float:
        """The wait by a 429's headers, in seconds in every API version: Retry-After, else the end of the window."""
        return _positive(self.header("retry-after")) or _positive(self.header("x-ratelimit-reset-after"))

    def _count(self, name: str) -> int | None:
        digits = self.header(name)
        return int(digits) if re.fullmatch(r"[0-9]{1,6}", digits) else None


def bounded(value: object) -> float | None:
    """`value`, a number or its text, as seconds from 0 to a day; None when it is no number."""
    number = _number(value)
    return None if number is None else min(max(number, 0.0), LONGEST_WAIT)


def bounded_reason(words: str, most: int = 120) -> str:
    """Text of the far end: one line, cut, without addresses or anything as long as a token."""
    line = " ".join(_REVEALING.sub("…", words[:2000]).split())
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _in_milliseconds(body: float, header: float) -> bool:
    """API 6 and 7, reached by a proxy that rewrites paths, count in milliseconds. The header is in seconds in every version."""
    return body.is_integer() and 10 * header <= body and abs(body - 1000 * header) < 1000


def _positive(value: object) -> float:
    """A number of seconds above 0; 0 for anything else."""
    return max(_number(value) or 0.0, 0.0)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
