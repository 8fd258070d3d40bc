"""What an answer of Discord's means, as a table: the first row that fits speaks.

       status      code             outcome
       2xx         message id       delivered; Remaining 0 asks for a pause of Reset-After
       2xx         -                unknown: taken, but nothing proves that it was kept
       any         40333            deferred, every lane: Cloudflare blocks this address
       403, 429    10xx             the same, in Cloudflare's own words; its 530s with such a code are failures behind it
       429         -                deferred: the lane; every lane when global, or when it is Cloudflare's
       408         -                deferred: a front server gave up on our bytes, nothing was processed
       5xx         -                deferred, and it may have been saved
       4xx         a web page       refused: not Discord's words, so no reason to give the destination up
       401         -                refused, and the destination is gone: its token is wrong
       404         10003            refused: the channel; the lane is to be disabled after three in a row, which nobody counts yet
       404         -                refused, and the destination is gone: the webhook was deleted
       403         50013            refused: no permission; as with 10003 the count to three is still to come
       400         50035            refused, with Discord's own words for each path
       413, 4xx    40005, 50045     refused: too large
       else        -                refused: a redirect would carry the token elsewhere, and no other 4xx gets better by repeating

Cloudflare's refusals are text (`error code: 1010`); they share the column of the codes, because Discord's own have one digit or five.
A server may lie: times that are no number, negative or absurd are bounded here, and its words are cut, cleaned, and rid of anything
that could be an address or a token before a person or the journal sees them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from functools import cached_property
from math import isfinite
from typing import Any, Final, NamedTuple

from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown

from .http import Answer

LONGEST_WAIT: Final = 86_400.0  # seconds; whoever asks for more than a day is asked again after one
_BLOCKED: Final = 60.0  # seconds, when Cloudflare blocks and does not say for how long
_SOME: Final = 1.0  # seconds, when a 429 names a wait of nothing: believing it would be a tight loop
_LONGEST_ID: Final = 64  # a snowflake has 20 digits
_CLOUDFLARE: Final = re.compile(r"error(?: code)?:?\s*(10\d\d)\b", re.IGNORECASE)
_TELLTALE: Final = re.compile(r"\w+://\S*|[\w-]{40,}")  # an address, or something as long as a token


class Reading:
    """An answer, taken apart once."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.status = answer.status
        body = answer.json()
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}

    @property
    def is_page(self) -> bool:
        return not self.body and self.answer.body.lstrip()[:1] == b"<"

    @cached_property
    def code(self) -> int | None:
        """Discord's error code, or Cloudflare's."""
        code = self.body.get("code")
        if not self.body and (found := _CLOUDFLARE.search(self.answer.body[:20_000].decode("latin-1"))):
            code = int(found[1])
        return code if isinstance(code, int) else None

    @property
    def message(self) -> str:
        """Discord's own words, fit to be shown, after a colon; empty when there are none."""
        words = self.body.get("message")
        return f": {said(words)}" if isinstance(words, str) and words.strip() else ""

    def header(self, name: str) -> str:
        return self.answer.headers.get(name, "").strip().lower()

    def seconds(self, name: str) -> float | None:
        return bounded(self.header(name))


class Row(NamedTuple):
    """`codes` None fits any code and none."""

    statuses: Container[int]
    codes: Container[int] | None
    says: Callable[[Reading], Outcome]
    fits: Callable[[Reading], bool] = lambda _: True


def meaning(answer: Answer) -> Outcome:
    """The outcome that `answer` stands for."""
    reading = Reading(answer)
    return next(row.says(reading) for row in TABLE if _applies(row, reading))


def bounded(value: object) -> float | None:
    """`value`, a number or its text, as seconds between 0 and a day; None when it is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return min(max(number, 0.0), LONGEST_WAIT) if isfinite(number) else None


def said(words: str, most: int = 120) -> str:
    """The far end's words: one line, cut, without addresses or anything as long as a token."""
    line = " ".join(_TELLTALE.sub("…", words[:2000]).split())
    line = "".join(letter for letter in line if letter.isprintable())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _applies(row: Row, reading: Reading) -> bool:
    return reading.status in row.statuses and (row.codes is None or reading.code in row.codes) and row.fits(reading)


_LONGEST_PAUSE: Final = 60.0  # seconds; a webhook's window is a few, and whoever says more will say it again as a 429


def _saved(reading: Reading) -> Outcome:
    spent = reading.header("x-ratelimit-remaining") == "0"
    pause = reading.seconds("x-ratelimit-reset-after") if spent else None
    return Delivered(message=reading.body["id"], pause=min(pause or 0.0, _LONGEST_PAUSE))


def _has_id(reading: Reading) -> bool:
    message = reading.body.get("id")
    return isinstance(message, str) and 0 < len(message) <= _LONGEST_ID


def _unproved(reading: Reading) -> Outcome:
    return Unknown(f"{reading.status} from Discord without a message id: it may have arrived")


def _blocked(reading: Reading) -> Outcome:
    wait = reading.seconds("retry-after") or _BLOCKED
    code = f" (error code {reading.code})" if reading.code is not None else ""
    reason = f"{reading.status} from Cloudflare{code}: this address is blocked for {wait:g} s"
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


def _limited(reading: Reading) -> Outcome:
    wait = _wait(reading)
    scope = "global" if _is_global(reading) else reading.header("x-ratelimit-scope")
    named = f" ({scope})" if scope in {"user", "shared", "global"} else ""
    reach = Reach.KIND if scope == "global" else Reach.LANE
    return Deferred(f"429 from Discord{named}: {wait:g} s", Cause.LIMITED, reach, wait)


def _is_global(reading: Reading) -> bool:
    headers = (reading.header("x-ratelimit-scope"), reading.header("x-ratelimit-global"))
    return reading.body.get("global") is True or headers[0] == "global" or headers[1] == "true"


def _is_discords(reading: Reading) -> bool:
    """A 429 with retry_after; or one whose body was lost but whose headers only Discord sends."""
    told = bounded(reading.body.get("retry_after")) is not None
    return told or bool(reading.header("x-ratelimit-scope") and reading.seconds("retry-after"))


def _wait(reading: Reading) -> float:
    """The larger of body and header; but a header that is the body rounded up to whole seconds adds nothing."""
    body, header = bounded(reading.body.get("retry_after")), reading.seconds("retry-after")
    if body and header is not None and header - body < 1:
        return body
    return max(body or 0.0, header or 0.0) or _SOME


def _failed(reading: Reading) -> Outcome:
    wait = reading.seconds("retry-after")
    return Deferred(f"{reading.status} from Discord", wait=wait, ambiguous=True)


def _given_up(reading: Reading) -> Outcome:
    return Deferred(f"{reading.status}: the request did not get through", wait=reading.seconds("retry-after"))


def _gone(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}", disable=True)


def _refused(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}")


def _not_discord(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} with a web page, not from Discord: is a proxy in between?")


def _too_large(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} from Discord: too large")


def _redirected(reading: Reading) -> Outcome:
    return Refused(f"{reading.status}: a redirect, which is never followed")


def _malformed(reading: Reading) -> Outcome:
    faults = [f"{path}: {words}" if path else words for path, words in _faults(reading.body.get("errors"))]
    told = f": {said('; '.join(faults), 300)}" if faults else reading.message
    return Refused(f"400 from Discord{told}")


def _faults(tree: object, path: str = "", depth: int = 12) -> Iterator[tuple[str, str]]:
    """Each path of a 50035 with its words; the tree's depth is the far end's, so it is bounded."""
    if not isinstance(tree, dict) or depth == 0:
        return
    errors = tree.get("_errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            yield path, str(error.get("message", ""))
    for step, below in tree.items():
        yield from _faults(below, f"{path}.{step}" if path else step, depth - 1)


_TWO: Final = range(200, 300)
_THREE: Final = range(300, 400)
_FOUR: Final = range(400, 500)
_FIVE: Final = range(500, 600)
_EVERY: Final = range(1000)

TABLE: Final = (
    Row(_TWO, None, _saved, _has_id),
    Row(_TWO, None, _unproved),
    Row(_EVERY, {40333}, _blocked),
    Row({403, 429}, range(1000, 1100), _blocked),
    Row({429}, None, _limited, _is_discords),
    Row({429}, None, _blocked),
    Row({408}, None, _given_up),
    Row(_FIVE, None, _failed),
    Row(_FOUR, None, _not_discord, lambda reading: reading.is_page),
    Row({401}, None, _gone),
    Row({404}, {10003}, _refused),
    Row({404}, None, _gone),
    Row({400}, {50035}, _malformed),
    Row({413}, None, _too_large),
    Row(_FOUR, {40005, 50045}, _too_large),
    Row(_THREE, None, _redirected),
    Row(_EVERY, None, _refused),
)
