"""Events of delivery: outcomes of deliveries, and changes of a lane's state.

`origin` is the host that accepted the signal, where hosts share the destination and it was another one; `by` is the one that sent it.
"""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class Sent(Event, frozen=True):
    """A delivery arrived. `seconds` is the age of the signal on arrival."""

    level: ClassVar[str] = "debug"
    id: str
    destination: str
    attempts: int
    seconds: float
    message: str | None = None
    reason: str | None = None  # of a live message: how the signal was shown
    origin: str | None = None
    by: str | None = None


class Edited(Event, frozen=True):
    """A live message was edited. It shows the state of the signal `id`; the edit settled so many deliveries."""

    level: ClassVar[str] = "debug"
    id: str
    destination: str
    key: str
    message: str
    deliveries: int


class Ambiguous(Event, frozen=True, omit_defaults=True):
    """A request ended without an answer, so the delivery may have arrived. It is not sent to this destination again."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    reason: str
    origin: str | None = None


class Deferred(Event, frozen=True):
    """An attempt failed. The next one follows in `wait` seconds."""

    id: str
    destination: str
    attempts: int
    wait: float
    reason: str


class Dead(Event, frozen=True, omit_defaults=True):
    """A delivery is dead: no further attempt follows, and the journal keeps it for the operator."""

    level: ClassVar[str] = "error"
    id: str
    destination: str
    reason: str
    origin: str | None = None


class Expired(Event, frozen=True, omit_defaults=True):
    """A delivery's deadline passed before it was sent."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    origin: str | None = None


class Rerouted(Event, frozen=True):
    """A delivery moved to the fallback."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    fallback: str
    reason: str


class Digested(Event, frozen=True):
    """More deliveries wait than can be sent in time: the digest `id` replaces so many of the oldest ones."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    priority: str
    deliveries: int


class Held(Event, frozen=True):
    """Quiet hours or the delay of a route hold a delivery back."""

    level: ClassVar[str] = "debug"
    id: str
    destination: str
    reason: str


class Released(Event, frozen=True):
    """The delay of a route is over: the delivery is queued, or quiet hours hold it now."""

    level: ClassVar[str] = "debug"
    id: str
    destination: str


class QuietEnded(Event, frozen=True):
    """Quiet hours have ended at a destination: the digest `id` stands for so many signals."""

    id: str
    destination: str
    signals: int


class Superseded(Event, frozen=True):
    """The story of a signal's key ended while the delay of its route held it: only the end is sent."""

    level: ClassVar[str] = "debug"
    id: str


class Repeated(Event, frozen=True):
    """A signal that is not acknowledged is posted again, for the `repeats`-th time."""

    id: str
    destination: str
    repeats: int


class Unacknowledged(Event, frozen=True):
    """All repetitions of a signal are used up. The fallback gets the signal once; None: no fallback is left."""

    level: ClassVar[str] = "warning"
    id: str
    destination: str
    repeats: int
    fallback: str | None


class OrphansRequeued(Event, frozen=True):
    """A destination was removed from the configuration. The routes assigned its deliveries to other destinations."""

    level: ClassVar[str] = "warning"
    destination: str
    deliveries: int


class RateLimited(Event, frozen=True):
    """A lane waits for `seconds` because of a rate limit that the remote server reported."""

    destination: str
    reason: str
    seconds: float


class DestinationNote(Event, frozen=True):
    """A response shows a lasting fact about a destination that the operator should know. Deliveries continue.

    `is_problem`: alerts arrive only in part, from now on.
    """

    level: ClassVar[str] = "warning"
    destination: str
    note: str
    is_problem: bool = False


class BreakerOpened(Event, frozen=True):
    """A lane's circuit breaker opened after too many failures in a row. No request leaves for `rest` seconds."""

    level: ClassVar[str] = "warning"
    destination: str
    reason: str
    rest: float


class ProbeFailed(Event, frozen=True):
    """The one delivery that the open breaker let through failed. The next probe follows after `rest` seconds."""

    level: ClassVar[str] = "warning"
    destination: str
    reason: str
    rest: float


class Recovered(Event, frozen=True):
    """A lane's circuit breaker closed: requests succeed again."""

    destination: str


class Disabled(Event, frozen=True):
    """A destination is out of service until an operator enables it. Its deliveries move to the fallback."""

    level: ClassVar[str] = "error"
    destination: str
    reason: str


class Enabled(Event, frozen=True):
    """An operator enabled a destination."""

    destination: str
