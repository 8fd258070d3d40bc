"""Which deliveries share a message.

The lane offers deliveries in sending order: by priority, then in order of acceptance. The first one decides which others may join: only
those with the same key, because mentions and silence apply to a whole message. The others join in order until one does not fit. A delivery
with another key is skipped and leads a later message. So deliveries of one key never overtake each other.

A server may refuse a batch without naming the faulty delivery. Then its deliveries travel in batches of half the size, until the faulty one
is alone. The same holds for a delivery that failed more than once, because it may be the reason.

A live message is always alone in its batch. Waiting deliveries of the same key join its update later, when it is claimed. Here `is_full`
only says that it need not wait for more deliveries while others are queued behind it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import inf
from typing import NamedTuple

import msgspec


class Footprint(msgspec.Struct, frozen=True):
    """The space that a delivery needs in a message, and which deliveries it may share one with."""

    size: int = 0  # code points
    key: Hashable = None
    max_batch: int | None = None  # the largest batch that it may join; None: no limit
    must_be_alone: bool = False  # it updates a live message
    weight: int = 0  # bytes of its attachment
    items: int = 1  # embeds, where a delivery may have several


class Batch(NamedTuple):
    """Indexes of the chosen deliveries, in order, and whether no further delivery could have joined."""

    chosen: tuple[int, ...]
    is_full: bool


def form(offered: Sequence[Footprint], most: int, room: float, load: float = inf) -> Batch:
    """Choose from `offered` at most `most` deliveries with `room` code points and `load` bytes in total. The first one is always chosen."""
    if offered and offered[0].must_be_alone:
        return Batch((0,), is_full=any(share.key != offered[0].key for share in offered))
    chosen: list[int] = []
    items = most
    for place, share in enumerate(offered):
        if chosen and share.key != offered[0].key:
            continue
        most = most if share.max_batch is None else min(most, share.max_batch)
        if chosen and (len(chosen) >= most or share.items > items or share.size > room or share.weight > load):
            return Batch(tuple(chosen), is_full=True)
        chosen.append(place)
        items -= share.items
        room -= share.size
        load -= share.weight
    return Batch(tuple(chosen), is_full=bool(chosen) and (len(chosen) >= most or items <= 0))
