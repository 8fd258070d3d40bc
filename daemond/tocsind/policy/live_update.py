"""A living message and the deliveries that it tells: what one attempt says for them, and what is known when it has ended (see `living`)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .delivery import Delivery, LiveUpdate, Priority, Settlement, State
from .live_message import Line, LiveMessage, plan_update

SHOWN = frozenset({State.SENT, State.UNKNOWN})  # nobody can say of the second, and it is not told again


def build(
    key: str, about: str, known: LiveMessage, before: Delivery | None, claimed: Sequence[Delivery]
) -> list[Delivery]:
    """What was claimed of a key, at least one, in order of acceptance, each knowing what becomes of the message. `before` is what that
    shows so far.
    """
    states = sorted(claimed, key=lambda delivery: delivery.order)
    edits, then = plan_update(
        known,
        [line(delivery) for delivery in states],
        wakes=any(delivery.priority is Priority.URGENT for delivery in states),
        doubt=any(delivery.maybe_duplicate for delivery in states),
    )
    shown = states[-1] if before is None or before.order < states[-1].order else before
    is_repost = edits is None and bool(known.lines)
    update = LiveUpdate(
        key, about, edits, then, msgspec.structs.replace(shown, maybe_duplicate=then.maybe_duplicate), is_repost
    )
    return [msgspec.structs.replace(delivery, update=update) for delivery in states]


def after(batch: Sequence[Delivery], settlements: Sequence[Settlement]) -> LiveMessage | None:
    """What is known of the key after an attempt; None when that is what was known before.

    Of a post that nobody can be sure of there may be a message, but none that could be edited. What is not told yet has left no line.
    """
    update = batch[0].update
    ended = [settlement for settlement in settlements if settlement.state in SHOWN]
    if update is None or not ended:
        return None
    then, both = update.then, zip(batch, settlements, strict=True)
    waits = {delivery.order for delivery, settlement in both if settlement.state not in SHOWN}
    lines = tuple(each for each in then.lines if each.order not in waits)
    cut_off = len(waits) - (len(then.lines) - len(lines))  # of those that wait
    return LiveMessage(
        next((settlement.message for settlement in ended if settlement.message), None),
        lines,
        then.earlier - cut_off,
        then.maybe_duplicate or any(settlement.state is State.UNKNOWN for settlement in ended),
    )


def is_message_gone(settlements: Sequence[Settlement]) -> bool:
    """Whether the message that was to be edited is not there any more."""
    return any(settlement.repost for settlement in settlements)


def line(delivery: Delivery) -> Line:
    """A delivery as a state of its key."""
    signal = delivery.signal
    at = delivery.accepted if signal.timestamp is None else signal.timestamp
    return Line(delivery.order, at, signal.title, signal.price)
