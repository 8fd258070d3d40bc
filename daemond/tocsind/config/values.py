"""Leaf readers: a Spot in, a value out, or a Mistake that says what the value should look like."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from math import isfinite
from unicodedata import category

from tocsin import paths
from tocsin.durations import parse_duration
from tocsind.policy.bucket import Rate

from .reader import Location, Mistake, did_you_mean, kind_of, shown

_PER = {
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0,
}  # fmt: skip
_PER_WRITTEN = {1.0: "s", 60.0: "min", 3600.0: "h"}
_BYTES: dict[str, int] = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    unit: 1 << 10 * power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)
}
_LONGEST_SOCKET = 107  # bytes: what the kernel keeps for a Unix socket's path, less the final zero
_MOST = 1_000_000  # of anything that is counted: a bucket remembers each token


def text(spot: Location) -> str:
    """A string with something in it, and nothing that breaks a line or a path."""
    if not isinstance(spot.value, str):
        raise Mistake(f"must be text, not {kind_of(spot.value)}")
    if not spot.value.strip():
        raise Mistake("must not be empty")
    if any(category(char) == "Cc" for char in spot.value):
        raise Mistake("must not contain control characters")
    return spot.value


def folder_path(spot: Location) -> str:
    """A path that means the same in every working folder: from `/` on, or from `~`, which is put in full."""
    path = paths.expanded(text(spot))
    if not path.startswith("/"):
        raise Mistake(f"{shown(path)} is another place in each working folder; write it in full, from / or ~/ on")
    return path


def socket_path(spot: Location) -> str:
    """The path of a Unix socket."""
    path = folder_path(spot)
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise Mistake(f"a Unix socket's path has at most {_LONGEST_SOCKET} bytes")
    return path


def flag(spot: Location) -> bool:
    """True or false, without quotes."""
    if not isinstance(spot.value, bool):
        raise Mistake(f"must be true or false, not {kind_of(spot.value)}")
    return spot.value


def count(spot: Location) -> int:
    """A whole number from 1."""
    if isinstance(spot.value, bool) or not isinstance(spot.value, int):
        raise Mistake(f"must be a whole number, not {kind_of(spot.value)}")
    if not 1 <= spot.value <= _MOST:
        raise Mistake(f"must lie between 1 and {_MOST}")
    return spot.value


def share(spot: Location) -> float:
    """A number from 0 to 1, as confidence is."""
    if isinstance(spot.value, bool) or not isinstance(spot.value, (int, float)):
        raise Mistake(f"must be a number, not {kind_of(spot.value)}")
    if not 0 <= spot.value <= 1:  # NaN compares false, and is refused with the rest
        raise Mistake("must lie between 0 and 1")
    return float(spot.value)


def duration(spot: Location) -> float:
    """Seconds, more than none, of `10s`, `5m`, `2h30m`, `1d`; a bare number is seconds."""
    if isinstance(spot.value, bool) or not isinstance(spot.value, str | int | float):
        raise Mistake(f'{shown(spot.value)} is no duration; write it like "10s", "5m", "2h30m" or "1d"')
    return _seconds(str(spot.value))


def duration_or_never(spot: Location) -> float | None:
    """Seconds, or None for false."""
    if isinstance(spot.value, bool):
        if spot.value:
            raise Mistake('must be false or a duration like "5m", not true')
        return None
    return duration(spot)


def _seconds(written: str) -> float:
    try:
        seconds = parse_duration(written)
    except ValueError:
        raise Mistake(f"{shown(written)} is no duration; write it like 10s, 5m, 2h30m or 1d") from None
    if not (seconds > 0 and isfinite(seconds)):
        raise Mistake(f"{shown(written)} must be more than nothing, and have an end")
    return seconds


def rate(spot: Location) -> Rate:
    """So many in so long: `30/min`, `5/2s`."""
    match = re.fullmatch(r"\s*([0-9]{1,7})\s*/\s*(.+?)\s*", spot.value) if isinstance(spot.value, str) else None
    if match is None:
        raise Mistake(f'{shown(spot.value)} is no rate; write it like "30/min", "5/2s" or "100/h"')
    how_many, unit = int(match[1]), match[2]
    if not 1 <= how_many <= _MOST:
        raise Mistake(f"a rate counts from 1 to {_MOST}; to send nothing, write enabled = false")
    return Rate(how_many, _PER.get(unit) or _seconds(unit))


def written_rate(rate: Rate) -> str:
    """A rate as the file has it."""
    return f"{rate.count}/{_PER_WRITTEN.get(rate.per) or f'{rate.per:g}s'}"


def size(spot: Location) -> int:
    """Bytes, of `64MiB`, `1GB`, `0B`."""
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*([A-Za-z]+)\s*", spot.value) if isinstance(spot.value, str) else None
    if match is None or match[2] not in _BYTES:
        raise Mistake(f'{shown(spot.value)} is no size; write it like "64MiB", "500MB" or "1GiB"')
    return int(match[1]) * _BYTES[match[2]]


def one_of(words: Iterable[str], what: str) -> Callable[[Location], str]:
    """A reader of one of a few words; `what` names them in the complaint."""
    known = tuple(words)

    def read(spot: Location) -> str:
        word = text(spot)
        if word not in known:
            raise Mistake(f"no {what} is called {shown(word)}; {did_you_mean(word, known)}")
        return word

    return read


def several(read: Callable[[Location], str]) -> Callable[[Location], tuple[str, ...]]:
    """A reader of one text or a list of them, each of which `read` accepts, none of them twice."""

    def read_all(spot: Location) -> tuple[str, ...]:
        if not isinstance(spot.value, list):
            return (read(spot),)
        found: dict[str, None] = {}
        for index in range(len(spot.value)):
            _read_one(spot.at(index), read, found)
        return tuple(found)

    return read_all


def _read_one(spot: Location, read: Callable[[Location], str], found: dict[str, None]) -> None:
    try:
        word = read(spot)
    except Mistake as mistake:
        spot.wrong(str(mistake))
        return
    if word in found:
        spot.wrong(f"{shown(word)} stands here twice")
    found[word] = None


def filled(read: Callable[[Location], tuple[str, ...]]) -> Callable[[Location], tuple[str, ...]]:
    """The same reader, for lists that must not be empty."""

    def read_some(spot: Location) -> tuple[str, ...]:
        if spot.value == []:
            raise Mistake("must name at least one")
        return read(spot)

    return read_some
