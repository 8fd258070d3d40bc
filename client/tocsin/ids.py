"""ULIDs: 48 bits of Unix milliseconds and 80 random bits, 26 characters of Crockford's base 32.

The client makes the id, so that it can repeat a hand-off whose answer was lost: the daemon stores an id once.
https://github.com/ulid/spec
"""

from __future__ import annotations

import os
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]  # ten bits at a time
_LETTERS = frozenset(ALPHABET)
_LETTER_OF = (ALPHABET * 8).encode()  # of each byte: each letter stands for eight


def new_id() -> str:
    """A new ULID, sortable by its millisecond. Optimised, because every hand-off makes one: random letters are translated random bytes."""
    return _of_time(time.time_ns() // 1_000_000) + os.urandom(LENGTH - 10).translate(_LETTER_OF).decode()


def id_of(milliseconds: int, rest: bytes) -> str:
    """The ULID of a Unix time and ten bytes."""
    number = int.from_bytes(rest, "big")
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(70, -1, -10)]
    return _of_time(milliseconds) + "".join(pairs)


def _of_time(at: int) -> str:
    pair = _PAIRS
    return f"{pair[at >> 40]}{pair[at >> 30 & 1023]}{pair[at >> 20 & 1023]}{pair[at >> 10 & 1023]}{pair[at & 1023]}"


def milliseconds_of(id_: str) -> int:
    """The Unix time in a ULID."""
    milliseconds = 0
    for letter in id_[:10]:
        milliseconds = milliseconds << 5 | ALPHABET.index(letter)
    return milliseconds


def is_id(text: str) -> bool:
    """Whether `text` is a ULID in upper case that fits 128 bits."""
    return len(text) == LENGTH and text[0] <= "7" and _LETTERS.issuperset(text)
