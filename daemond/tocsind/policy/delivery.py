"""A delivery: one signal owed to one destination, and the table of what may become of it.

                                  .--- drop ---> dropped
                                  |--- its time passed ---> expired
      accepted ---> queued -------|--- destination gone, or given up ---> rerouted (a new delivery at the fallback)
                                  |--- too many, merged with others ---> digested (a new delivery tells them in sum)
                    ^  ^  |
          deferred  |  |  '-- attempt on record --> sending ---> sent
          unknown,  |  |                             |  |  '---> unknown (may have arrived; nobody can say)
          once more '--|-----------------------------'  '------> dead (refused, or given up; kept for a person)
                       '------------------- retry ----------------'

`sending` is written before the request leaves, so a crash leaves it behind, and the next start knows that it cannot know: the delivery
is queued again, in doubt. Doubt is for good: every later copy is marked. What is dead or unknown also goes to the fallback, because
"nobody can say" is no answer to the person who waits for the alert. LOW is the exception: in doubt, it counts as sent. What was digested
fares as its digest does: `digest` names it, and the message in which it was told.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from math import inf
from typing import Any

import msgspec

from tocsin.signals import PRIORITIES, Signal

from .backoff import Retry, backoff
from .live_message import Line, LiveMessage
from .outcomes import Cause, Deferred, Delivered, Outcome, Refused, Unknown


class Priority(IntEnum):
    """Most pressing first: a smaller number goes before a larger one."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @property
    def label(self) -> str:
        """The word that users write."""
        return PRIORITIES[self]


class State(Enum):
    """Where a delivery stands; the values are what the journal and `tocsin queue --state` call it."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"
    EXPIRED = "expired"
    REROUTED = "rerouted"
    DIGESTED = "digested"
    DROPPED = "dropped"


MAX_BATCH = 10  # in the largest message that is worth taking apart
OPEN = frozenset({State.QUEUED, State.SENDING})
SETTLED = frozenset(State) - OPEN


class Delivery(msgspec.Struct, frozen=True):
    """One signal owed to one destination, as the journal knows it. Times are Unix seconds on the steady clock, but for `accepted` and
    `tried`, which are on the wall clock as it stood at acceptance.
    """

    number: int  # the journal's, in order of acceptance: FIFO within a priority means by this
    signal: Signal
    destination: str
    priority: Priority
    accepted: float
    deadline: float | None = None  # from `expires`; after it the signal is never posted as live
    attempts: int = 0
    first_try: float | None = None
    maybe_duplicate: bool = False  # an earlier attempt may have arrived: the next copy says so
    unknown_count: int = 0  # attempts that ended unknown while we watched
    plain_format: bool = False  # its own form was refused: from now on it goes without links, fields and markup
    max_batch: int | None = None  # in a message of at most so many; forgotten over a restart, and found out again
    order: int = 0  # the journal's number of the signal: order of acceptance over all destinations
    update: LiveUpdate | None = None  # since it was claimed: what becomes of the living message of its key
    tried: float | None = None  # when the attempt that is under way began
    skew: float = 0.0  # steady clock minus wall clock, at acceptance

    @property
    def id(self) -> str:
        """The signal's id."""
        return self.signal.id

    @property
    def is_digest(self) -> bool:
        """Whether it tells others in sum: those stand before the first of their queue, and so do their numbers."""
        return self.number < 0


class LiveUpdate(msgspec.Struct, frozen=True):
    """What one attempt does with a living message. All deliveries that were claimed for it carry the same."""

    key: str
    about: str  # which far end the message is at: a new webhook under an old name begins afresh
    edits: str | None  # this message; None: post a new one
    then: LiveMessage  # what is known once it is told, but for the id of a new message
    message: Delivery  # whose state is shown: one that was claimed, or one that was told before
    is_repost: bool = False  # posted, although the key was told before

    @property
    def history(self) -> tuple[Line, ...]:
        """What came before the state that is shown."""
        return self.then.lines[:-1]


class Settlement(msgspec.Struct, frozen=True):
    """What follows from an attempt: the delivery's next state and why."""

    state: State
    reason: str | None = None
    message: str | None = None
    wait: float = 0.0  # seconds until the next try, when it is queued again
    maybe_duplicate: bool = False
    unknown_count: int = 0
    plain_format: bool = False
    max_batch: int | None = None
    copy_to_fallback: bool = False  # the fallback gets a copy as well
    repost: bool = False  # the message that it was to edit is not there any more


def settle(delivery: Delivery, outcome: Outcome, *, now: float, retry: Retry, jitter: float) -> Settlement:
    """The law on what an attempt's end means for its delivery. `now` is on the steady clock, `jitter` lies in [0, 1)."""
    match outcome:
        case Delivered(message=message):
            return _after(delivery, State.SENT, describe(delivery.update, delivery.order), message=message)
        case Refused(reason=reason, disable=True):
            # Not its fault: it stays queued, and the lane, disabled by the same outcome, sends its whole queue elsewhere.
            return _after(delivery, State.QUEUED, reason)
        case Refused(reason=reason):
            return _after(delivery, State.DEAD, reason, copy_to_fallback=True)
        case Unknown(reason=reason):
            return _after_unknown(delivery, reason, retry, jitter)
    return _after_deferral(delivery, outcome, now, retry, jitter)


def _after_deferral(delivery: Delivery, outcome: Deferred, now: float, retry: Retry, jitter: float) -> Settlement:
    match outcome.cause:
        case Cause.FAILED:
            return _after_failure(delivery, outcome, now, retry, jitter)
        case Cause.BATCH_REJECTED:
            return _after(delivery, State.QUEUED, outcome.reason, max_batch=halved(delivery.max_batch))
        case Cause.FORMAT:
            return _after(delivery, State.QUEUED, outcome.reason, plain_format=True, max_batch=1)
        case Cause.TARGET_GONE:
            return _after(delivery, State.QUEUED, outcome.reason, repost=True)
        case _:  # LIMITED: the gate waits, and it stays at the head of the line; INNOCENT: so does it without any wait
            return _after(delivery, State.QUEUED, outcome.reason)


def _after(delivery: Delivery, state: State, reason: str | None = None, **changes: Any) -> Settlement:
    """What is known of the delivery, and what has changed."""
    known = {
        name: getattr(delivery, name) for name in ("maybe_duplicate", "unknown_count", "plain_format", "max_batch")
    }
    return Settlement(state, reason, **(known | changes))


def _after_unknown(delivery: Delivery, reason: str, retry: Retry, jitter: float) -> Settlement:
    doubtful = {"maybe_duplicate": True, "unknown_count": delivery.unknown_count + 1}
    if delivery.priority is Priority.LOW:
        return _after(delivery, State.UNKNOWN, reason, **doubtful)
    if delivery.unknown_count:
        return _after(delivery, State.UNKNOWN, reason, **doubtful, copy_to_fallback=True)
    return _after(delivery, State.QUEUED, reason, **doubtful, wait=backoff(retry, delivery.attempts, jitter))


def _after_failure(delivery: Delivery, outcome: Deferred, now: float, retry: Retry, jitter: float) -> Settlement:
    doubt = delivery.maybe_duplicate or outcome.ambiguous
    reason = f"{outcome.reason}: it may have arrived" if outcome.ambiguous else outcome.reason
    first_try = now if delivery.first_try is None else delivery.first_try
    if now - first_try >= retry.give_up:
        return _after(delivery, State.DEAD, f"given up: {reason}", maybe_duplicate=doubt, copy_to_fallback=True)
    # A failing far end may ask for patience, but not for more than there is.
    asked = min(outcome.wait or 0.0, first_try + retry.give_up - now)
    wait = max(backoff(retry, delivery.attempts, jitter), asked)
    company = halved(delivery.max_batch) if delivery.attempts > 1 else delivery.max_batch
    return _after(delivery, State.QUEUED, reason, wait=wait, maybe_duplicate=doubt, max_batch=company)


def halved(max_batch: int | None) -> int:
    """The next smaller company to travel in."""
    return max(1, (MAX_BATCH if max_batch is None else max_batch) // 2)


def describe(update: LiveUpdate | None, order: int) -> str | None:
    """How a state was told, for people who ask why; None when there is nothing to say beyond that it was."""
    if update is None:
        return None
    how = "edited in place" if update.edits else "posted anew" if update.is_repost else None
    if update.message.order == order:
        return how
    return f"told together with {update.message.id}, which came later" + (f": {how}" if how else "")


def expired(delivery: Delivery, now: float) -> bool:
    """Whether the deadline has passed at `now`, on the steady clock."""
    return now >= (inf if delivery.deadline is None else delivery.deadline)
