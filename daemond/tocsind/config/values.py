"""Readers of single values: each takes a Location and returns a value, or raises a Mistake that says what the value should look like."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import TypeVar
from unicodedata import category

from tocsin import paths
from tocsin.durations import parse_duration
from tocsin.signals import PRIORITIES
from tocsind.policy.bucket import Rate

from .reader import Field, Location, Mistake, did_you_mean, kind_of, read_table, shown

T = TypeVar("T")

_PER = {
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0,
}  # fmt: skip
_PER_WRITTEN = {1.0: "s", 60.0: "min", 3600.0: "h"}
_BYTES: dict[str, int] = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    unit: 1 << 10 * power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)
}
_LONGEST_SOCKET = 107  # bytes: the kernel's limit of a Unix socket's path, without the final zero
_MOST = 1_000_000  # of any count: a token bucket stores each token


def text(location: Location) -> str:
    """A string that is not empty and has no control characters."""
    if not isinstance(location.value, str):
        raise Mistake(f"must be text, not {kind_of(location.value)}")
    if not location.value.strip():
        raise Mistake("must not be empty")
    if any(category(char) == "Cc" for char in location.value):
        raise Mistake("must not contain control characters")
    return location.value


def folder_path(location: Location) -> str:
    """An absolute path; `~` is expanded."""
    path = paths.expanded(text(location))
    if not path.startswith("/"):
        raise Mistake(f"{shown(path)} depends on the working folder; write it in full, from / or ~/ on")
    return path


def socket_path(location: Location) -> str:
    """The path of a Unix socket."""
    path = folder_path(location)
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise Mistake(f"a Unix socket's path has at most {_LONGEST_SOCKET} bytes")
    return path


def flag(location: Location) -> bool:
    """True or false, without quotes."""
    if not isinstance(location.value, bool):
        raise Mistake(f"must be true or false, not {kind_of(location.value)}")
    return location.value


def count(location: Location) -> int:
    """A whole number from 1."""
    if isinstance(location.value, bool) or not isinstance(location.value, int):
        raise Mistake(f"must be a whole number, not {kind_of(location.value)}")
    if not 1 <= location.value <= _MOST:
        raise Mistake(f"must be between 1 and {_MOST}")
    return location.value


def share(location: Location) -> float:
    """A number from 0 to 1, as confidence is."""
    if isinstance(location.value, bool) or not isinstance(location.value, (int, float)):
        raise Mistake(f"must be a number, not {kind_of(location.value)}")
    if not 0 <= location.value <= 1:  # NaN compares false, and is refused with the rest
        raise Mistake("must be between 0 and 1")
    return float(location.value)


def duration(location: Location) -> float:
    """Seconds, more than none, of `10s`, `5m`, `2h30m`, `1d`; a bare number is seconds."""
    if isinstance(location.value, bool) or not isinstance(location.value, str | int | float):
        raise Mistake(f'{shown(location.value)} is no duration; write it like "10s", "5m", "2h30m" or "1d"')
    return _seconds(str(location.value))


def duration_or_never(location: Location) -> float | None:
    """Seconds, or None for false."""
    if isinstance(location.value, bool):
        if location.value:
            raise Mistake('must be false or a duration like "5m", not true')
        return None
    return duration(location)


def _seconds(written: str) -> float:
    try:
        seconds = parse_duration(written)
    except ValueError:
        raise Mistake(f"{shown(written)} is no duration; write it like 10s, 5m, 2h30m or 1d") from None
    if not (seconds > 0 and isfinite(seconds)):
        raise Mistake(f"{shown(written)} must be greater than zero and finite")
    return seconds


def rate(location: Location) -> Rate:
    """A count per time: `30/min`, `5/2s`."""
    match = re.fullmatch(r"\s*([0-9]{1,7})\s*/\s*(.+?)\s*", location.value) if isinstance(location.value, str) else None
    if match is None:
        raise Mistake(f'{shown(location.value)} is no rate; write it like "30/min", "5/2s" or "100/h"')
    how_many, unit = int(match[1]), match[2]
    if not 1 <= how_many <= _MOST:
        raise Mistake(f"a rate counts from 1 to {_MOST}; to send nothing, write enabled = false")
    return Rate(how_many, _PER.get(unit) or _seconds(unit))


def written_rate(rate: Rate) -> str:
    """A rate as it is written in the file."""
    return f"{rate.count}/{_PER_WRITTEN.get(rate.per) or f'{rate.per:g}s'}"


def size(location: Location) -> int:
    """Bytes, of `64MiB`, `1GB`, `0B`."""
    match = (
        re.fullmatch(r"\s*([0-9]{1,15})\s*([A-Za-z]+)\s*", location.value) if isinstance(location.value, str) else None
    )
    if match is None or match[2] not in _BYTES:
        raise Mistake(f'{shown(location.value)} is no size; write it like "64MiB", "500MB" or "1GiB"')
    return int(match[1]) * _BYTES[match[2]]


def one_of(words: Iterable[str], what: str) -> Callable[[Location], str]:
    """A reader of one of a few words; `what` names them in the message."""
    known = tuple(words)

    def read(location: Location) -> str:
        word = text(location)
        if word not in known:
            raise Mistake(f"no {what} is called {shown(word)}; {did_you_mean(word, known)}")
        return word

    return read


def several(read: Callable[[Location], str]) -> Callable[[Location], tuple[str, ...]]:
    """A reader of one text or a list of texts, each accepted by `read` and different from the others."""

    def read_all(location: Location) -> tuple[str, ...]:
        if not isinstance(location.value, list):
            return (read(location),)
        found: dict[str, None] = {}
        for index in range(len(location.value)):
            _read_one(location.at(index), read, found)
        return tuple(found)

    return read_all


def _read_one(location: Location, read: Callable[[Location], str], found: dict[str, None]) -> None:
    try:
        word = read(location)
    except Mistake as mistake:
        location.wrong(str(mistake))
        return
    if word in found:
        location.wrong(f"{shown(word)} is listed twice")
    found[word] = None


def filled(read: Callable[[Location], tuple[str, ...]]) -> Callable[[Location], tuple[str, ...]]:
    """The same reader; an empty list is a mistake."""

    def read_some(location: Location) -> tuple[str, ...]:
        if location.value == []:
            raise Mistake("must name at least one")
        return read(location)

    return read_some


def by_priority(read: Callable[[Location], T]) -> Callable[[Location], Mapping[str, T]]:
    """A reader of a table with a key for each priority. An empty list is left out."""

    def read_all(location: Location) -> Mapping[str, T]:
        if not isinstance(location.value, dict):
            raise Mistake(f"must be a table by priority, like {{ urgent = ... }}, not {kind_of(location.value)}")
        found = read_table(location, {priority: Field(read) for priority in PRIORITIES})
        return {priority: value for priority, value in found.items() if value != ()}

    return read_all
