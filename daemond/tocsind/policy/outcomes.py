"""How an attempt ended. A destination returns one outcome for each delivery of a batch; it never raises for a failure that is to be
expected.

There are four, because four different actions follow: it arrived; it did not, and may later; it never will; it may have arrived. A report
also carries what the response said about pace, because that belongs to the request and not to one delivery.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Cause(Enum):
    """Why a delivery is deferred. Only FAILED counts for the breaker; the others are responses of a healthy server."""

    FAILED = "failed"  # the server or the network failed
    LIMITED = "limited"  # a rate limit
    BATCH_REJECTED = (
        "batch-rejected"  # another delivery of the batch is at fault, or their number: send it again in a smaller batch
    )
    BATCH_MATE = "batch-mate"  # the server named another delivery of the batch as the faulty one
    TARGET_GONE = "target-gone"  # the message to be edited is gone, or closed to edits: post it again
    PARTLY = "partly"  # some recipients have it; the others are tried again, later
    FORMAT = "format"  # the server refused its format: send it once more in plain format, and alone


class Reach(Enum):
    """What a rate limit applies to, the narrowest first."""

    DELIVERY = "delivery"  # this delivery only; the breaker decides about the lane
    ENDPOINT = "endpoint"  # the webhook
    CHANNEL = "channel"  # every destination that posts there
    KIND = "kind"  # every destination at the same server: it blocks this host


class Delivered(msgspec.Struct, frozen=True, tag=True):
    """It arrived. `message` is the server's id for it. `but`: what of it did not arrive, for people."""

    message: str | None = None
    but: str | None = None


class Deferred(msgspec.Struct, frozen=True, tag=True):
    """It did not arrive now.

    `wait`: seconds that the server asked for, if it did. `ambiguous`: the server may have saved it. `unsent`: the request never reached the
    server, so the server did not count it.
    """

    reason: str
    cause: Cause = Cause.FAILED
    reach: Reach = Reach.DELIVERY
    wait: float | None = None
    ambiguous: bool = False
    unsent: bool = False


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It will never arrive as it is.

    `disable`: the destination itself is gone, so every request will be refused. `strike`: a refusal that means the same once it comes
    several times in a row. `named`: the server named a part of this alert as the fault.
    """

    reason: str
    disable: bool = False
    strike: bool = False
    named: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """The request left and no response came: it may have arrived."""

    reason: str


Outcome = Delivered | Deferred | Refused | Unknown


def is_unsent(outcome: Outcome | None) -> bool:
    """Whether the request never reached the server."""
    return isinstance(outcome, Deferred) and outcome.unsent


class RateHeaders(msgspec.Struct, frozen=True):
    """What the response headers say of the webhook's window: its size, the requests that remain, and seconds until it resets."""

    limit: int
    remaining: int
    reset_after: float


class Report(msgspec.Struct, frozen=True):
    """How one request ended: an outcome for each delivery of its batch, in order, and what the response said about pace.

    `invalid`: it counts against this host's address (Cloudflare counts 401, 403, and 429 for our own limits). `note`: text for the
    operator, logged once and shown in `status`; an empty text takes back the last one. `is_problem`: people must
    know of it, because alerts arrive only in part.
    """

    outcomes: tuple[Outcome, ...]
    rate_headers: RateHeaders | None = None
    invalid: bool = False
    note: str | None = None
    is_problem: bool = False

    @property
    def reached(self) -> bool:
        """Whether the request may have reached the server."""
        return not all(is_unsent(outcome) for outcome in self.outcomes)


class ChannelInfo(msgspec.Struct, frozen=True):
    """What a destination found out about its channel, which it may share with other destinations.

    `problem` is the outcome when the query failed, or when the webhook does not exist. `shows` is what people learn of an answer.
    """

    channel: str | None = None
    problem: Deferred | Refused | Unknown | None = None
    invalid: bool = False
    answered: bool = False  # the server answered the query: it works, as far as a query can show
    shows: str = ""
