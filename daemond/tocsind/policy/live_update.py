"""One update of a live message and the deliveries that it settles (see `live_message`)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .delivery import Delivery, LiveUpdate, Priority, Settlement, State
from .live_message import Editing, Line, LiveMessage, plan_update
from .story import ends_story

SHOWN = frozenset({State.SENT, State.UNKNOWN})  # an UNKNOWN one may have been shown, and is not sent again


def build(
    key: str,
    about: str,
    known: LiveMessage,
    before: Delivery | None,
    claimed: Sequence[Delivery],
    *,
    editing: Editing = Editing.SILENT,
) -> list[Delivery]:
    """The claimed deliveries of a key (at least one), in order of acceptance, each with the update. `before` is the delivery shown so
    far.
    """
    states = sorted(claimed, key=lambda delivery: delivery.order)
    if before is not None and _is_new_story(before, states):
        known, before = LiveMessage(), None
    edits, then = plan_update(
        known,
        [line(delivery) for delivery in states],
        wakes=any(delivery.repeats > 0 for delivery in states)
        or (not editing.notifies and any(delivery.priority is Priority.URGENT for delivery in states)),
        doubt=any(delivery.maybe_duplicate for delivery in states),
    )
    shown = states[-1] if before is None or before.order < states[-1].order else before
    is_repost = edits is None and bool(known.lines)
    update = LiveUpdate(
        key, about, edits, then, msgspec.structs.replace(shown, maybe_duplicate=then.maybe_duplicate), is_repost
    )
    return [msgspec.structs.replace(delivery, update=update) for delivery in states]


def _is_new_story(before: Delivery, states: Sequence[Delivery]) -> bool:
    """Whether the message told a story that has ended, and one of `states` (at least one) begins another."""
    return ends_story(before.signal) and any(
        state.order > before.order and not ends_story(state.signal) for state in states
    )


def after(batch: Sequence[Delivery], settlements: Sequence[Settlement]) -> LiveMessage | None:
    """What is known of the key after an attempt; None when nothing changed.

    After a post that ended unknown there may be a message, but none that can be edited. A delivery that waits again leaves no line.
    """
    update = batch[0].update
    ended = [settlement for settlement in settlements if settlement.state in SHOWN]
    if update is None or not ended:
        return None
    then, both = update.then, zip(batch, settlements, strict=True)
    waits = {delivery.order for delivery, settlement in both if settlement.state not in SHOWN}
    lines = tuple(each for each in then.lines if each.order not in waits)
    cut_off = len(waits) - (len(then.lines) - len(lines))  # of the waiting ones
    return LiveMessage(
        next((settlement.message for settlement in ended if settlement.message), None),
        lines,
        then.earlier - cut_off,
        then.maybe_duplicate or any(settlement.state is State.UNKNOWN for settlement in ended),
    )


def is_message_gone(settlements: Sequence[Settlement]) -> bool:
    """Whether the message that was to be edited is gone."""
    return any(settlement.repost for settlement in settlements)


def line(delivery: Delivery) -> Line:
    """A delivery as a state of its key."""
    signal = delivery.signal
    at = delivery.accepted if signal.timestamp is None else signal.timestamp
    return Line(delivery.order, at, signal.title, signal.price)
