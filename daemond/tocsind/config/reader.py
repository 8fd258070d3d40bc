"""The mechanism: a value knows where it stands, and a table is read key by key, whatever is wrong with any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from .lines import Path, dotted, nearest
from .problems import Problem, masked


class Mistake(ValueError):  # noqa: N818 - it is the user's, and called what it is
    """What a reader raises instead of answering: a sentence about the value, without its place."""


class Findings:
    """All that is wrong or doubtful in one file. `exposed` says that every user of this host can read it."""

    def __init__(self, source: str, lines: Mapping[Path, int], *, exposed: bool = False) -> None:
        self.source = source
        self.exposed = exposed
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._lines = lines

    def about(self, path: Path, message: str) -> Problem:
        """A complaint, placed. Every text that leaves this room passes here, so the mask stands here."""
        return Problem(self.source, nearest(self._lines, path), masked(dotted(path)), masked(message))


class Location:
    """A value of the file, and where it stands."""

    __slots__ = ("findings", "path", "value")

    def __init__(self, value: object, path: Path, findings: Findings) -> None:
        self.value = value
        self.path = path
        self.findings = findings

    def __repr__(self) -> str:
        return f"<Spot {dotted(self.path)}>"  # never the value: it may be a secret

    def at(self, key: str | int) -> Location:
        """What stands below: a key of a table or an element of an array; the value is None where there is nothing."""
        match self.value:
            case dict() as table:
                value = table.get(key)
            case list() as array if isinstance(key, int):
                value = array[key]
            case _:
                value = None
        return Location(value, (*self.path, key), self.findings)

    def wrong(self, message: str) -> None:
        """The file cannot be used because of this."""
        self.findings.problems.append(self.findings.about(self.path, message))

    def has_problems_below(self) -> bool:
        """Whether anything in this table was complained of."""
        here = masked(dotted(self.path))
        return any(problem.key.startswith(f"{here}.") for problem in self.findings.problems)

    def warn(self, message: str) -> None:
        """The file can be used, but somebody should know."""
        self.findings.warnings.append(self.findings.about(self.path, message))


class Field(msgspec.Struct, frozen=True):
    """A key of a table: how to read it, and what to say when it is missing (None: it need not be there)."""

    read: Callable[[Location], Any]
    missing: str | None = None


def read_table(spot: Location, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The values of a table that could be read, by key with `_` for `-`; all that could not is complained of."""
    if not isinstance(spot.value, dict):
        spot.wrong(f"must be a table, not {kind_of(spot.value)}")
        return {}
    for key in spot.value:
        if key not in fields:
            spot.at(key).wrong(f"unknown key; {did_you_mean(key, fields)}")
    found: dict[str, Any] = {}
    for key, field in fields.items():
        if key in spot.value:
            read_into(found, key.replace("-", "_"), spot.at(key), field.read)
        elif field.missing:
            spot.at(key).wrong(field.missing)
    return found


def read_into(found: dict[str, Any], name: str, spot: Location, read: Callable[[Location], Any]) -> None:
    """Read one value; a mistake is written down, and reading goes on."""
    try:
        found[name] = read(spot)
    except Mistake as mistake:
        spot.wrong(str(mistake))


def check_order(spot: Location, read: object, low: str, high: str, written: Callable[[float], str]) -> None:
    """Raise Mistake when `read.low` exceeds `read.high`. Silent where either is a default that stands in for an unreadable value."""
    less, more = getattr(read, low), getattr(read, high)
    if less > more and not spot.has_problems_below():
        raise Mistake(f"{low} ({written(less)}) must not exceed {high} ({written(more)})")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion, or all there is to choose from."""
    words = list(known)
    if close := get_close_matches(word, words, n=1):
        return f'did you mean "{close[0]}"?'
    return f"known here: {', '.join(words)}" if words else "there is none"


def kind_of(value: object) -> str:
    """What a TOML value is, in the words of TOML's users."""
    names = {dict: "a table", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "a date or time")


def shown(value: object) -> str:
    """A value in a complaint, cut short."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:60] + '..."'
