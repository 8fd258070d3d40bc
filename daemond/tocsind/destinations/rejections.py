"""A message that a server refused for its content: which delivery it is about, and what follows for each delivery of the batch.

the server names                   the named deliveries                 the others
some of the deliveries             are sent once more, in plain         are sent again, unchanged
format and alone; dead when they
were plain already
a part of the whole request:       -                                    are sent again; this part is left out for a while
name, mentions, silence
nothing                            -                                    are sent again in half the batch, until the refused one
is alone; then as above
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Cause, Deferred, Outcome, Refused


class Rejection(msgspec.Struct, frozen=True):
    """`items`: index in the batch -> Discord's reason. `is_whole_request`: refused parts of the request itself. `curable`: another format
    of the same alert may be accepted. `service` names the far end.
    """

    reason: str
    items: Mapping[int, str] = {}
    is_whole_request: frozenset[str] = frozenset()
    curable: bool = True
    service: str = "Discord"


def verdicts(fault: Rejection, batch: Sequence[Delivery], status: int) -> tuple[Outcome, ...]:
    """The outcome of each delivery. `fault.is_whole_request` holds only parts that the message had."""
    named = {place: words for place, words in fault.items.items() if place < len(batch)}
    if named or fault.is_whole_request:
        why = (
            fault.reason
            if fault.is_whole_request
            else f"{status} from {fault.service}: another alert of the same message was refused"
        )
        batch_mate = Deferred(why, Cause.BATCH_MATE)
        return tuple(
            _rejected(delivery, f"{status} from {fault.service}{named[place]}", fault, named=True)
            if place in named
            else batch_mate
            for place, delivery in enumerate(batch)
        )
    if len(batch) > 1:
        return (Deferred(fault.reason, Cause.BATCH_REJECTED),) * len(batch)
    return (_rejected(batch[0], fault.reason, fault),)


def verdicts_of_edit(fault: Rejection, batch: Sequence[Delivery], status: int, shown: Delivery) -> tuple[Outcome, ...]:
    """The outcome of each delivery of a live message: the shown one was refused, or, when it was shown before, each late one."""
    alone = all(delivery.number != shown.number for delivery in batch)
    batch_mate = Deferred(
        f"{status} from {fault.service}: the state that was to be shown was refused", Cause.BATCH_MATE
    )
    return tuple(
        verdicts(fault, [delivery], status)[0] if alone or delivery.number == shown.number else batch_mate
        for delivery in batch
    )


def _rejected(delivery: Delivery, reason: str, fault: Rejection, *, named: bool = False) -> Outcome:
    if fault.curable and not delivery.plain_format:
        return Deferred(reason, Cause.FORMAT)
    return Refused(reason, named=named)
