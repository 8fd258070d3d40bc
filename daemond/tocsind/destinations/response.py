"""An answer of Discord's, taken apart.

A server may lie: times that are no number, negative or absurd are bounded here or not believed, and its words are cut, cleaned, and rid of
anything that could be an address or a token before a person or the journal sees them.
"""

from __future__ import annotations

import re
from functools import cached_property
from math import isfinite
from typing import Any, Final

from tocsind.policy.outcomes import RateHeaders

from .http import Answer

LONGEST_WAIT: Final = 86_400.0  # seconds; whoever asks for more than a day is asked again after one
LONGEST_WINDOW: Final = 60.0  # seconds; a webhook's window is a few, and whoever means more will say it as a 429
_SOME: Final = 1.0  # seconds, when a 429 names a wait of nothing: believing it would be a tight loop
_CLOUDFLARE: Final = re.compile(r"error(?: code)?:?\s*(10\d\d)\b", re.IGNORECASE)
_TELLTALE: Final = re.compile(r"\w+://\S*|[\w-]{40,}")  # an address, or something as long as a token
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{1,400})", re.IGNORECASE)
_LEAST_CODE: Final = 10_000  # Discord's error codes have five digits or more; 0 is its router's, and comes with words


class Response:
    """What there is to know of one answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.status = answer.status
        body = answer.json()
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}
        self._is_torn = body is None and answer.body.lstrip().startswith(b"{")

    @property
    def is_empty_body(self) -> bool:
        """Whether nothing, or not all of it, came back. A proxy that cuts a body may tell the length of what is left."""
        return not self.answer.whole or not self.answer.body.strip() or self._is_torn

    @property
    def is_discords_error(self) -> bool:
        """Whether the body of an error has the shape that Discord gives it. A proxy's page, text or JSON has not."""
        return self._json_code is not None and (self._json_code >= _LEAST_CODE or "message" in self.body)

    @property
    def has_rate_headers(self) -> bool:
        """Whether Discord itself has seen the request, whatever the body says: nothing else sends these headers."""
        return any(name.startswith("x-ratelimit-") for name in self.answer.headers)

    @property
    def title(self) -> str:
        """The title of a web page, fit to be shown, in brackets; empty when there is none."""
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
        """A number that may be an error code of Discord's."""
        code = self.body.get("code")
        is_code = isinstance(code, int) and not isinstance(code, bool) and (code == 0 or code >= _LEAST_CODE)
        return code if is_code else None

    @property
    def message(self) -> str:
        """Discord's own words, fit to be shown, after a colon; empty when there are none."""
        words = self.body.get("message")
        return f": {bounded_reason(words)}" if isinstance(words, str) and words.strip() else ""

    def header(self, name: str) -> str:
        return self.answer.headers.get(name, "").strip().lower()

    def seconds(self, name: str) -> float | None:
        return bounded(self.header(name))

    def id(self, name: str) -> str | None:
        """An id that the body tells: a snowflake has 20 digits, and what is much longer is none."""
        value = self.body.get(name)
        return value if isinstance(value, str) and 0 < len(value) <= 64 else None

    # --- limits -------------------------------------------------------------------------------------------------------

    @property
    def rate_headers(self) -> RateHeaders | None:
        """What the headers say of the endpoint's window; None unless all three make sense."""
        limit, remaining = self._count("x-ratelimit-limit"), self._count("x-ratelimit-remaining")
        after = _number(self.header("x-ratelimit-reset-after"))
        if limit is None or remaining is None or after is None:
            return None
        sane = 0 < limit >= remaining and 0 <= after <= LONGEST_WINDOW
        return RateHeaders(limit, remaining, after) if sane else None

    @property
    def is_invalid(self) -> bool:
        """Whether Cloudflare counts it against this address: only a limit that others share is not held to be our fault."""
        return self.status in {401, 403} or (self.status == 429 and self.header("x-ratelimit-scope") != "shared")

    @property
    def scope(self) -> str:
        """Whose limit a 429 speaks of: `user`, `shared`, `global`; empty when that cannot be known."""
        named = self.header("x-ratelimit-scope")
        if self.body.get("global") is True or named == "global" or self.header("x-ratelimit-global") == "true":
            return "global"
        if named in {"user", "shared"}:
            return named
        return "shared" if self._count("x-ratelimit-remaining") else ""

    @property
    def is_discords_limit(self) -> bool:
        """Of a 429: one with retry_after; or one whose body was lost but whose headers only Discord sends."""
        told = bounded(self.body.get("retry_after")) is not None
        return told or bool(self.header("x-ratelimit-scope") and self.seconds("retry-after"))

    @property
    def wait(self) -> float:
        """Of a 429 of Discord's, in seconds: the larger of body and header, unless one of them is only the other, written differently.

        They are compared as they came, and only then bounded: cut to a day, milliseconds would no longer be recognised by the header.
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
        """What the headers of a 429 say, in seconds whatever the API's version: Retry-After, else when the window ends."""
        return _positive(self.header("retry-after")) or _positive(self.header("x-ratelimit-reset-after"))

    def _count(self, name: str) -> int | None:
        digits = self.header(name)
        return int(digits) if re.fullmatch(r"[0-9]{1,6}", digits) else None


def bounded(value: object) -> float | None:
    """`value`, a number or its text, as seconds between 0 and a day; None when it is no number."""
    number = _number(value)
    return None if number is None else min(max(number, 0.0), LONGEST_WAIT)


def bounded_reason(words: str, most: int = 120) -> str:
    """The far end's words: one line, cut, without addresses or anything as long as a token."""
    line = " ".join(_TELLTALE.sub("…", words[:2000]).split())
    line = "".join(letter for letter in line if letter.isprintable())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _in_milliseconds(body: float, header: float) -> bool:
    """API 6 and 7 count so, behind a proxy that rewrites paths. The header, rounded to seconds whatever the version, gives it away."""
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
