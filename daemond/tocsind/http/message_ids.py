"""Ids of the messages that the intake accepts: snowflakes, as Discord's clients expect, and the ULID of the signal behind each.

A snowflake counts milliseconds from Discord's epoch above 22 bits. Here ten of them are drawn at the start of the process, so that a
restart within a millisecond gives no id twice. The ULID follows from the snowflake, so no table has to connect the two.
"""

from __future__ import annotations

import os
from hashlib import blake2s
from typing import Final

from tocsin.ids import id_of
from tocsind.clock import Clock

_EPOCH_MS: Final = 1_420_070_400_000
_SHIFT: Final = 22
_ALIAS_FROM: Final = 10**17


class MessageIds:
    """Makes snowflakes that grow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process = int.from_bytes(os.urandom(2), "big") % 1024 << 12
        self._last = 0

    def next(self) -> int:
        """A new id."""
        milliseconds = int(self._clock.wall() * 1000) - _EPOCH_MS
        self._last = max(milliseconds << _SHIFT | self._process, self._last + 1)
        return self._last


def seconds_of(snowflake: int) -> float:
    """The Unix time in a snowflake."""
    return ((snowflake >> _SHIFT) + _EPOCH_MS) / 1000


def signal_id(snowflake: int) -> str:
    """The id of the signal behind a message."""
    milliseconds = (snowflake >> _SHIFT) + _EPOCH_MS
    return id_of(milliseconds, blake2s(b"message %d" % snowflake, digest_size=10).digest())


def read(text: str) -> int | None:
    """The snowflake in a path; None for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def key_of(snowflake: int) -> str:
    """The key under which states of a message find each other."""
    return f"message {snowflake}"


def alias_of(destination: str) -> str:
    """A number that stands for a destination's name, for clients that insist on a number as the id of a webhook."""
    return str(
        _ALIAS_FROM + int.from_bytes(blake2s(destination.encode(), digest_size=8).digest(), "big") % (9 * _ALIAS_FROM)
    )
