"""How an attempt can end. A destination returns one of these for each delivery it was given; it never raises for what will happen.

Four words, because four different things follow: it arrived; it did not and may later; it never will; nobody can say. Beside them a
report carries what the answer told about pace, because that is true of the request and not of any one delivery in it.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Cause(Enum):
    """Whose doing a deferral is: only failures feed the breaker; the others are answers from a healthy far end."""

    FAILED = "failed"  # theirs
    LIMITED = "limited"  # a rate limit
    BATCH_REJECTED = (
        "batch-rejected"  # another delivery in the same message, or their number: it goes again, in smaller company
    )
    BATCH_MATE = "batch-mate"  # a culprit in the same message was named, and it was another one
    TARGET_GONE = "target-gone"  # the message that was to be edited is gone, or closed to edits: it is told anew
    FORMAT = "format"  # its own form was not taken: it goes once more in plain form, and alone


class Reach(Enum):
    """How far a rate limit reaches, from the inside out."""

    DELIVERY = "delivery"  # this one only; the breaker decides about the lane
    ENDPOINT = "endpoint"  # the webhook
    CHANNEL = "channel"  # every destination that posts there
    KIND = "kind"  # every destination of the same kind: the far end blocks us as a whole


class Delivered(msgspec.Struct, frozen=True, tag=True):
    """It arrived: `message` is the far end's own id for it."""

    message: str | None = None


class Deferred(msgspec.Struct, frozen=True, tag=True):
    """Not now. `wait` is the far end's own wish in seconds, when it told one; `ambiguous` admits that it may have been saved; `unsent`
    means that the request never reached the far end, which therefore did not count it.
    """

    reason: str
    cause: Cause = Cause.FAILED
    reach: Reach = Reach.DELIVERY
    wait: float | None = None
    ambiguous: bool = False
    unsent: bool = False


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Never, as it is. `disable` means that the destination itself is gone: nothing else will pass either. `strike` is a refusal that
    says so only when it comes several times in a row. `named`: the far end named a part of this very alert as what is wrong.
    """

    reason: str
    disable: bool = False
    strike: bool = False
    named: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """The request left, no answer came: it may have arrived, and no one can find out."""

    reason: str


Outcome = Delivered | Deferred | Refused | Unknown


def is_unsent(outcome: Outcome | None) -> bool:
    """Whether the request never reached the far end."""
    return isinstance(outcome, Deferred) and outcome.unsent


class RateHeaders(msgspec.Struct, frozen=True):
    """What an answer's headers say of the endpoint's own window: so many a window, so many left, `reset_after` seconds until there
    are more.
    """

    limit: int
    remaining: int
    reset_after: float


class Report(msgspec.Struct, frozen=True):
    """How one request ended: an outcome for each delivery in it, in order; what it told of pace; whether it counts against us
    (`invalid`: 401, 403, and 429 that is ours, which Cloudflare holds against an address); and a `note` that people should read once.
    """

    outcomes: tuple[Outcome, ...]
    rate_headers: RateHeaders | None = None
    invalid: bool = False
    note: str | None = None

    @property
    def reached(self) -> bool:
        """Whether the request may have reached the far end."""
        return not all(is_unsent(outcome) for outcome in self.outcomes)


class ChannelInfo(msgspec.Struct, frozen=True):
    """What a destination found out about where it leads: the channel it shares with others, when there is one; and when that could not
    be asked, or it leads nowhere, the answer that says so.
    """

    channel: str | None = None
    problem: Deferred | Refused | Unknown | None = None
    invalid: bool = False
    answered: bool = False  # the far end said so itself: it works, as far as a question can tell
