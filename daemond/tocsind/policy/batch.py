"""Which deliveries share a message.

They are offered in the order in which they would go: by priority, and in order of acceptance within each. The first one leads and
decides who may come along: only those with the same key (who is woken, and how loudly, holds for a message as a whole). The others join
in order until one does not fit; whoever has another key is passed over, and leads a later message. So nothing overtakes its own kind.

A delivery that was part of a message which was refused without a culprit travels in half the company, until it is alone and the culprit
is found; so does one that has failed more than once, because it may be the reason.

A living message (`living`) has one to itself. Whoever waits and has the same key is told by it, too, but that is found out when it is
claimed; all that is decided here is that nobody else may come along, and so that there is nothing to wait for while others stand behind it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import inf
from typing import NamedTuple

import msgspec


class Footprint(msgspec.Struct, frozen=True):
    """What a delivery takes of a message, and with whom it may travel."""

    size: int = 0  # code points
    key: Hashable = None
    max_batch: int | None = None  # in a message of at most so many; None: of any size
    must_be_alone: bool = False  # it is a living message
    weight: int = 0  # bytes of its attachment


class Batch(NamedTuple):
    """The places of those who go, in order, and whether nobody else could have joined."""

    chosen: tuple[int, ...]
    is_full: bool


def form(offered: Sequence[Footprint], most: int, room: float, load: float = inf) -> Batch:
    """Choose of the offered: at most `most`, with `room` code points and a `load` of bytes together. The first always goes."""
    if offered and offered[0].must_be_alone:
        return Batch((0,), is_full=any(share.key != offered[0].key for share in offered))
    chosen: list[int] = []
    for place, share in enumerate(offered):
        if chosen and share.key != offered[0].key:
            continue
        most = most if share.max_batch is None else min(most, share.max_batch)
        if chosen and (len(chosen) >= most or share.size > room or share.weight > load):
            return Batch(tuple(chosen), is_full=True)
        chosen.append(place)
        room -= share.size
        load -= share.weight
    return Batch(tuple(chosen), is_full=len(chosen) >= most)
