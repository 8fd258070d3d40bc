"""The mechanism: a value has its place in the file, and all keys of a table are read, whatever is wrong with some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from tocsin.likely_words import likely

from .lines import Path, dotted, nearest
from .problems import Problem, masked


class Mistake(ValueError):  # noqa: N818 - a mistake of the operator
    """A reader cannot read a value. The text is a sentence about the value, without its place."""


class Findings:
    """All problems and warnings of one file. `exposed` says that every user of this host can read it."""

    def __init__(self, source: str, lines: Mapping[Path, int], *, exposed: bool = False) -> None:
        self.source = source
        self.exposed = exposed
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._lines = lines

    def about(self, path: Path, message: str) -> Problem:
        """A message with its place. All messages of this package are made here, so they are masked here."""
        return Problem(self.source, nearest(self._lines, path), masked(dotted(path)), masked(message))


class Location:
    """A value of the file, with its place."""

    __slots__ = ("findings", "path", "value")

    def __init__(self, value: object, path: Path, findings: Findings) -> None:
        self.value = value
        self.path = path
        self.findings = findings

    def __repr__(self) -> str:
        return f"<Location {dotted(self.path)}>"  # never the value: it may be a secret

    def at(self, key: str | int) -> Location:
        """The value of a key, or an element of an array; None when there is none."""
        match self.value:
            case dict() as table:
                value = table.get(key)
            case list() as array if isinstance(key, int):
                value = array[key]
            case _:
                value = None
        return Location(value, (*self.path, key), self.findings)

    def wrong(self, message: str) -> None:
        """Record a problem: the file cannot be used."""
        self.findings.problems.append(self.findings.about(self.path, message))

    def has_problems_below(self) -> bool:
        """Whether there is a problem in this table."""
        here = masked(dotted(self.path))
        return any(problem.key.startswith(f"{here}.") for problem in self.findings.problems)

    def warn(self, message: str) -> None:
        """Record a warning: the file can be used."""
        self.findings.warnings.append(self.findings.about(self.path, message))


class Field(msgspec.Struct, frozen=True):
    """A key of a table: its reader, and the message when it is missing (None: it is optional)."""

    read: Callable[[Location], Any]
    missing: str | None = None


def read_table(location: Location, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The readable values of a table, by key with `_` for `-`; all others become problems."""
    if not isinstance(location.value, dict):
        location.wrong(f"must be a table, not {kind_of(location.value)}")
        return {}
    for key in location.value:
        if key not in fields:
            location.at(key).wrong(f"unknown key; {did_you_mean(key, fields)}")
    found: dict[str, Any] = {}
    for key, field in fields.items():
        if key in location.value:
            read_into(found, key.replace("-", "_"), location.at(key), field.read)
        elif field.missing:
            location.at(key).wrong(field.missing)
    return found


def read_into(found: dict[str, Any], name: str, location: Location, read: Callable[[Location], Any]) -> None:
    """Read one value, or record its mistake."""
    try:
        found[name] = read(location)
    except Mistake as mistake:
        location.wrong(str(mistake))


def check_order(location: Location, read: object, low: str, high: str, written: Callable[[float], str]) -> None:
    """Raise Mistake when `read.low` exceeds `read.high`. Does nothing when one of the two could not be read."""
    less, more = getattr(read, low), getattr(read, high)
    if less > more and not location.has_problems_below():
        raise Mistake(f"{low} ({written(less)}) must not exceed {high} ({written(more)})")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion, or all choices."""
    words = list(known)
    if close := likely(word, words) or [each for each in words if word in each.split("-")]:
        return f"did you mean {_quoted(close)}?"
    return f"known here: {', '.join(words)}" if words else "there is none"


def _quoted(words: Iterable[str]) -> str:
    """Alternatives in a question."""
    return " or ".join(f'"{word}"' for word in words)


def kind_of(value: object) -> str:
    """The kind of a TOML value, for messages."""
    names = {dict: "a table", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "a date or time")


def shown(value: object) -> str:
    """A value in a message, cut to 60 characters."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:60] + '..."'
