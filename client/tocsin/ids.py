"""ULIDs: 48 bits of Unix milliseconds and 80 random bits, 26 characters of Crockford's base 32.

The client makes the id, so that a hand-off whose answer got lost can be repeated under the same one: the daemon stores an id once.
https://github.com/ulid/spec
"""

from __future__ import annotations

import os
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]  # ten bits at a time: half the divisions
_LETTERS = frozenset(ALPHABET)


def new_id() -> str:
    """A fresh ULID, sortable by the millisecond it was made in."""
    return id_of(time.time_ns() // 1_000_000, os.urandom(10))


def id_of(milliseconds: int, rest: bytes) -> str:
    """The ULID of a Unix time and ten bytes."""
    number = milliseconds << 80 | int.from_bytes(rest, "big")
    pairs = []
    for _ in range(LENGTH // 2):
        pairs.append(_PAIRS[number & 1023])
        number >>= 10
    return "".join(reversed(pairs))


def milliseconds_of(id_: str) -> int:
    """The Unix time in a ULID."""
    milliseconds = 0
    for letter in id_[:10]:
        milliseconds = milliseconds << 5 | ALPHABET.index(letter)
    return milliseconds


def is_id(text: str) -> bool:
    """Whether `text` is a ULID in upper case that fits 128 bits."""
    return len(text) == LENGTH and text[0] <= "7" and _LETTERS.issuperset(text)
