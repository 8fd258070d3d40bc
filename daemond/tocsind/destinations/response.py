"""An answer of any HTTP service, parsed as far as all services agree.

A kind has a subclass that says where the service puts its error code, its words, its wait and the id of a saved message. A server may send
anything: times that are no number, negative or absurd are bounded here or ignored, and its texts are cut, cleaned, and cleared of anything
that could be an address or a token before a person or the journal sees them.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, Final

from tocsind.policy.outcomes import RateHeaders
from tocsind.rendering.text import cleaned
from tocsind.secret import redacted

from .http import Answer

LONGEST_WAIT: Final = 86_400.0  # seconds; after a day the daemon asks again, whatever the server said
SHORTEST_WAIT: Final = 1.0  # seconds, when a 429 says 0: obeying it would be a tight loop
_REVEALING: Final = re.compile(r"\w+://\S*|[\w-]{40,}")  # an address, or something as long as a token
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{1,400})", re.IGNORECASE)
_WORDS: Final = ("message", "error", "description", "detail")  # keys under which services put the text of an error


class Response:
    """One answer: status, body, headers. `service` names the far end in messages."""

    service = "the server"
    received: float | None = None  # Unix seconds by this host's clock

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.status = answer.status
        body = answer.json()
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}

    # --- what a kind overrides ----------------------------------------------------------------------------------------

    @property
    def is_own(self) -> bool:
        """Whether the service itself answered. A proxy's page says nothing about the alert or the destination."""
        return True

    @property
    def code(self) -> int | str | None:
        """The service's own error code."""
        return None

    @property
    def words(self) -> str:
        """The service's text, as it came."""
        return next((words for key in _WORDS if isinstance(words := self.body.get(key), str)), "")

    @property
    def wait(self) -> float | None:
        """Seconds until the service accepts requests again; None when it does not say."""
        return self.seconds("retry-after") or self._until_date("retry-after")

    @property
    def proof(self) -> str | None:
        """The id of the saved message."""
        return None

    @property
    def rate_headers(self) -> RateHeaders | None:
        """The window of the endpoint, if headers show it."""
        return None

    @property
    def is_invalid(self) -> bool:
        """Whether the server counts the answer against this host."""
        return False

    # --- what all have ------------------------------------------------------------------------------------------------

    @property
    def said(self) -> str:
        """`words`, safe to show, after a colon; empty when there are none."""
        line = bounded_reason(self.words)
        return f": {line}" if line else ""

    @property
    def title(self) -> str:
        """The title of a web page, safe to show, in brackets; empty when there is none."""
        found = None if self.body else _TITLE.search(self.answer.body[:20_000])
        line = bounded_reason(found[1].decode("utf-8", "replace"), 60) if found else ""
        return f" ({line})" if line else ""

    @property
    def text(self) -> str:
        """A body of plain text; empty for anything else."""
        kind = self.answer.headers.get("content-type", "")
        return "" if "html" in kind else self.answer.body[:2000].decode("utf-8", "replace").strip()

    def header(self, name: str) -> str:
        return self.answer.headers.get(name, "").strip().lower()

    def seconds(self, name: str) -> float | None:
        """A header as seconds."""
        return bounded(self.header(name))

    def _until_date(self, name: str) -> float | None:
        """A header with a date, as seconds from now."""
        until, now = _date(self.header(name)), self.server_time
        return None if until is None or now is None else bounded(until - now)

    @property
    def server_time(self) -> float | None:
        """Unix seconds by the server's own date, or, where it sends none, by this host's clock."""
        return _date(self.header("date")) or self.received


def _date(header: str) -> float | None:
    """A date of HTTP in Unix seconds."""
    try:
        return parsedate_to_datetime(header).replace(tzinfo=UTC).timestamp()  # HTTP dates are in GMT
    except (ValueError, OverflowError):
        return None


def bounded(value: object) -> float | None:
    """`value`, a number or its text, as seconds from 0 to a day; None when it is no number."""
    number = number_of(value)
    return None if number is None else min(max(number, 0.0), LONGEST_WAIT)


def bounded_reason(words: str, most: int = 120) -> str:
    """Text of the far end: one line, cut, without secrets, addresses or anything as long as a token."""
    line = " ".join(_REVEALING.sub("…", redacted(cleaned(words[:2000]))).split())
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def positive(value: object) -> float:
    """A number of seconds above 0; 0 for anything else."""
    return max(number_of(value) or 0.0, 0.0)


def number_of(value: object) -> float | None:
    """A number, or its text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
