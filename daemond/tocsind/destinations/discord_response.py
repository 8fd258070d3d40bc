"""An answer of Discord's, or of Cloudflare before it, parsed."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from tocsind.policy.outcomes import RateHeaders

from .http import Answer
from .response import LONGEST_WAIT, SHORTEST_WAIT, Response, bounded, number_of, positive

LONGEST_WINDOW: Final = 60.0  # seconds; a webhook's window is a few, and a longer wait comes as a 429
_CLOUDFLARE: Final = re.compile(r"error(?: code)?:?\s*(10\d\d)\b", re.IGNORECASE)
_LEAST_CODE: Final = (
    10_000  # Discord's error codes have five digits or more; 0 is its router's, and comes with a message
)


class DiscordResponse(Response):
    """One answer, and what it says about limits."""

    service = "Discord"

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self._is_torn = not self.body and answer.body.lstrip().startswith(b"{") and answer.json() is None

    @property
    def is_empty_body(self) -> bool:
        """Whether the body is empty or incomplete. A proxy that cuts a body may send the length of the rest."""
        return not self.answer.whole or not self.answer.body.strip() or self._is_torn

    @property
    def is_own(self) -> bool:
        """Whether an error's body has Discord's format. A proxy's page, text or JSON does not."""
        return self._json_code is not None and (self._json_code >= _LEAST_CODE or "message" in self.body)

    @property
    def has_rate_headers(self) -> bool:
        """Whether Discord itself saw the request: no other server sends these headers."""
        return any(name.startswith("x-ratelimit-") for name in self.answer.headers)

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
    def proof(self) -> str | None:
        return self.id("id")

    def id(self, name: str) -> str | None:
        """An id in the body. A snowflake has 20 digits; a text of more than 64 characters is no id."""
        value = self.body.get(name)
        return value if isinstance(value, str) and 0 < len(value) <= 64 else None

    # --- limits -------------------------------------------------------------------------------------------------------

    @property
    def rate_headers(self) -> RateHeaders | None:
        """The webhook's window by the headers; None unless all three are plausible."""
        limit, remaining = self._count("x-ratelimit-limit"), self._count("x-ratelimit-remaining")
        after = number_of(self.header("x-ratelimit-reset-after"))
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
        body, header = positive(self.body.get("retry_after")), self._stated_seconds
        if body and header and _in_milliseconds(body, header):
            wait = body / 1000
        elif body and 0 <= header - body < 1:  # rounded up to whole seconds
            wait = body
        else:
            wait = max(body, header)
        return min(wait, LONGEST_WAIT) or SHORTEST_WAIT

    @property
    def _stated_seconds(self) -> float:
        """The wait by a 429's headers, in seconds in every API version: Retry-After, else the end of the window."""
        return positive(self.header("retry-after")) or positive(self.header("x-ratelimit-reset-after"))

    def _count(self, name: str) -> int | None:
        digits = self.header(name)
        return int(digits) if re.fullmatch(r"[0-9]{1,6}", digits) else None


def _in_milliseconds(body: float, header: float) -> bool:
    """API 6 and 7, reached by a proxy that rewrites paths, count in milliseconds. The header is in seconds in every version."""
    return body.is_integer() and 10 * header <= body and abs(body - 1000 * header) < 1000
