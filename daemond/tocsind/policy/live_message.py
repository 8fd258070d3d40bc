"""A live message: one message at a destination shows all signals of one key and is edited in place.

      the first state of a key ----------> post: this is the live message
      a later one -----------------------> edit: it shows that state, and the earlier ones as its history
      one that must notify (URGENT) -----> post again: an edit notifies no one. The new message is the live one, the old one stays as it is
      the first state of a new story ----> post: the story before it has ended (`story`), and its message stays as it is
      the message is gone, or closed ----> post again, at the next turn
      several that wait -----------------> one request: it shows the last of them, the others are its history
      one that comes late ---------------> a line of the history, never the state shown: that is the last *accepted* one, whatever its
                                           priority, and however long an earlier one had to wait

The order is the order of acceptance: the journal's number of the signal. It is the same at every destination, so a state that arrives by a
fallback or by `retry` gets its place.

What an edit is differs by kind (`Editing`). Where it notifies readers, an urgent state edits as well. Where it is a message of its own in
the thread of the first one, it may be ambiguous as a post is.

An edit in place is never ambiguous: made twice, it shows the same. So an edit without an answer is repeated, and only a post may leave a
second copy. That doubt belongs to the message: each edit keeps the mark "possible duplicate", a message that is posted again has none.

A live message belongs to a key at a destination. Another destination has a message of its own. A destination that cannot edit (file) gets
each state as if it had no key. No other alert shares a live message. A key that has a message is never digested, because the message would
go on showing an old state. All states of a key cost one request, however many wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

from .outcomes import Deferred, Outcome, Unknown

MAX_LINES = 6  # the state shown and five before it: a history that is longer than the alert is not read


class Editing(Enum):
    """What a destination can do with a message that it sent."""

    NONE = "none"  # nothing: each state is a message of its own
    SILENT = "silent"  # edit it in place; no reader is notified (Discord, Telegram, Slack's bots)
    LOUD = "loud"  # replace it; readers are notified again (ntfy)
    THREAD = "thread"  # answer it: each state is a new message in one thread (e-mail)
    STATE = "state"  # change the state of an incident, which notifies by rules of its own (PagerDuty)

    @property
    def notifies(self) -> bool:
        """Whether readers notice an edit."""
        return self is not Editing.SILENT

    @property
    def leaves_copy(self) -> bool:
        """Whether an edit that is made twice shows twice."""
        return self is Editing.THREAD


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A state of a key: the order of acceptance, the time (wall-clock seconds), and the text."""

    order: int
    at: float
    title: str
    price: float | None = None


class LiveMessage(msgspec.Struct, frozen=True):
    """What is known of a key at a destination: the id of its message, and the states that it shows, the last one last."""

    message: str | None = None  # None: the next state is posted
    lines: tuple[Line, ...] = ()
    earlier: int = 0  # number of states before those
    maybe_duplicate: bool = False  # a second copy of the message may exist


def plan_update(
    known: LiveMessage, states: Sequence[Line], *, wakes: bool, doubt: bool
) -> tuple[str | None, LiveMessage]:
    """The message to edit (None: post), and what is known after the update.

    `states` are the states to show now, at least one. `wakes`: the message must notify. `doubt`: one of them may have been posted before.
    """
    lines = sorted({line.order: line for line in (*known.lines, *states)}.values(), key=lambda line: line.order)
    kept = tuple(lines[-MAX_LINES:])
    edits = None if wakes else known.message
    maybe_duplicate = doubt or (edits is not None and known.maybe_duplicate)  # a new message is no copy of an old one
    return edits, LiveMessage(edits, kept, known.earlier + len(lines) - len(kept), maybe_duplicate)


def of_edit(outcome: Outcome) -> Outcome:
    """The outcome of an edit in place: it can be repeated, so it is never ambiguous."""
    return unambiguous(outcome, "an edit can be made again")


def unambiguous(outcome: Outcome, why: str) -> Outcome:
    """The outcome of a request that leaves no copy when it is repeated, and `why`."""
    match outcome:
        case Unknown(reason=reason):
            return Deferred(f"{reason}; {why}")
        case Deferred():
            return msgspec.structs.replace(outcome, ambiguous=False)
    return outcome
