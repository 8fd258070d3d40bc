"""Reasons why a host cannot send, as hosts report them to each other through the engine."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import msgspec

from .engine import UNREADABLE

_encode = msgspec.msgpack.Encoder().encode


class Out(msgspec.Struct, frozen=True, array_like=True):
    """A host does not get through: since when (s on the engine's clock), why, and as in `Trouble`."""

    since: float
    reason: str
    is_local: bool
    is_final: bool = False


Outs = Mapping[str, Out]  # by far end


def packed(outs: Outs) -> bytes:
    """For the engine; empty without any."""
    return _encode(outs) if outs else b""


def read(note: bytes) -> dict[str, Out]:
    """The reasons that a host reported; empty when they cannot be read: another version or another program wrote them."""
    try:
        found = msgspec.msgpack.decode(note, type=dict[str, Out])
    except UNREADABLE:
        return {}
    return {far: out for far, out in found.items() if isfinite(out.since)}


def is_local(outs: Outs) -> bool:
    """Whether another host may get through where this one does not."""
    return any(out.is_local for out in outs.values())
