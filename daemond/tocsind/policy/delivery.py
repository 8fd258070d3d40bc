"""A delivery: one signal owed to one destination, and the table of its next states.

                                  .--- drop ---> dropped
                                  |--- deadline passed ---> expired
                                  |--- a silence matches ---> silenced (at once, where one is in force at acceptance)
      accepted ---> queued -------|--- destination gone, or given up ---> rerouted (a new delivery at the fallback)
                                  |--- too many wait ---> digested (the delivery of the digest replaces it)
                    ^  ^  |
          deferred  |  |  '-- attempt on record --> sending ---> sent
          unknown,  |  |                             |  |  '---> unknown (it may have arrived)
          once more '--|-----------------------------'  '------> dead (refused, or given up; kept for the operator)
                       '------------------- retry ----------------'

The journal has `sending` before the request leaves. So after a crash the state shows that the delivery may have arrived: the next start
queues it again, marked as a possible duplicate. The mark stays for good: every later copy carries it. A dead or unknown delivery also goes
to the fallback, because "it may have arrived" is no answer for the recipient of an alert. LOW is the exception: an unknown one counts as
sent. A digested delivery ends as its digest does: `digest` names it, and the message that carried it.

Time has states of its own (`quiet`, `story`, `repeat`). No attempt sees a held delivery; its deadline runs on, and the operator may
drop it:

      accepted, queued --- quiet hours ---> held --- they end ---> digested, or queued where a live message shows its key
      accepted --- delay of its route ---> held --- it is over ---> queued; superseded if the story of its key has ended
      sent --- not acknowledged in time ---> queued, as a repetition
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
    """The most urgent first: a smaller number is sent before a larger one."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @property
    def label(self) -> str:
        """The word that users write."""
        return PRIORITIES[self]


class State(Enum):
    """The state of a delivery. The values are the words in the journal and of `tocsin queue --state`."""

    HELD = "held"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"
    EXPIRED = "expired"
    REROUTED = "rerouted"
    DIGESTED = "digested"
    DROPPED = "dropped"
    SILENCED = "silenced"
    SUPERSEDED = "superseded"


ANSWERED_LATE = "its time had passed when the answer came"
MAX_BATCH = 10  # deliveries; the batch size from which halving starts
OPEN = frozenset({State.HELD, State.QUEUED, State.SENDING})
SETTLED = frozenset(State) - OPEN


class Delivery(msgspec.Struct, frozen=True):
    """One signal owed to one destination, as the journal has it.

    Times are Unix seconds on the steady clock. `accepted` and `tried` are on the wall clock as it was at acceptance.
    """

    number: int  # the journal's number, in order of acceptance: FIFO within a priority goes by it
    signal: Signal
    destination: str
    priority: Priority
    accepted: float
    deadline: float | None = None  # from `expires`; after it the signal is never posted as live
    attempts: int = 0
    first_try: float | None = None
    maybe_duplicate: bool = False  # an earlier attempt may have arrived; the next copy says so
    unknown_count: int = 0  # attempts that ended unknown while the daemon ran
    plain_format: bool = False  # the server refused its format: from now on it is sent without links, fields and markup
    max_batch: int | None = None  # the largest batch that it may join; not kept over a restart, but learned again
    order: int = 0  # the journal's number of the signal: order of acceptance over all destinations
    update: LiveUpdate | None = None  # set by the claim: the update of the live message of its key
    tried: float | None = None  # when the attempt in flight began
    skew: float = 0.0  # steady clock minus wall clock, at acceptance
    released: float | None = None  # when it was queued after it had been held: it has waited since then only
    repeats: int = 0  # how often it was posted again (`repeat`)
    retries: int = 0  # how often an operator requeued it after other hosts knew that it had ended

    @property
    def id(self) -> str:
        """The signal's id."""
        return self.signal.id

    @property
    def waits_since(self) -> float:
        """Since when it could be sent: from acceptance on, or from the end of its hold."""
        return self.accepted + self.skew if self.released is None else self.released

    @property
    def is_digest(self) -> bool:
        """Whether it is the delivery of a digest. Digests precede all others of their queue, so their numbers are negative."""
        return self.number < 0


class LiveUpdate(msgspec.Struct, frozen=True):
    """What one attempt does with a live message. All deliveries that were claimed for it carry the same object."""

    key: str
    about: str  # hash of the webhook that holds the message: a new webhook under an old name starts a new message
    edits: str | None  # id of the message to edit; None: post a new one
    then: LiveMessage  # what is known after success, without the id of a new message
    message: Delivery  # the delivery whose state is shown: a claimed one, or one that was shown before
    is_repost: bool = False  # the key had a message before

    @property
    def history(self) -> tuple[Line, ...]:
        """The earlier states that the message shows."""
        return self.then.lines[:-1]


class Settlement(msgspec.Struct, frozen=True):
    """The result of an attempt: the delivery's next state and why."""

    state: State
    reason: str | None = None
    message: str | None = None
    wait: float = 0.0  # seconds until the next attempt, if it is queued again
    maybe_duplicate: bool = False
    unknown_count: int = 0
    plain_format: bool = False
    max_batch: int | None = None
    copy_to_fallback: bool = False  # the fallback gets a copy as well
    repost: bool = False  # the message that it was to edit is gone


def settle(delivery: Delivery, outcome: Outcome, *, now: float, retry: Retry, jitter: float) -> Settlement:
    """The result of an attempt with this outcome. `now` is on the steady clock, `jitter` lies in [0, 1)."""
    match outcome:
        case Delivered(message=message, but=but):
            late = ANSWERED_LATE if expired(delivery, now) else None
            reason = "; ".join(filter(None, (describe(delivery.update, delivery.order), but, late))) or None
            return _after(delivery, State.SENT, reason, message=message)
        case Refused(reason=reason, disable=True):
            # The alert is not at fault. It stays queued; the same outcome disables the lane, which reroutes its whole queue.
            return _after(delivery, State.QUEUED, reason)
        case Refused(reason=reason):
            return _after(delivery, State.DEAD, reason, copy_to_fallback=True)
        case Unknown(reason=reason):
            return _after_unknown(delivery, reason, retry, jitter)
    return _after_deferral(delivery, outcome, now, retry, jitter)


def _after_deferral(delivery: Delivery, outcome: Deferred, now: float, retry: Retry, jitter: float) -> Settlement:
    match outcome.cause:
        case Cause.FAILED | Cause.PARTLY:
            return _after_failure(delivery, outcome, now, retry, jitter)
        case Cause.BATCH_REJECTED:
            return _after(delivery, State.QUEUED, outcome.reason, max_batch=halved(delivery.max_batch))
        case Cause.FORMAT:
            return _after(delivery, State.QUEUED, outcome.reason, plain_format=True, max_batch=1)
        case Cause.TARGET_GONE:
            return _after(delivery, State.QUEUED, outcome.reason, repost=True)
        case _:  # LIMITED: the limiter waits, and the delivery stays first in the queue; BATCH_MATE: it is sent again without a wait
            return _after(delivery, State.QUEUED, outcome.reason)


def _after(delivery: Delivery, state: State, reason: str | None = None, **changes: Any) -> Settlement:
    """The known facts of the delivery, with changes."""
    known = {
        name: getattr(delivery, name) for name in ("maybe_duplicate", "unknown_count", "plain_format", "max_batch")
    }
    return Settlement(state, reason, **(known | changes))


def _after_unknown(delivery: Delivery, reason: str, retry: Retry, jitter: float) -> Settlement:
    ambiguous = {"maybe_duplicate": True, "unknown_count": delivery.unknown_count + 1}
    if delivery.priority is Priority.LOW:
        return _after(delivery, State.UNKNOWN, reason, **ambiguous)
    if delivery.unknown_count:
        return _after(delivery, State.UNKNOWN, reason, **ambiguous, copy_to_fallback=True)
    return _after(delivery, State.QUEUED, reason, **ambiguous, wait=backoff(retry, delivery.attempts, jitter))


def _after_failure(delivery: Delivery, outcome: Deferred, now: float, retry: Retry, jitter: float) -> Settlement:
    doubt = delivery.maybe_duplicate or outcome.ambiguous
    reason = f"{outcome.reason}: it may have arrived" if outcome.ambiguous else outcome.reason
    first_try = now if delivery.first_try is None else delivery.first_try
    if now - first_try >= retry.give_up:
        return _after(delivery, State.DEAD, f"given up: {reason}", maybe_duplicate=doubt, copy_to_fallback=True)
    # A failing server may ask for a wait, but not beyond the time at which the delivery is given up.
    requested = min(outcome.wait or 0.0, first_try + retry.give_up - now)
    wait = max(backoff(retry, delivery.attempts, jitter), requested)
    max_batch = halved(delivery.max_batch) if delivery.attempts > 1 else delivery.max_batch
    return _after(delivery, State.QUEUED, reason, wait=wait, maybe_duplicate=doubt, max_batch=max_batch)


def halved(max_batch: int | None) -> int:
    """The next smaller batch size."""
    return max(1, (MAX_BATCH if max_batch is None else max_batch) // 2)


def describe(update: LiveUpdate | None, order: int) -> str | None:
    """How a state was shown, as text for `why`; None for a message of its own."""
    if update is None:
        return None
    how = "edited in place" if update.edits else "posted again" if update.is_repost else None
    if update.message.order == order:
        return how
    return f"shown together with {update.message.id}, which came later" + (f": {how}" if how else "")


def expired(delivery: Delivery, now: float) -> bool:
    """Whether the deadline has passed at `now`, on the steady clock."""
    return now >= (inf if delivery.deadline is None else delivery.deadline)
