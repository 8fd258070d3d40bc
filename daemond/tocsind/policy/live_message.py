"""A living message: the signals of one key at one destination show in one message, edited in place.

      a key's first state -------------> post: it becomes the living message
      a later one ---------------------> edit: it shows that state, and those before it as its history
      one that wakes people (URGENT) --> post anew: nobody is notified of an edit. The new message lives on, the old one stays as it is
      the message is gone, or closed --> post anew, at the next turn
      several that wait ---------------> one request: the last of them is shown, the others are its history
      one that comes late -------------> a line of the history, never the state: what is shown is the last *accepted*, whatever its
                                         priority, and however long an earlier one had to wait for its turn

Order is the order of acceptance: the number that the journal gave the signal. It is the same at every destination, so what comes by a
fallback, or is put back by hand, finds its place.

Why an edit leaves no doubt: made twice it shows the same. So an edit whose answer was lost is simply made again, and only a post may
have left a copy. That doubt stays with the message: while it is edited it goes on saying that it may have a double, and one that is
posted anew does not.

What shares a message is a key at a destination, and nothing else: another destination has a message of its own, and one that cannot edit
(a file) is told each state as if it had no key. A living message carries nobody else's alert. One whose key has a message is never told
in a digest, because the message would go on showing what is no longer so; but all states of a key cost one request, however many wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .outcomes import Deferred, Outcome, Unknown

MAX_LINES = 6  # the state that is shown and five before it: a history that is longer than the alert is read by nobody


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A state that a key was in: its place in the order of acceptance, when it was (wall-clock seconds), and what was said."""

    order: int
    at: float
    title: str
    price: float | None = None


class LiveMessage(msgspec.Struct, frozen=True):
    """What is known of a key at a destination: the message that shows it, and what it was told, the last last."""

    message: str | None = None  # None: the next state is posted
    lines: tuple[Line, ...] = ()
    earlier: int = 0  # states before those
    maybe_duplicate: bool = False  # another copy of it may stand somewhere


def plan_update(
    known: LiveMessage, states: Sequence[Line], *, wakes: bool, doubt: bool
) -> tuple[str | None, LiveMessage]:
    """Which message to edit (None: post), and what is known then. `states` are told now, at least one; `wakes`: people are to be notified.

    `doubt`: one of them may have been posted before.
    """
    lines = sorted({line.order: line for line in (*known.lines, *states)}.values(), key=lambda line: line.order)
    kept = tuple(lines[-MAX_LINES:])
    edits = None if wakes else known.message
    copied = doubt or (edits is not None and known.maybe_duplicate)  # a new message has no double of an old one
    return edits, LiveMessage(edits, kept, known.earlier + len(lines) - len(kept), copied)


def of_edit(outcome: Outcome) -> Outcome:
    """What the end of an edit means: it may be made again, so nothing about it is ambiguous."""
    match outcome:
        case Unknown(reason=reason):
            return Deferred(f"{reason}; an edit can be made again")
        case Deferred():
            return msgspec.structs.replace(outcome, ambiguous=False)
    return outcome
