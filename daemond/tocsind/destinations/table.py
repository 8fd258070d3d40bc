"""A table of answers: what each answer of a service means. The first row that fits decides.

A kind has rows of its own, and ends with `ANY_SERVICE`, which has a row for every answer. The makers below are the meanings; the first line
of a maker's docstring is its text in the documentation (`table_page`), so a row cannot say one thing and do another.

How a kind chooses a row:

    it proves that the message was saved            delivered
    it may have been saved, or not                  no_proof, failed
    it was not saved, and may be later              limited, failed_before, not_received, redirected
    the message is at fault                         rejected (once more in plain format), too_large, refused
    the destination is at fault, whatever is sent   gone (at once), strike (three in a row)
    a message cannot be edited any more             post_again
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Final, Generic, NamedTuple, TypeVar

from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown

from .rejections import Rejection
from .response import Response

R = TypeVar("R", bound=Response)
R_contra = TypeVar("R_contra", bound=Response, contravariant=True)  # so that a kind's table can end with `ANY_SERVICE`

TWO: Final = range(200, 300)
THREE: Final = range(300, 400)
FOUR: Final = range(400, 500)
FIVE: Final = range(500, 600)
EVERY: Final = range(1000)
IN_DOUBT: Final = frozenset({500, 502, 503, 504, *range(520, 530)})  # the request may have been processed


class Row(NamedTuple, Generic[R_contra]):
    """One row. `codes` None fits any code and no code; `says` is a regular expression in the service's words, in any case."""

    statuses: Container[int]
    codes: Container[int | str] | None
    outcome: Callable[[R_contra], Outcome | Rejection]
    fits: Callable[[R_contra], bool] | None = None
    says: str | None = None


def judge(response: R, *tables: tuple[Row[R], ...]) -> Outcome | Rejection:
    """What an answer means: for each delivery of the message, or a rejection that `rejections.verdicts` assigns."""
    return next(row.outcome(response) for table in tables for row in table if _applies(row, response))


def _applies(row: Row[R], response: R) -> bool:
    return (
        response.status in row.statuses
        and (row.codes is None or response.code in row.codes)
        and (row.fits is None or row.fits(response))
        and (row.says is None or re.search(row.says, response.words, re.IGNORECASE) is not None)
    )


def delivered(response: Response) -> Outcome:
    """Delivered"""
    return Delivered(response.proof)


def no_proof(response: Response) -> Outcome:
    """unknown: accepted, but nothing proves that it was saved"""
    return Unknown(f"{_from(response)} without a message id: it may have arrived")


def limited(reach: Reach) -> Callable[[Response], Outcome]:
    """A rate limit of the endpoint, the channel, or the whole server."""

    def found(response: Response) -> Outcome:
        wait = "" if response.wait is None else f": {response.wait:g} s"
        return Deferred(f"{_from(response)}{wait or response.said}", Cause.LIMITED, reach, response.wait)

    found.__doc__ = f"deferred: a limit of {_REACHES[reach]}"
    return found


def failed(response: Response) -> Outcome:
    """deferred, and it may have been saved"""
    return Deferred(_from(response), wait=response.seconds("retry-after"), ambiguous=True)


def failed_before(response: Response) -> Outcome:
    """Deferred"""
    return Deferred(_from(response), wait=response.seconds("retry-after"))


def not_received(response: Response) -> Outcome:
    """deferred: the request did not get through"""
    return Deferred(f"{response.status}: the request did not get through", wait=response.seconds("retry-after"))


def redirected(response: Response) -> Outcome:
    """deferred: a redirect, which is never followed"""
    return Deferred(
        f"{response.status}: a redirect, which is never followed; is a proxy or a captive portal in between?"
    )


def answered_between(response: Response) -> Outcome:
    """deferred: not the service's answer"""
    return Deferred(f"{response.status} {_between(response)}", wait=response.seconds("retry-after"))


def refused(response: Response) -> Outcome:
    """Refused"""
    return Refused(f"{_from(response)}{response.said}")


def gone(response: Response) -> Outcome:
    """refused, and the destination is disabled"""
    return Refused(f"{_from(response)}{response.said}", disable=True)


def strike(response: Response) -> Outcome:
    """refused, and a strike: three in a row disable the destination"""
    return Refused(f"{_from(response)}{response.said}", strike=True)


def rejected(response: Response) -> Rejection:
    """rejected: sent once more in plain format, then refused"""
    return Rejection(f"{_from(response)}{response.said}", service=response.service)


def content_blocked(response: Response) -> Rejection:
    """Rejected for its content, which no other format cures"""
    return Rejection(f"{_from(response)}{response.said}", curable=False, service=response.service)


def too_large(response: Response) -> Rejection:
    """rejected: too large"""
    return Rejection(f"{_from(response)}: too large", service=response.service)


def post_again(response: Response) -> Outcome:
    """It cannot be edited, and is posted again"""
    reason = f"{_from(response)}{response.said}: it cannot be edited, and is posted again"
    return Deferred(reason, Cause.TARGET_GONE)


def between(response: Response) -> bool:
    """Not the service's answer"""
    return not response.is_own


def taken_between(response: Response) -> Outcome:
    """deferred: not the service's answer; it may have been saved"""
    return Deferred(f"{response.status} {_between(response)}", ambiguous=True)


def _from(response: Response) -> str:
    return f"{response.status} from {response.service}"


def _between(response: Response) -> str:
    words = f"in words that are not {response.service}'s: is a proxy, a firewall or a captive portal in between?"
    return f"{words}{response.title}"


_REACHES: Final = {
    Reach.ENDPOINT: "this destination",
    Reach.CHANNEL: "all destinations that post there",
    Reach.KIND: "all destinations at this server",
}

ANY_SERVICE: Final[tuple[Row[Response], ...]] = (
    Row(TWO, None, taken_between, between),
    Row(TWO, None, delivered),
    Row({429}, None, limited(Reach.ENDPOINT)),
    Row({408, 425}, None, not_received),
    Row(IN_DOUBT, None, failed),
    Row(FIVE, None, failed_before),
    Row(THREE, None, redirected),
    Row({413}, None, too_large),
    Row(EVERY, None, answered_between, between),
    Row({401, 410}, None, gone),
    Row({403, 404}, None, strike),
    Row({400, 415, 422}, None, rejected),
    Row(EVERY, None, refused),
)
