"""How an attempt can end. A destination returns one of these for each delivery it was given; it never raises for what will happen.

Four words, because four different things follow: it arrived; it did not and may later; it never will; nobody can say.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Cause(Enum):
    """Whose doing a deferral is: only failures feed the breaker, a rate limit is an answer from a healthy far end."""

    FAILED = "failed"
    LIMITED = "limited"


class Reach(Enum):
    """How far a deferral's wait reaches."""

    DELIVERY = "delivery"  # this one only; the breaker decides about the lane
    LANE = "lane"  # the lane's gate closes
    KIND = "kind"  # every lane of the same kind: the far end blocks us as a whole


class Delivered(msgspec.Struct, frozen=True, tag=True):
    """It arrived: `message` is the far end's own id for it. `pause` is how many seconds the far end asks the lane to rest now."""

    message: str | None = None
    pause: float = 0.0


class Deferred(msgspec.Struct, frozen=True, tag=True):
    """Not now. `wait` is the far end's own wish in seconds, when it told one; `ambiguous` admits that it may have been saved."""

    reason: str
    cause: Cause = Cause.FAILED
    reach: Reach = Reach.DELIVERY
    wait: float | None = None
    ambiguous: bool = False


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Never, as it is. `disable` means that the destination itself is gone: nothing else will pass either."""

    reason: str
    disable: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """The request left, no answer came: it may have arrived, and no one can find out."""

    reason: str


Outcome = Delivered | Deferred | Refused | Unknown
